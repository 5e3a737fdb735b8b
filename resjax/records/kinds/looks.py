"""`looks.json`: every verdict that was shown of a workdir's replicas, in order."""

from msgspec import UNSET, UnsetType

from resjax.records.kinds.base import Part, Record
from resjax.records.kinds.comparison import Verdict


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
