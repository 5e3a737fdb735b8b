"""`plan.json`: which difference so many seeds will show, before anything is trained."""

from resjax.records.kinds.base import Part, Record


class PlannedSeeds(Part, frozen=True, kw_only=True):
    """What a number of seeds shows; in the unit of the metric (fractions, nats)."""

    seeds: int
    detectable: float | None
    """The true difference that gives a verdict with 80 % probability; null where so few seeds cannot give one."""
    margin: float | None
    """The margin within which equally good networks are called equivalent with 80 % probability; null likewise."""


class PlannedLooks(PlannedSeeds, frozen=True, kw_only=True):
    """With --seeds=auto: what the last look shows by itself."""

    looks: list[int]
    level: float
    """Of each look."""


class Assumptions(Part, frozen=True, kw_only=True):
    """What a plan without a pilot rests on; fractions."""

    spread: float
    """Standard deviation between seeds of the difference, on ever more images."""
    accuracy: float
    disagreement: float
    """The share of images that only one of the two networks of a pair has right."""


class Plan(Record, frozen=True, kw_only=True):
    """`plan.json`: which difference how many seeds show on these images."""

    source: str
    """The images, in words."""
    images: int
    groups: int
    """Pictures that are not copies of each other."""
    metric: str
    level: float
    comparisons: int
    """That are judged together."""
    assumptions: Assumptions | None
    """Null with a pilot."""
    pilot: str | None
    """The comparison whose seeds and images the plan is made from, in words."""
    over_seeds: float
    """The variance of the difference between single seeds."""
    over_images: float
    """The part of the variance that more seeds do not reduce."""
    by_seeds: list[PlannedSeeds]
    auto: PlannedLooks
    detectable_at_best: float | None
    """With 10,000 seeds: the smallest difference that these images can show."""
    margin: float | None
    """That was asked for."""
    seeds_for_margin: int | None
    """The fewest seeds that call equal networks equivalent within it with 80 % probability; null if 200 do not."""
    difference: float | None
    """That was asked for."""
    seeds_for_difference: int | None
