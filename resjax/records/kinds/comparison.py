"""The statistics that records hold: several seeds described, networks compared, classes, calibration and depth."""

from typing import Any, Literal

from msgspec import UNSET, UnsetType, field

from resjax.records.kinds.base import Interval, Part

Verdict = Literal["candidate better", "baseline better", "inconclusive"]


class Described(Part, frozen=True, kw_only=True):
    """Values, their mean and standard deviation, and the 95 % interval of the mean (Student's t)."""

    values: list[float]
    mean: float | None
    """Null without values."""
    sd: float | None
    """Null with fewer than two values."""
    ci95: Interval | None


class OverSeeds(Part, frozen=True, kw_only=True):
    """What the seeds alone say of a difference."""

    p_value: float | None
    test: str | None
    ci95: Interval | None


class OverImages(Part, frozen=True, kw_only=True):
    """What the images say of a difference of one seed (McNemar's test)."""

    seed: int
    only_baseline_right: int
    only_candidate_right: int
    p_value: float | None


class OverBoth(Part, frozen=True, kw_only=True):
    """What seeds and images together say of a difference."""

    p_value: float | None
    bootstrap_ci95: Interval | None


class PairedDifference(Part, frozen=True, kw_only=True):
    """The differences of two networks, candidate minus baseline, over the seeds that both have finished."""

    baseline: str
    candidate: str
    metric: str
    seeds: list[int]
    differences: list[float]
    """Fractions, one a seed."""
    mean: float | None
    sd: float | None
    ci95: Interval | None


class Comparison(PairedDifference, frozen=True, kw_only=True):
    """Whether one network is better than another, with all that the verdict rests on."""

    interval: str | None
    """What `ci95` is an interval of, in words."""
    p_value: float | None
    test: str | None
    level: float
    over_seeds: OverSeeds
    over_images: list[OverImages]
    over_both: OverBoth
    smallest_detectable: float | None
    detectable: dict[int, float | None]
    """The smallest difference that is found reliably, by number of seeds."""
    seeds_to_settle: int | None
    settings: dict[str, str | None] | UnsetType = UNSET
    """The point of the grid that each network was chosen at; of a sweep alone."""
    holm_p_value: float | None
    """Adjusted for several comparisons; null where there is one."""
    verdict: Verdict | None
    """Null where no seed is finished in both."""
    sentence: str


class PooledDifference(PairedDifference, frozen=True, kw_only=True):
    """A difference over the images of all folds, of which no test is known."""

    p_value: None = None
    test: None = None
    verdict: None = None


class Twins(Part, frozen=True, kw_only=True, order=True):
    """A plain network and its residual twin."""

    depth: int
    baseline: str
    candidate: str


class Slope(Described, frozen=True, kw_only=True):
    """How a difference changes with depth, per ten layers."""

    p_value: float | None


class DepthMeasure(Part, frozen=True, kw_only=True):
    """One measure of the twins of a family: its difference at each depth."""

    by_depth: list[Described]
    slope: Slope


class Depth(Part, frozen=True, kw_only=True):
    """What the shortcut does at each depth of one family."""

    twins: list[Twins]
    seeds: list[int]
    measures: dict[str, DepthMeasure]


class Finding(Part, frozen=True, kw_only=True):
    """One sentence of the diagnosis."""

    kind: str
    network: str | None = field(name="arm")
    """That it is about; null where it is about the data. Its key is `arm`."""
    sentence: str
    evidence: dict[str, Any]
    """The numbers that the rule compared, thresholds included."""
    rule: str = ""
    """What it takes to be said."""


class ClassDifference(Part, frozen=True, kw_only=True):
    """The recall of one class by both networks; fractions, with 95 % intervals."""

    images: int
    baseline: float | None
    baseline_interval: Interval | None
    candidate: float | None
    candidate_interval: Interval | None
    difference: float | None
    interval: Interval | None
    """Of the difference, for all classes together."""
    interval_over: str
    by_seed: list[float]


class ClassDifferences(Part, frozen=True, kw_only=True):
    """The recalls of each class by two networks."""

    baseline: str
    candidate: str
    classes: dict[str, ClassDifference]


class ReliabilityBin(Part, frozen=True, kw_only=True):
    """The images of a bin of confidence, with their mean confidence and accuracy."""

    images: int
    confidence: float
    accuracy: float


class Reliability(Part, frozen=True, kw_only=True):
    """Confidence against accuracy, and the expected calibration error."""

    expected_calibration_error: float
    expected_by_chance: float
    confidence: float
    accuracy: float
    bins: list[ReliabilityBin]


class PooledReliability(Reliability, frozen=True, kw_only=True):
    """The bins of several seeds together, the errors averaged over the seeds."""

    seeds: int
