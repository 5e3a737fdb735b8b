"""What a benchmark measures: a network at one size, batch and precision, on one device; in flags, numbers and words."""

import itertools
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from resjax.errors import BadInput
from resjax.models.architecture import Architecture, architecture
from resjax.training.recipe import Recipe

CLASSES = 5
RECIPE = Recipe()
"""The first exercise's: Adam 5e-4, decay 5e-4, batches of 24, 10 epochs."""
FIRST_WITH_BFLOAT16 = 8.0
"""NVIDIA's compute capability from which on there is bfloat16; a T4 has 7.5."""


@dataclass(frozen=True)
class Case:
    """One network at one size, batch and precision."""

    architecture: Architecture
    image_size: int
    batch_size: int
    dtype: str


@dataclass(frozen=True)
class Device:
    """What JAX computes on."""

    platform: str
    """As JAX says: `cpu`, `gpu` or `tpu`."""
    name: str
    compute_capability: float | None = None
    """Of an NVIDIA card."""


def make_cases(
    names: str, image_sizes: Sequence[int], batch_sizes: Sequence[int], dtype: str, **sizes: object
) -> list[Case]:
    """Every network, by names joined by commas, at every size and batch; `sizes` are fields of `Architecture`.

    Raises:
      BadInput: for an unknown architecture.
    """
    return [
        Case(architecture(name.strip(), **sizes), image_size, batch_size, dtype)
        for name, image_size, batch_size in itertools.product(names.split(","), image_sizes, batch_sizes)
    ]


def random_images(count: int, image_size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (image, height, width, 3) in uint8 and labels (image,) in int32, the same for both sides."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, image_size, image_size, 3), np.uint8)
    return pixels, rng.integers(0, CLASSES, count, np.int32)


def case_record(case: Case, measure: str) -> dict:
    """The part of a row that says what was measured."""
    return {
        "measure": measure,
        "architecture": case.architecture.name,
        "image_size": case.image_size,
        "batch_size": case.batch_size,
        "width": case.architecture.width,
        "stem": case.architecture.stem,
        "dtype": case.dtype,
    }


def describe_case(row: dict) -> str:
    """What `case_record` says, in words."""
    return (
        f"{row['architecture']}, width {row['width']}, {row['stem']} stem, {row['image_size']} px, "
        f"batch {row['batch_size']}, {row['dtype']}"
    )


def compared(samples: dict[str, list[float]]) -> dict:
    """The medians of ours and of torch's best mode, and the ratio."""
    medians = {name: statistics.median(values) for name, values in samples.items()}
    ours = medians.pop("ours", None)
    best = max(medians, key=medians.__getitem__, default=None)
    return {
        "ours_images_per_second": ours,
        "torch_images_per_second": medians[best] if best else None,
        "torch_mode": best,
        "ratio": ours / medians[best] if best and ours else None,
    }


def versions(*packages: str) -> dict[str, str]:
    """The installed versions."""
    return {name: version(name) for name in packages}


def find_device() -> Device:
    """This process's device: an accelerator by its name, a processor by its name and number of cores."""
    # The cases are read with the flags, and --help needs no JAX.
    import jax

    device = jax.devices()[0]
    if device.platform != "cpu":
        capability = getattr(device, "compute_capability", None)
        return Device(device.platform, device.device_kind, float(capability) if capability else None)
    name = platform.processor() or platform.machine()
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return Device("cpu", f"{name}, {os.cpu_count()} cores")


def require_dtype(device: Device, dtype: str) -> None:
    """Raises `BadInput` where the device has no such numbers, and would compute something else or crawl."""
    capability = device.compute_capability
    if dtype == "bfloat16" and capability is not None and capability < FIRST_WITH_BFLOAT16:
        raise BadInput(
            f"--dtype=bfloat16: {device.name} has none (compute capability {capability:g}, {FIRST_WITH_BFLOAT16:g} is "
            "needed); --dtype=float32 is accepted"
        )


def parse_sizes(flag: str, text: str, least: int) -> tuple[int, ...]:
    """Whole numbers of `least` or more, joined by commas.

    Raises:
      BadInput: for anything else.
    """
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) >= least for part in parts):
        raise BadInput(f"--{flag}={text!r}: whole numbers of {least} or more, joined by commas, are accepted")
    return tuple(int(part) for part in parts)


def spread(values: Sequence[float], digits: int = 1) -> str:
    """The median, and the least and the greatest."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
