"""How fast is it, next to PyTorch for the same networks, sizes and batches, measured in one run?

  python -m experiments.benchmark --architectures=plain34,resnet34 --image_size=64 --batch_size=24 --json=rows.jsonl
  python -m experiments.benchmark --against=none --image_size=64,224 --batch_size=24,64
  python -m experiments.benchmark --measure=epoch --architectures=resnet34 --image_size=128
  python -m experiments.benchmark --measure=compile --architectures=resnet34,resnet50,se_resnet34
  python -m experiments.benchmark --measure=pipeline --images=20000,200000
  python -m experiments.benchmark --measure=replicas --architectures=resnet20 --image_size=32 --batch_size=128 --seeds=8
  python -m experiments.benchmark --measure=end_to_end --image_size=128 --epochs=2 --samples=1

--measure=train_step prints for each case the median of images per second with its spread over the samples, and the
ratio of the medians. The sides take turns, each in a process of its own, so that what else happens on the machine meets
them alike. --measure=epoch does so for an epoch with augmentation and evaluation, end_to_end for the first exercise
from JPEGs to the last file; compile says how long our step takes to trace and to compile, cold and from a warm cache,
pipeline what an image costs in time and memory when the set is streamed from the disk, replicas what several seeds cost
in epochs of one.
"""

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from absl import flags

from experiments.benchmarks import end_to_end, pipeline, torch_side
from experiments.benchmarks.background_load import Others
from experiments.benchmarks.cases import Case, Device, find_device, make_cases, parse_sizes, require_dtype, versions
from experiments.benchmarks.contenders import in_a_process
from resjax.cli.program import Command
from resjax.cli.settings import DTYPES, FLAGS, define_size_flags, given_sizes
from resjax.errors import BadInput
from resjax.report.records import write_lines
from resjax.training.recipe import WAYS, require_choice, require_range

AGAINST = ("torch", "none")
UNDISTURBED = 0.1
"""Cores that other programs may use without a warning."""
SAMPLES, LEAST_SAMPLES = 7, 5
PIPELINE_IMAGES, REPLICAS_IMAGES = "20000,200000", 600


def define_flags() -> None:
    flags.DEFINE_string("measure", "train_step", f"one of {', '.join(MEASURES)}")
    flags.DEFINE_string("against", "torch", f"one of {', '.join(AGAINST)}")
    flags.DEFINE_string("torch_modes", "eager,channels_last", f"of {', '.join(torch_side.MODES)}; the fastest counts")
    flags.DEFINE_string("architectures", "plain34,resnet34", "networks by name, joined by commas")
    flags.DEFINE_string("image_size", "64", "height and width of the images in pixels; several joined by commas")
    flags.DEFINE_string("batch_size", "24", "images a step; several joined by commas")
    define_size_flags()
    flags.DEFINE_string("dtype", "float32", f"one of {', '.join(DTYPES)}: what is computed in; parameters stay float32")
    flags.DEFINE_string(
        "images",
        None,
        f"how many images are generated: for pipeline several joined by commas, by default {PIPELINE_IMAGES}; for "
        f"epoch and end_to_end one number, by default {end_to_end.PHOTOGRAPHS}; for replicas {REPLICAS_IMAGES}",
    )
    flags.DEFINE_boolean(
        "ceilings",
        None,
        "for train_step: hold our operations and bytes against a large matrix product and a large copy; by default on "
        "accelerators",
    )
    flags.DEFINE_integer("seeds", 4, "for replicas: how many")
    flags.DEFINE_string("replicas_as", ",".join(WAYS), "for replicas: ways of training them, joined by commas")
    flags.DEFINE_integer("epochs", 2, "for end_to_end: passes over the training images")
    flags.DEFINE_string("dataset", None, "for end_to_end: csv:PATH or folder:PATH; by default generated JPEGs")
    flags.DEFINE_string("image_dir", None, "folder of a csv's images; by default the one beside it named like its stem")
    flags.DEFINE_integer(
        "samples",
        None,
        "samples for each side, at least 5, by default 7 or, where a sample is long, 5; for end_to_end at least 1",
    )
    flags.DEFINE_string("json", None, "file to write, one JSON record a line for each case")


def main() -> None:
    require_choice("--measure", FLAGS.measure, tuple(MEASURES))
    require_choice("--against", FLAGS.against, AGAINST)
    require_choice("--dtype", FLAGS.dtype, DTYPES)
    if FLAGS.samples is not None:
        require_range("--samples", FLAGS.samples, 1 if FLAGS.measure == "end_to_end" else LEAST_SAMPLES)
    if FLAGS.json and not os.access(Path(FLAGS.json).absolute().parent, os.W_OK):
        raise BadInput(f"--json={FLAGS.json}: a file in a folder that exists and can be written is accepted")
    # Both sides share a card, and each takes what it needs when it needs it.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    MEASURES[FLAGS.measure]()


def measure_train_steps() -> None:
    """`--measure=train_step`: a row for every architecture, size and batch."""
    # They import jax, which --help does without.
    from experiments.benchmarks import train_step
    from experiments.benchmarks.ceilings import measure_ceilings

    modes = torch_side.parse_modes(FLAGS.against, FLAGS.torch_modes)
    samples = FLAGS.samples or SAMPLES
    cases, device = cases_and_device(f"{samples} samples each", modes)
    print(train_step.CAVEAT, flush=True)
    asked = device.platform != "cpu" if FLAGS.ceilings is None else FLAGS.ceilings
    ceilings = in_a_process(measure_ceilings, FLAGS.dtype) if asked else None
    rows = (train_step.train_step_row(case, device, modes, samples, ceilings=ceilings) for case in cases)
    write_and_print(rows, train_step.describe_train_step)


def measure_epochs() -> None:
    """`--measure=epoch`: a row for every architecture, size and batch."""
    from experiments.benchmarks import epoch, train_step  # Import jax, which --help does without.

    modes = torch_side.parse_modes(FLAGS.against, FLAGS.torch_modes)
    samples, images = FLAGS.samples or LEAST_SAMPLES, one_number_of_images(epoch.IMAGES)
    cases, device = cases_and_device(f"{samples} samples each", modes)
    print(epoch.CAVEAT, flush=True)
    rows = (epoch.epoch_row(case, images, device, modes, samples) for case in cases)
    write_and_print(rows, train_step.describe_train_step)


def measure_replicas() -> None:
    """`--measure=replicas`: a row for every architecture, size and batch."""
    from experiments.benchmarks import replicas  # Imports jax, which --help does without.

    ways = replicas.parse_ways(FLAGS.replicas_as)
    require_range("--seeds", FLAGS.seeds, 2)
    samples, images = FLAGS.samples or LEAST_SAMPLES, one_number_of_images(REPLICAS_IMAGES)
    cases, device = cases_and_device(f"{samples} samples each")
    print(replicas.CAVEAT, flush=True)
    rows = (replicas.replicas_row(case, images, FLAGS.seeds, device, ways, samples) for case in cases)
    write_and_print(rows, replicas.describe_replicas)


def measure_compilation() -> None:
    """`--measure=compile`: a row for every architecture, size and batch."""
    from experiments.benchmarks import compilation  # Imports jax, which --help does without.

    cases, device = cases_and_device("traced and compiled once")
    rows = (compilation.compile_row(case, device) for case in cases)
    write_and_print(rows, compilation.describe_compilation)


def measure_pipelines() -> None:
    """`--measure=pipeline`: a row for every number of images streamed, and one for the smallest on the device."""
    images = parse_sizes("images", FLAGS.images or PIPELINE_IMAGES, least=2 * pipeline.BATCH)
    cases, samples = pipeline.default_cases(images), FLAGS.samples or SAMPLES
    device = in_a_process(find_device)
    announce(f"{len(cases)} case(s), {samples} samples each", device)
    print(pipeline.CAVEAT, flush=True)
    others = Others()
    rows = pipeline.measure_pipeline(cases, samples, on_progress=lambda text: print(text, flush=True))
    known = {"device": device.name, "versions": versions("jax", "grain"), "other_programs_cores": others.cores()}
    write_and_print((row | known for row in rows), lambda row: pipeline.describe_pipeline_row(row, rows[0]))


def measure_end_to_end() -> None:
    """`--measure=end_to_end`: for every size and batch a row with cold caches and one with warm ones."""
    modes = torch_side.parse_modes(FLAGS.against, FLAGS.torch_modes)
    require_range("--epochs", FLAGS.epochs, 1)
    if FLAGS.dataset:
        end_to_end.require_photographs(FLAGS.dataset)
    count = one_number_of_images(end_to_end.PHOTOGRAPHS)
    samples = FLAGS.samples or LEAST_SAMPLES
    cases, device = cases_and_device(f"{samples} sample(s) each", modes)
    print(end_to_end.CAVEAT, flush=True)
    with tempfile.TemporaryDirectory(prefix="resjax-photographs-") as scratch:
        if not FLAGS.dataset:
            end_to_end.write_photographs(Path(scratch), count)
        exercises = [
            end_to_end.Exercise(
                FLAGS.dataset or f"folder:{scratch}",
                FLAGS.image_dir,
                FLAGS.architectures,
                image_size,
                batch_size,
                FLAGS.epochs,
                FLAGS.dtype,
                tuple(given_sizes().items()),
            )
            for image_size, batch_size in dict.fromkeys((case.image_size, case.batch_size) for case in cases)
        ]
        rows = (row for exercise in exercises for row in end_to_end.end_to_end_rows(exercise, device, modes, samples))
        write_and_print(rows, end_to_end.describe_end_to_end)


def one_number_of_images(default: int) -> int:
    """--images where it is given, for the measures that generate one set.

    Raises:
      BadInput: for several numbers.
    """
    counts = parse_sizes("images", FLAGS.images or str(default), least=20)
    if len(counts) > 1:
        raise BadInput(f"--images={FLAGS.images}: one number is accepted with --measure={FLAGS.measure}")
    return counts[0]


def cases_and_device(how: str, torch_modes: tuple[str, ...] = ()) -> tuple[list[Case], Device]:
    """The cases of the flags and what they run on, said in a line; refuses what the device cannot do."""
    cases = make_cases(
        FLAGS.architectures,
        parse_sizes("image_size", FLAGS.image_size, least=8),
        parse_sizes("batch_size", FLAGS.batch_size, least=2),
        FLAGS.dtype,
        **given_sizes(),
    )
    device = in_a_process(find_device)
    require_dtype(device, FLAGS.dtype)
    torch_side.require_modes(device, cases, torch_modes)
    announce(f"{len(cases)} case(s), {how}", device)
    return cases, device


def announce(what: str, device: Device) -> None:
    """Says what is measured on what."""
    print(f"{what}, on {device.name}", flush=True)


def write_and_print(rows: Iterable[dict], describe: Callable[[dict], str]) -> None:
    """Prints each row in words as it comes, and writes all so far to --json, with what else ran here meanwhile.

    Rows that are measured together say that themselves.
    """
    written, others = [], Others()
    for row in rows:
        cores = row.setdefault("other_programs_cores", others.cores())
        written.append(row)
        print(describe(row), flush=True)
        if cores is not None and cores > UNDISTURBED:
            print(f"  WARNING: other programs used {cores:.1f} cores meanwhile: the figures and their ratio are off")
        if FLAGS.json:
            write_lines(FLAGS.json, written)
        others = Others()


MEASURES = {
    "train_step": measure_train_steps,
    "epoch": measure_epochs,
    "pipeline": measure_pipelines,
    "compile": measure_compilation,
    "replicas": measure_replicas,
    "end_to_end": measure_end_to_end,
}


COMMAND = Command("benchmark", __doc__, main, (define_flags,))
