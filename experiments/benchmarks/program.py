"""How fast is it, next to PyTorch for the same networks, sizes and batches, measured in one run?

  python -m experiments.benchmark --architectures=plain34,resnet34 --image_size=64 --batch_size=24 --json=rows.jsonl
  python -m experiments.benchmark --against=none --image_size=64,224 --batch_size=24,64
  python -m experiments.benchmark --measure=epoch --architectures=resnet34 --image_size=128
  python -m experiments.benchmark --measure=compile --architectures=resnet34,resnet50,se_resnet34
  python -m experiments.benchmark --measure=pipeline --images=20000,200000
  python -m experiments.benchmark --measure=replicas --architectures=resnet20 --image_size=32 --batch_size=128 --seeds=8
  python -m experiments.benchmark --measure=end_to_end --image_size=128 --epochs=2 --samples=1
  python -m experiments.benchmark --measure=convolution --json=layers.jsonl
  python -m experiments.benchmark --suite=accelerator --minutes=8 --json=accelerator.jsonl

--measure=train_step prints for each case the median of images per second with its spread over the samples, and the
ratio of the medians. The sides take turns, each in a process of its own, so that other programs disturb both alike.
--measure=epoch does the same for an epoch with augmentation and evaluation, and end_to_end for the first exercise from
JPEGs to the last file. convolution does it for single layers that are slow in XLA on a CPU: depthwise, transposed, 1-D
and 3-D ones and more. compile measures how long our step takes to trace and to compile, cold and from a warm cache;
pipeline the time and memory per image when images are streamed from the disk; replicas the cost of several seeds in
epochs of one seed.

--suite=accelerator measures what a card must show, in order of value and with sizes of its own: the first exercise in
full, train steps next to PyTorch, seeds together, epochs in one call, a kill and a resume, memory, precision, and
CIFAR-20. Each row is written as it comes. The same command resumes: what is done in the file is skipped. Without an
accelerator it rehearses at tiny sizes.
"""

import os
from pathlib import Path

from absl import flags

from resjax.cli.flags.paths import define_path
from resjax.cli.flags.settings import DTYPES, define_size_flags
from resjax.cli.jax_settings import import_jax
from resjax.cli.program import Command
from resjax.errors import BadInput
from resjax.training.recipe import WAYS, require_choice, require_range

from .harness.cases import PHOTOGRAPHS
from .measures import LEAST_SAMPLES, MEASURES, PIPELINE_IMAGES, REPLICAS_IMAGES, SAMPLES
from .pytorch.training import MODES

FLAGS = flags.FLAGS
AGAINST = ("torch", "none")
SUITES = ("accelerator",)


def define_flags() -> None:
    flags.DEFINE_string("measure", "train_step", f"what to measure, one of {', '.join(MEASURES)}")
    flags.DEFINE_string("suite", None, f"several measurements in place of --measure, one of {', '.join(SUITES)}")
    flags.DEFINE_float("minutes", 8.0, "for --suite: the time of all its steps together")
    flags.DEFINE_string("against", "torch", f"one of {', '.join(AGAINST)}")
    flags.DEFINE_string(
        "torch_modes", "eager,channels_last", f"modes of PyTorch, of {', '.join(MODES)}; the fastest counts"
    )
    flags.DEFINE_string("architectures", "plain34,resnet34", "networks by name, joined by commas")
    flags.DEFINE_string("image_size", "64", "height and width of the images in pixels; several joined by commas")
    flags.DEFINE_string("batch_size", "24", "images per step; several joined by commas")
    define_size_flags()
    flags.DEFINE_string("dtype", "float32", f"of computation, one of {', '.join(DTYPES)}; parameters stay float32")
    flags.DEFINE_string(
        "images",
        None,
        f"how many images are generated: for pipeline several joined by commas, by default {PIPELINE_IMAGES}; for "
        f"epoch and end_to_end one number, by default {PHOTOGRAPHS}; for replicas {REPLICAS_IMAGES}",
    )
    flags.DEFINE_boolean(
        "ceilings",
        None,
        "for train_step: compare our operations and bytes with those of a large matrix product and a large copy; by "
        "default on accelerators",
    )
    flags.DEFINE_string("layers", "all", "for convolution: layers by name, joined by semicolons, or all")
    flags.DEFINE_integer("seeds", 4, "for replicas: the number of seeds")
    flags.DEFINE_string("replicas_as", ",".join(WAYS), "for replicas: ways of training them, joined by commas")
    flags.DEFINE_integer("epochs", 2, "for end_to_end: passes over the training images")
    define_path(
        "dataset",
        None,
        "for end_to_end: csv:PATH or folder:PATH; by default generated JPEGs. For --suite: the images of the first "
        "exercise, as compare takes them, or npz:FILE as experiments.benchmarks.accelerator.images packs them; by "
        "default drawn dishes",
        prefixed=True,
    )
    define_path("split_file", None, "for --suite: split.json of a run on the same images")
    define_path("cifar", None, "for --suite: npz:FILE of images of 32 px with a split; by default noise", prefixed=True)
    define_path("workdir", "runs/accelerator", "for --suite: folder of its runs and caches, where they resume")
    define_path(
        "image_dir", None, "folder of the images of a csv; by default the folder beside it with the name of its stem"
    )
    flags.DEFINE_integer(
        "samples",
        None,
        f"samples of each side, at least {LEAST_SAMPLES}; by default {SAMPLES}, or {LEAST_SAMPLES} if a sample takes "
        "long; for end_to_end at least 1",
    )
    define_path("json", None, "file to write, one JSON record a line for each case")


def main() -> None:
    if FLAGS.suite is not None:
        require_choice("--suite", FLAGS.suite, SUITES)
    require_choice("--measure", FLAGS.measure, tuple(MEASURES))
    require_choice("--against", FLAGS.against, AGAINST)
    require_choice("--dtype", FLAGS.dtype, DTYPES)
    if FLAGS.samples is not None:
        require_range("--samples", FLAGS.samples, 1 if FLAGS.measure == "end_to_end" else LEAST_SAMPLES)
    if FLAGS.json and not os.access(Path(FLAGS.json).absolute().parent, os.W_OK):
        raise BadInput(f"--json={FLAGS.json}: expected a file in a folder that exists and can be written")
    # The measures import it, and so do their processes.
    import_jax()
    # Both sides share a card, and each takes memory when it needs it.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if FLAGS.suite is None:
        MEASURES[FLAGS.measure]()
    else:
        from .accelerator.program import run_accelerator_suite

        run_accelerator_suite()


COMMAND = Command("benchmark", __doc__ or "", main, (define_flags,))
