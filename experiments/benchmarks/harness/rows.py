"""The rows that the benchmarks write, one JSON record a line, and what several of them compute and say alike."""

import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

from msgspec import UNSET, UnsetType

from resjax.records import NUMERICS_VERSION, Part

from .cases import Case

Samples = dict[str, list[float]]
"""The samples of each side: `ours`, and the modes of PyTorch."""


class MeasuredRow(Part, frozen=True, kw_only=True):
    """What every row says."""

    measure: str
    device: str
    versions: dict[str, str]
    other_programs_cores: float | None | UnsetType = UNSET
    """The mean number of cores that other programs used; null if the system does not say."""


class CaseRow(MeasuredRow, frozen=True, kw_only=True):
    """What was measured, of one network, size, batch and precision."""

    architecture: str
    image_size: int
    batch_size: int
    width: int
    stem: str
    dtype: str


class ContestRow(CaseRow, frozen=True, kw_only=True):
    """Ours next to PyTorch. The samples are images per second."""

    ours_images_per_second: float | None
    """The median; null if our side failed."""
    torch_images_per_second: float | None
    """The median of PyTorch's fastest mode; null without one."""
    torch_mode: str | None
    ratio: float | None
    """Ours over PyTorch's, above 1 if ours is faster; null if a side is missing."""
    samples: Samples
    peak_bytes: dict[str, int]
    failed: dict[str, str]
    """The reason why a side has no samples."""


class TrainStepRow(ContestRow, frozen=True, kw_only=True):
    """`--measure=train_step`."""

    ceiling_flops_per_second: float | UnsetType = UNSET
    """This and the fields up to `roofline_share` are absent if the ceilings of the device were not measured."""
    ceiling_bytes_per_second: float | UnsetType = UNSET
    model_flops_per_second: float | UnsetType = UNSET
    flops_share: float | UnsetType = UNSET
    bytes_per_second: float | None | UnsetType = UNSET
    """Null if XLA does not say how many bytes a step moves."""
    bytes_share: float | UnsetType = UNSET
    roofline_share: float | UnsetType = UNSET
    launch: str | None
    """How our steps were launched, one of `train_step.LAUNCHES`."""


class EpochRow(ContestRow, frozen=True, kw_only=True):
    """`--measure=epoch`. The samples are training images per second."""

    images: int
    augment: str


class CompileRow(CaseRow, frozen=True, kw_only=True):
    """`--measure=compile`: seconds of our train step."""

    trace_seconds: float
    compile_seconds: float
    warm_compile_seconds: float
    """From a warm cache."""


class ReplicasRow(ContestRow, frozen=True, kw_only=True):
    """`--measure=replicas`. The samples are seconds of an epoch, of `one` seed and of all seeds in each way.

    Our images per second are those of all seeds together, in the cheapest way; PyTorch is not asked.
    """

    torch_images_per_second: None = None
    torch_mode: None = None
    ratio: None = None
    images: int
    seeds: int
    cheapest: str | None
    cost: dict[str, float]
    """An epoch of all seeds in each way, in epochs of one seed."""


class PipelineRow(MeasuredRow, frozen=True, kw_only=True):
    """`--measure=pipeline`. The samples are images per second."""

    images: int
    image_size: int
    batch_size: int
    pipeline: str
    ours_images_per_second: float
    peak_resident_bytes: int
    reading_seconds: float
    samples: list[float]


class EndToEndRow(MeasuredRow, frozen=True, kw_only=True):
    """`--measure=end_to_end`. The samples are images per second, of all epochs of all networks."""

    architecture: str
    image_size: int
    batch_size: int
    dtype: str
    width: int | UnsetType = UNSET
    """This and the stem are absent if they were not given."""
    stem: str | UnsetType = UNSET
    epochs: int
    dataset: str
    train_images: dict[str, int]
    cache: str
    """Of our side: `cold` or `warm`."""
    ours_images_per_second: float | None
    torch_images_per_second: float | None
    torch_mode: str | None
    ratio: float | None
    samples: Samples
    seconds: Samples
    shares: dict[str, dict[str, float]]
    """The fraction of each side's time that each part of the work took."""
    failed: dict[str, str]


class ConvolutionRow(MeasuredRow, frozen=True, kw_only=True):
    """`--measure=convolution`: milliseconds of a layer's forward pass and both gradients together."""

    layer: str
    images: tuple[int, ...]
    """(batch, *spatial, in)."""
    kernel: tuple[int, ...]
    """(*taps, in / groups, out)."""
    dtype: str
    milliseconds: dict[str, float]
    """Medians: `ours`, `xla` (JAX without resjax) and the modes of PyTorch."""
    torch_over_ours: float | None
    """PyTorch's better mode over ours, above 1 if ours is faster; null if a side is missing."""
    samples: Samples
    failed: dict[str, str]


Row = TrainStepRow | EpochRow | CompileRow | ReplicasRow | PipelineRow | EndToEndRow | ConvolutionRow


class Medians(NamedTuple):
    """The medians of our samples and of PyTorch's fastest mode, and their ratio; keywords of a row."""

    ours_images_per_second: float | None
    torch_images_per_second: float | None
    torch_mode: str | None
    ratio: float | None


def medians_of(samples: Mapping[str, Sequence[float]]) -> Medians:
    """The medians of our side and of PyTorch's fastest mode."""
    medians = {name: statistics.median(values) for name, values in samples.items()}
    ours = medians.pop("ours", None)
    best = max(medians, key=medians.__getitem__, default=None)
    theirs = medians[best] if best else None
    return Medians(ours, theirs, best, ours / theirs if theirs and ours else None)


def case_fields(case: Case, measure: str) -> dict[str, Any]:
    """The fields of `CaseRow`, as keywords."""
    return {
        "measure": measure,
        "architecture": case.architecture.name,
        "image_size": case.image_size,
        "batch_size": case.batch_size,
        "width": case.architecture.width,
        "stem": case.architecture.stem,
        "dtype": case.dtype,
    }


def describe_case(row: CaseRow) -> str:
    """The fields of `CaseRow` in words."""
    return (
        f"{row.architecture}, width {row.width}, {row.stem} stem, {row.image_size} px, batch {row.batch_size}, "
        f"{row.dtype}"
    )


def describe_samples(row: ContestRow) -> str:
    """The images per second of each side, the ratio, and which side failed."""
    samples = dict(row.samples)
    parts = [f"ours {spread(samples.pop('ours'))} images/s"] if "ours" in samples else []
    if samples:
        parts.append("torch " + ", ".join(f"{mode} {spread(values)}" for mode, values in samples.items()))
    if row.ratio is not None:
        parts.append(f"ours / torch {row.torch_mode} = {row.ratio:.2f}")
    parts += [f"{name} FAILED, {why}" for name, why in row.failed.items()]
    return "; ".join(parts)


def describe_memory(row: ContestRow) -> str:
    """The peak memory of each side."""
    peaks = ", ".join(f"{name} {peak / 2**30:.1f}" for name, peak in row.peak_bytes.items())
    return f"; peak memory in GiB: {peaks}" if peaks else ""


def spread(values: Sequence[float], digits: int = 1) -> str:
    """The median, the lowest and the highest value.

    >>> spread([1.0, 2.0, 4.0])
    '2.0 (1.0 to 4.0)'
    """
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def versions(*packages: str) -> dict[str, str]:
    """The installed versions, and that of our numerics."""
    return {name: version(name) for name in packages} | {"numerics": str(NUMERICS_VERSION)}
