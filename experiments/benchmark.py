"""How fast is the train step, next to PyTorch's for the same network, batch and size, measured in one run?

  python -m experiments.benchmark --architectures=plain34,resnet34 --image_size=64 --batch_size=24 --json=rows.jsonl
  python -m experiments.benchmark --against=none --image_size=64,224 --batch_size=24,64
  python -m experiments.benchmark --measure=compile --architectures=resnet34,resnet50,se_resnet34
  python -m experiments.benchmark --measure=pipeline --images=20000,200000

Each case prints the median of images per second with its spread over the samples, and the ratio of the medians. Both
sides take turns, so that what else happens on the machine meets them alike. --measure=compile says instead how long our
step takes to trace and to compile, --measure=pipeline what an image costs in time and memory when the set is streamed
from the disk.
"""

import importlib.util
import itertools
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments import pipeline_benchmark
from experiments.options import DTYPES, FLAGS, define_size_flags, given_sizes, main_program
from resjax.data.augmentation import IMAGENET_MEAN, IMAGENET_STD
from resjax.functional import Functional
from resjax.models.architecture import Architecture, architecture
from resjax.report.records import write_lines
from resjax.training.loop import make_train_step
from resjax.training.optimizer import make_optimizer
from resjax.training.recipe import Recipe, require_choice, require_range
from resjax.training.state import initial_state
from resjax.types import BadInput, Batch

MEASURES = ("train_step", "compile", "pipeline")
AGAINST = ("torch", "none")
TORCH_MODES = ("eager", "channels_last", "compile")
CLASSES = 5
RECIPE = Recipe()
CAVEAT = (
    "Steps on one batch that lies on the device, without augmentation, reading or evaluation: this tells neither how "
    "long a run takes, nor how soon a network learns, nor what another machine, size or batch would give."
)

Runner = Callable[[int], None]
"""Takes that many train steps and returns when they are done."""


@dataclass(frozen=True)
class Case:
    """One network at one size, batch and precision."""

    architecture: Architecture
    image_size: int
    batch_size: int
    dtype: str


def random_batch(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (batch, height, width, 3) in uint8 and labels (batch,) in int32, the same for both sides."""
    rng = np.random.default_rng(0)
    shape = (case.batch_size, case.image_size, case.image_size, 3)
    return rng.integers(0, 256, shape, np.uint8), rng.integers(0, CLASSES, case.batch_size, np.int32)


def our_runner(case: Case) -> Runner:
    """Train steps of resjax, compiled one by one as on the CPU in `resjax.training.loop`."""
    functional = Functional(case.architecture, CLASSES, case.dtype)
    optimizer = make_optimizer(RECIPE, steps_per_epoch=1)
    step = jax.jit(make_train_step(functional, optimizer), donate_argnums=0)
    batch = Batch(*(jnp.asarray(array) for array in random_batch(case)))
    state = initial_state(functional, optimizer, seed=0)

    def run(steps: int) -> None:
        nonlocal state
        for _ in range(steps):
            state, _ = step(state, batch)
        jax.block_until_ready(state)

    return run


def torch_runner(case: Case, mode: str) -> Runner:
    """Train steps of PyTorch: `eager` (NCHW), `channels_last`, or `compile` (channels_last under torch.compile).

    Adam is the fused one, which is PyTorch's fastest.
    """
    import torch

    from experiments.torch_networks import TorchNetwork

    device = _torch_device()
    torch.set_num_threads(os.cpu_count() or 1)
    torch.backends.cudnn.benchmark = True
    layout = torch.contiguous_format if mode == "eager" else torch.channels_last
    torch.manual_seed(0)
    network = TorchNetwork(case.architecture, CLASSES).to(device, memory_format=layout)
    forward = torch.compile(network) if mode == "compile" else network
    optimizer = torch.optim.Adam(
        network.parameters(), lr=RECIPE.learning_rate, weight_decay=RECIPE.weight_decay, fused=True
    )
    pixels, labels = (torch.from_numpy(array).to(device) for array in random_batch(case))
    pixels, labels = pixels.permute(0, 3, 1, 2).contiguous(memory_format=layout), labels.long()
    mean, deviation = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))

    def run(steps: int) -> None:
        for _ in range(steps):
            images = (pixels.float() / 255 - mean) / deviation
            with torch.autocast(device, torch.bfloat16, enabled=case.dtype == "bfloat16"):
                logits = forward(images)
            loss = torch.nn.functional.cross_entropy(logits.float(), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def measure(
    runners: dict[str, Runner], batch_size: int, samples: int, min_seconds: float = 1.0
) -> dict[str, list[float]]:
    """Images per second of each runner in each sample; in every round each runner has its turn.

    A sample is as many steps as take about `min_seconds`, after one step that is not timed.
    """
    steps = {}
    for name, run in runners.items():
        run(2)
        start = time.perf_counter()
        run(1)
        steps[name] = max(1, math.ceil(min_seconds / (time.perf_counter() - start)))
    rates: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(samples):
        for name, run in runners.items():
            run(1)
            start = time.perf_counter()
            run(steps[name])
            rates[name].append(steps[name] * batch_size / (time.perf_counter() - start))
    return rates


def benchmark_row(case: Case, samples: int, torch_modes: tuple[str, ...], min_seconds: float = 1.0) -> dict:
    """Measures a case and describes it; of several torch modes the one with the best median counts.

    `ratio` is ours over torch's, above 1 where ours is faster; with no torch mode it is None.
    """
    runners = {"ours": our_runner(case)} | {mode: torch_runner(case, mode) for mode in torch_modes}
    rates = measure(runners, case.batch_size, samples, min_seconds)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    best = max(torch_modes, key=medians.__getitem__, default=None)
    packages = ("jax", "jaxlib", "flax", *(("torch",) if torch_modes else ()))
    return _case_record(case, "train_step") | {
        "ours_images_per_second": medians["ours"],
        "torch_images_per_second": medians[best] if best else None,
        "torch_mode": best,
        "ratio": medians["ours"] / medians[best] if best else None,
        "versions": {name: version(name) for name in packages},
        "samples": rates,
    }


def compile_row(case: Case) -> dict:
    """How long it takes to trace our train step, and to compile it; once, for XLA keeps what it has compiled."""
    functional = Functional(case.architecture, CLASSES, case.dtype)
    optimizer = make_optimizer(RECIPE, steps_per_epoch=1)
    step = jax.jit(make_train_step(functional, optimizer), donate_argnums=0)
    batch = Batch(*(jnp.asarray(array) for array in random_batch(case)))
    state = jax.eval_shape(lambda: initial_state(functional, optimizer, seed=0))
    start = time.perf_counter()
    lowered = step.lower(state, batch)
    traced = time.perf_counter()
    lowered.compile()
    return _case_record(case, "compile") | {
        "trace_seconds": traced - start,
        "compile_seconds": time.perf_counter() - traced,
        "versions": {name: version(name) for name in ("jax", "jaxlib", "flax")},
    }


def _case_record(case: Case, measured: str) -> dict:
    return {
        "measure": measured,
        "architecture": case.architecture.name,
        "image_size": case.image_size,
        "batch_size": case.batch_size,
        "width": case.architecture.width,
        "stem": case.architecture.stem,
        "dtype": case.dtype,
        "device": describe_device(),
    }


def describe_row(row: dict) -> str:
    """A row in words, with the least and the greatest sample of each side."""
    text = (
        f"{row['architecture']}, width {row['width']}, {row['stem']} stem, {row['image_size']} px, "
        f"batch {row['batch_size']}, {row['dtype']}: "
    )
    if row["measure"] == "compile":
        return text + f"traced in {row['trace_seconds']:.1f} s, compiled in {row['compile_seconds']:.1f} s"
    text += f"ours {_spread(row['samples']['ours'])} images/s"
    if row["torch_mode"]:
        others = {mode: values for mode, values in row["samples"].items() if mode != "ours"}
        torch_text = ", ".join(f"{mode} {_spread(values)}" for mode, values in others.items())
        text += f"; torch {torch_text}; ours / torch {row['torch_mode']} = {row['ratio']:.2f}"
    return text


def describe_device() -> str:
    """The accelerator's name, or the processor's with its number of cores."""
    if jax.default_backend() != "cpu":
        return jax.devices()[0].device_kind
    name = platform.processor() or platform.machine()
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return f"{name}, {os.cpu_count()} cores"


def parse_sizes(flag: str, text: str, least: int) -> tuple[int, ...]:
    """Whole numbers of `least` or more, joined by commas.

    Raises:
      BadInput: for anything else.
    """
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) >= least for part in parts):
        raise BadInput(f"--{flag}={text!r}: whole numbers of {least} or more, joined by commas, are accepted")
    return tuple(int(part) for part in parts)


def parse_torch_modes(against: str, text: str) -> tuple[str, ...]:
    """The modes of PyTorch to measure, none where it is not measured against.

    Raises:
      BadInput: for an unknown mode, or where torch is not installed or cannot use JAX's device.
    """
    if against == "none":
        return ()
    modes = tuple(mode.strip() for mode in text.split(","))
    for mode in modes:
        require_choice("--torch_modes", mode, TORCH_MODES)
    if importlib.util.find_spec("torch") is None:
        raise BadInput(
            "--against=torch: torch is not installed; pip install -e '.[benchmark]' brings it, --against=none measures "
            "ours alone"
        )
    _torch_device()
    return modes


def require_safe(case: Case, torch_modes: tuple[str, ...]) -> None:
    """Refuses what makes torch write past its memory: oneDNN's gradient of a 1x1 convolution with stride 2 in
    channels_last with fewer than 16 channels (https://github.com/uxlfoundation/oneDNN/issues/6035).

    Raises:
      BadInput: for such a case.
    """
    projects = case.architecture.shortcut.startswith("project")
    if projects and case.architecture.width < 16 and _torch_device() == "cpu" and set(torch_modes) - {"eager"}:
        raise BadInput(
            f"--torch_modes={','.join(torch_modes)}: torch's channels_last can crash on the CPU below width 16 "
            f"({case.architecture.name}, width {case.architecture.width}); --torch_modes=eager is accepted"
        )


def define_flags() -> None:
    flags.DEFINE_string("measure", "train_step", f"one of {', '.join(MEASURES)}")
    flags.DEFINE_string("against", "torch", f"one of {', '.join(AGAINST)}")
    flags.DEFINE_string("torch_modes", "eager,channels_last", f"of {', '.join(TORCH_MODES)}; the fastest counts")
    flags.DEFINE_string("architectures", "plain34,resnet34", "networks by name, joined by commas")
    flags.DEFINE_string("image_size", "64", "height and width of the images in pixels; several joined by commas")
    flags.DEFINE_string("batch_size", "24", "images a step; several joined by commas")
    define_size_flags()
    flags.DEFINE_string("dtype", "float32", f"one of {', '.join(DTYPES)}: what is computed in; parameters stay float32")
    flags.DEFINE_string("images", "20000,200000", "for --measure=pipeline: how many images; several joined by commas")
    flags.DEFINE_integer("samples", 7, "samples of about a second for each side, at least 5")
    flags.DEFINE_string("json", None, "file to write, one JSON record a line for each case")


def main() -> None:
    require_choice("--measure", FLAGS.measure, MEASURES)
    require_range("--samples", FLAGS.samples, 5)
    if FLAGS.json and not os.access(Path(FLAGS.json).absolute().parent, os.W_OK):
        raise BadInput(f"--json={FLAGS.json}: a file in a folder that exists and can be written is accepted")
    (measure_pipelines if FLAGS.measure == "pipeline" else measure_steps)()


def measure_steps() -> None:
    """`--measure=train_step` and `compile`: a row for every architecture, size and batch."""
    require_choice("--against", FLAGS.against, AGAINST)
    require_choice("--dtype", FLAGS.dtype, DTYPES)
    compiling = FLAGS.measure == "compile"
    torch_modes = parse_torch_modes("none" if compiling else FLAGS.against, FLAGS.torch_modes)
    cases = [
        Case(architecture(name.strip(), **given_sizes()), size, batch, FLAGS.dtype)
        for name, size, batch in itertools.product(
            FLAGS.architectures.split(","),
            parse_sizes("image_size", FLAGS.image_size, least=8),
            parse_sizes("batch_size", FLAGS.batch_size, least=2),
        )
    ]
    for case in cases:
        if torch_modes:
            require_safe(case, torch_modes)
    announce(f"{len(cases)} case(s), " + ("traced and compiled once" if compiling else f"{FLAGS.samples} samples each"))
    if not compiling:
        print(CAVEAT, flush=True)
    rows = []
    for case in cases:
        rows.append(compile_row(case) if compiling else benchmark_row(case, FLAGS.samples, torch_modes))
        print(describe_row(rows[-1]), flush=True)
        if FLAGS.json:
            write_lines(FLAGS.json, rows)


def measure_pipelines() -> None:
    """`--measure=pipeline`: a row for every number of images streamed, and one for the smallest on the device."""
    cases = pipeline_benchmark.default_cases(parse_sizes("images", FLAGS.images, least=2 * pipeline_benchmark.BATCH))
    announce(f"{len(cases)} case(s), {FLAGS.samples} samples each")
    print(pipeline_benchmark.CAVEAT, flush=True)
    rows = pipeline_benchmark.measure_pipeline(cases, FLAGS.samples, on_progress=lambda text: print(text, flush=True))
    for row in rows:
        row |= {"device": describe_device(), "versions": {name: version(name) for name in ("jax", "grain")}}
        print(pipeline_benchmark.describe_pipeline_row(row, rows[0]))
    if FLAGS.json:
        write_lines(FLAGS.json, rows)


def announce(what: str) -> None:
    """Says what is measured on what, and whether something else runs beside."""
    print(f"{what}, on {describe_device()}", flush=True)
    if hasattr(os, "getloadavg") and (load := os.getloadavg()[0]) > 0.5:
        print(f"WARNING: load average {load:.1f}: something else runs here, the figures and their ratio will be off")


def _torch_device() -> str:
    import torch

    backend = jax.default_backend()
    if backend == "cpu":
        return "cpu"
    if backend != "gpu" or not torch.cuda.is_available():
        raise BadInput(
            f"--against=torch: torch cannot use JAX's device ({backend}); --against=none measures ours alone, "
            "JAX_PLATFORMS=cpu measures both on the CPU"
        )
    return "cuda"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main_program(main, define_flags)
