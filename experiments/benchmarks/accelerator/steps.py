"""The steps of the suite, in order of value."""

import importlib.util
import subprocess
from functools import partial
from typing import NamedTuple

import jax

from resjax.functional import Functional
from resjax.models.architecture import architecture
from resjax.records import plain
from resjax.run.setup.costs import activation_bytes, forward_flops

from ..epoch import our_epochs
from ..harness.cases import CLASSES, Case
from ..harness.ceilings import PASSES, measure_ceilings
from ..harness.contenders import Contender, Failure, contest
from ..harness.machine import require_dtype
from ..harness.rows import versions
from ..replicas import describe_replicas, replicas_row
from ..train_step import describe_train_step, our_train_steps, train_step_row
from .cifar import cifar_cases
from .exercise import exercise_cases
from .interruption import interruption_cases
from .precision import precision_cases
from .settings import Measured, Step, SuiteCase, SuiteSettings

OPTIONAL = ("torch", "grain", "imagehash", "tensorflow_datasets")
"""Packages that the suite can do without."""
FRACTIONS = {"inside": 0.9, "beyond": 1.25}
"""Batches that are tried, in parts of the largest one that should fit."""


class SpeedCase(NamedTuple):
    """A network at one size, batch and precision, and how it is measured."""

    architecture: str
    image_size: int
    batch_size: int
    dtype: str = "float32"
    torch_modes: tuple[str, ...] = ()
    images: int = 0
    seeds: int = 0
    width: int | None = None

    def case(self) -> Case:
        return Case(architecture(self.architecture, width=self.width), self.image_size, self.batch_size, self.dtype)

    def __str__(self) -> str:
        against = f", against {' and '.join(self.torch_modes)}" if self.torch_modes else ""
        return f"{self.architecture}, {self.image_size} px, batch {self.batch_size}, {self.dtype}{against}"


TRAIN_STEPS = (
    SpeedCase("resnet34", 224, 256, "bfloat16", ("channels_last",)),
    SpeedCase("resnet34", 300, 24, "float32", ("eager",)),
    # torch compiles for a minute, so these come later; ours is compiled already.
    SpeedCase("resnet34", 224, 256, "bfloat16", ("compile",)),
    SpeedCase("resnet34", 224, 256, "bfloat16", ("compile_graphs",)),
    SpeedCase("plain34", 224, 256, "bfloat16", ("channels_last",)),
    SpeedCase("plain34", 300, 24, "float32", ("eager",)),
    SpeedCase("resnet34", 224, 512, "bfloat16", ("compile",)),
)
SEEDS = (
    SpeedCase("resnet20", 32, 128, images=6000, seeds=8),
    SpeedCase("resnet34", 64, 24, images=600, seeds=4),
    SpeedCase("resnet34", 224, 24, images=240, seeds=4),
)
EPOCHS = (SpeedCase("resnet34", 300, 24, images=480), SpeedCase("resnet20", 32, 128, images=6000))
MEMORY = (SpeedCase("resnet34", 224, 128, "bfloat16"), SpeedCase("resnet34", 300, 24))
REHEARSED = SpeedCase("resnet8", 8, 4, images=20, seeds=2, width=2)
"""The case of all steps where there is no accelerator."""


def device_cases(settings: SuiteSettings) -> list[SuiteCase]:
    """What the machine is: devices, versions, and the ceilings that speeds are held against."""
    return [SuiteCase("machine", partial(_machine, settings)), SuiteCase("ceilings", partial(_ceilings, settings))]


def _machine(settings: SuiteSettings, seconds: float) -> Measured:
    found = versions("jax", "jaxlib", "flax", "optax", "safetensors", "numpy")
    missing = [name for name in OPTIONAL if not _can_import(name)]
    devices = jax.devices()
    memory = (devices[0].memory_stats() or {}).get("bytes_limit")
    try:
        asked = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        card = subprocess.run(asked, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        card = ""
    size = f" with {memory / 2**30:.0f} GiB" if memory else ""
    text = (
        f"{len(devices)} x {settings.device.name}{size}; jax {found['jax']}; without {', '.join(missing) or 'nothing'}"
    )
    return Measured(
        text,
        {
            "devices": [device.device_kind for device in devices],
            "memory_bytes": memory,
            "card": card,
            "versions": found,
            "missing": missing,
        },
    )


def _can_import(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _ceilings(settings: SuiteSettings, seconds: float) -> Measured:
    small = {"matrix_size": 64, "copy_bytes": 2**16} if settings.rehearsal else {}
    found = {dtype: measure_ceilings(dtype, **small) for dtype in ("bfloat16", "float32")}
    products = ", ".join(f"{dtype} {each.flops_per_second / 1e12:.3g} TFLOP/s" for dtype, each in found.items())
    copy = found["float32"].bytes_per_second
    return Measured(
        f"matrix product {products}; copy {copy / 1e9:.4g} GB/s",
        {
            "flops_per_second": {dtype: each.flops_per_second for dtype, each in found.items()},
            "bytes_per_second": copy,
        },
    )


def train_step_cases(settings: SuiteSettings) -> list[SuiteCase]:
    """The train step next to PyTorch's best."""
    cases = (REHEARSED._replace(torch_modes=("eager",)),) if settings.rehearsal else TRAIN_STEPS
    return [SuiteCase(str(each), partial(_train_step, settings, each)) for each in cases]


def _train_step(settings: SuiteSettings, asked: SpeedCase, seconds: float) -> Measured:
    case = asked.case()
    require_dtype(settings.device, case.dtype)
    modes = asked.torch_modes if _can_import("torch") else ()
    row = train_step_row(
        case,
        settings.device,
        modes,
        settings.samples,
        min_seconds=0.0 if settings.rehearsal else 0.5,
        ceilings=measure_ceilings(case.dtype) if not settings.rehearsal else None,
        open_contender=settings.open_contender,
    )
    if "ours" in row.failed:
        raise Failure(row.failed["ours"])
    missing = "" if modes else "; torch is not installed"
    return Measured(describe_train_step(row) + missing, plain(row))


def seeds_cases(settings: SuiteSettings) -> list[SuiteCase]:
    """Several seeds together, as one program that maps over them or computes all at once."""
    cases = (REHEARSED,) if settings.rehearsal else SEEDS
    return [SuiteCase(f"{each}, {each.seeds} seeds", partial(_seeds, settings, each)) for each in cases]


def _seeds(settings: SuiteSettings, asked: SpeedCase, seconds: float) -> Measured:
    case = asked.case()
    row = replicas_row(
        *(case, asked.images, asked.seeds, settings.device, ("vmap", "map"), settings.samples),
        open_contender=settings.open_contender,
    )
    flops = PASSES * case.batch_size * forward_flops(Functional(case.architecture, CLASSES), case.image_size)
    if not row.cost:
        raise Failure("; ".join(row.failed.values()))
    return Measured(f"{describe_replicas(row)}; {flops:.2g} operations a step", plain(row) | {"step_flops": flops})


def epoch_cases(settings: SuiteSettings) -> list[SuiteCase]:
    """All full batches of an epoch in one compiled call, next to a call for each step."""
    cases = (REHEARSED,) if settings.rehearsal else EPOCHS
    return [SuiteCase(str(each), partial(_epoch, settings, each)) for each in cases]


def _epoch(settings: SuiteSettings, asked: SpeedCase, seconds: float) -> Measured:
    programs = {name: (our_epochs, asked.case(), asked.images, name == "one call") for name in ("one call", "steps")}
    rates, failures, _ = contest(programs, settings.samples, 0.0, settings.open_contender)
    if len(rates) < len(programs):
        raise Failure("; ".join(f"{name}: {why}" for name, why in failures.items()))
    epochs = {name: [1 / rate for rate in values] for name, values in rates.items()}
    medians = {name: sorted(values)[len(values) // 2] for name, values in epochs.items()}
    return Measured(
        ", ".join(f"{name} {value:.3f} s" for name, value in medians.items())
        + f" an epoch of {asked.images} images with augmentation and evaluation",
        {"seconds": epochs, "ratio": medians["steps"] / medians["one call"], "images": asked.images},
    )


def memory_cases(settings: SuiteSettings) -> list[SuiteCase]:
    """How much memory a step takes, and whether the largest batch that should fit does."""
    cases = (REHEARSED,) if settings.rehearsal else MEMORY
    return [SuiteCase(str(each), partial(_memory, settings, each)) for each in cases]


def _memory(settings: SuiteSettings, asked: SpeedCase, seconds: float) -> Measured:
    small, large = asked, asked._replace(batch_size=4 * asked.batch_size)
    peaks = [_peak(settings, each) for each in (small, large)]
    case = asked.case()
    per_image = (peaks[1] - peaks[0]) / (large.batch_size - small.batch_size)
    activations = activation_bytes(Functional(case.architecture, CLASSES, case.dtype), case.image_size)
    values = {
        "peak_bytes": {str(each.batch_size): peak for each, peak in zip((small, large), peaks, strict=True)},
        "bytes_per_image": per_image,
        "per_activation_byte": per_image / activations,
    }
    text = f"{per_image / 2**20:.1f} MiB an image, {values['per_activation_byte']:.1f} times its activations"
    limit = (jax.devices()[0].memory_stats() or {}).get("bytes_limit")
    if limit is None or per_image <= 0:
        return Measured(text, values)
    fits = int((limit - peaks[0]) / per_image) + small.batch_size
    tried = {}
    for name, fraction in FRACTIONS.items():
        try:
            tried[name] = _peak(settings, asked._replace(batch_size=int(fraction * fits)))
        except Failure as failure:
            tried[name] = str(failure)
    outcomes = ", ".join(f"{name} it {'ran' if isinstance(tried[name], int) else 'did not run'}" for name in tried)
    return Measured(f"{text}; batches up to {fits} should fit: {outcomes}", values | {"fits": fits, "tried": tried})


def _peak(settings: SuiteSettings, asked: SpeedCase) -> int:
    """The peak memory of two train steps in a process of their own. Raises `Failure`."""
    contender: Contender = settings.open_contender(our_train_steps, asked.case())
    try:
        contender.take(2)
    finally:
        described = contender.close()
    return described["peak_bytes"]


STEPS = (
    Step("devices", 0.05, device_cases),
    Step("exercise", 0.45, exercise_cases),
    Step("train_step", 0.22, train_step_cases),
    Step("seeds", 0.08, seeds_cases),
    Step("epoch", 0.05, epoch_cases),
    Step("interruption", 0.05, interruption_cases),
    Step("memory", 0.04, memory_cases),
    Step("precision", 0.03, precision_cases),
    Step("cifar20", 0.03, cifar_cases),
)
"""In order of value."""
