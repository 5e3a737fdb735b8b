"""The statistics that records hold: seeds described, networks compared, `looks.json`, classes, calibration, depth."""

from typing import Any, Literal

from msgspec import UNSET, UnsetType, field

from resjax.records.kinds.base import Interval, Part, Record

Verdict = Literal["candidate better", "baseline better", "equivalent", "inconclusive"]
"""What a comparison comes to."""


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


class Equivalence(Part, frozen=True, kw_only=True):
    """Whether a difference is smaller than a margin: two one-sided tests, over seeds and over seeds and images."""

    margin: float
    """In the unit of the differences."""
    over_seeds: float | None
    """The larger p of the two sign-flip tests."""
    over_both: float | None
    """The larger p of the two tests of the interval."""
    p_value: float | None
    """The largest of the four."""
    adjusted_p_value: float | None
    """Times the number of comparisons; null where there is one."""


class DivergedShare(Part, frozen=True, kw_only=True):
    """How many of a network's replicas diverged, with the exact 95 % interval of the share (Clopper and Pearson)."""

    diverged: int
    seeds: int
    """Replicas that ended."""
    interval: Interval | None


class Divergence(Part, frozen=True, kw_only=True):
    """The replicas of two networks that diverged, and what they change; only where one did."""

    baseline: DivergedShare
    candidate: DivergedShare
    only_baseline: int
    """Seeds of which only the baseline's replica diverged."""
    only_candidate: int
    p_value: float | None
    """McNemar's exact p over the seeds that ended in both; null where no seed tells the networks apart."""
    value_at_chance: float
    """What a diverged replica counts as below."""
    seeds: list[int]
    """Of this analysis: all that ended in both networks."""
    differences: list[float]
    mean: float | None
    ci95: Interval | None
    """Null with fewer than twelve seeds, with which it covers too little."""
    p_value_at_chance: float | None
    """As the comparison's `p_value`, with diverged replicas at chance."""


class EarlierLook(Part, frozen=True, kw_only=True):
    """A verdict that was shown before this one: on fewer seeds, or on another question."""

    seeds: int
    metric: str
    margin: float | None
    verdict: Verdict
    baseline: str | UnsetType = UNSET
    """This and the candidate where it was about another pair, which is not judged any more."""
    candidate: str | UnsetType = UNSET


class Look(Part, frozen=True, kw_only=True):
    """A verdict that was shown."""

    baseline: str
    candidate: str
    condition: str | UnsetType = UNSET
    """Of a sweep that has several."""
    settings: dict[str, str | None] | UnsetType = UNSET
    """Of a sweep: the point of the grid that each network was chosen at."""
    metric: str
    margin: float | None
    seeds: list[int]
    """That both networks had finished."""
    level: float
    planned: list[int]
    """The numbers of seeds that the level was planned for (--seeds=auto); empty for one look."""
    comparisons: int
    """How many were judged together."""
    verdict: Verdict
    recipe_version: int
    """Of the numerics of the replicas."""
    resjax: str | None
    """The version that judged; null where the summary does not say."""


class Looks(Record, frozen=True, kw_only=True):
    """`looks.json`: it begins with the workdir, so that a missing one tells."""

    complete: bool
    """False where an earlier file was missing or damaged: more verdicts may have been shown."""
    looks: list[Look]


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
    equivalence: Equivalence | UnsetType = UNSET
    """Absent without a margin; this and the rest is absent in older records too."""
    divergence: Divergence | UnsetType = UNSET
    """Absent where no replica diverged."""
    earlier_looks: list[EarlierLook] | UnsetType = UNSET
    """Verdicts that were shown before and that the level was not planned for; absent where there is none."""
    planned_looks: list[EarlierLook] | UnsetType = UNSET
    """The looks before this one that the level is planned for (--seeds=auto); absent where there is none."""
    looks_are_lost: bool | UnsetType = UNSET
    """True where the record of earlier verdicts was missing or damaged; otherwise absent."""
    not_above_chance: list[str] | UnsetType = UNSET
    """Those of the two networks that are not shown to be better than chance; absent where both are."""
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
