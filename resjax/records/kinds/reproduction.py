"""`reproduction.json`: published numbers and our own side by side."""

from typing import Literal

from msgspec import field

from resjax.records.kinds.base import Config, Environment, Part, Record, Status
from resjax.records.kinds.comparison import Depth, Described


class PublishedNumber(Part, frozen=True, kw_only=True):
    """One published number, in per cent of the images."""

    network: str = field(name="arm")
    value: int | float
    who: str
    where: str
    measures: str
    """What it is a share of, and of which epoch."""
    high: int | float | None
    """The other end where a range was given."""
    hedge: str
    """`about` for what was read off a figure, `more than` for a bound."""


class OwnNumbers(Part, frozen=True, kw_only=True):
    """Our numbers of one network on one split."""

    split: str
    """Empty where there is one split."""
    network: str = field(name="arm")
    seeds: list[int]
    status: dict[int, Status]
    measures: dict[str, Described]


class SplitDifferences(Part, frozen=True, kw_only=True):
    """The differences of a pair on one split."""

    split: str
    measures: dict[str, Described]


class PairNumbers(Part, frozen=True, kw_only=True):
    """Our differences of two networks, candidate minus baseline."""

    baseline: str
    candidate: str
    own: list[SplitDifferences]


class Recalls(Part, frozen=True, kw_only=True):
    """The recall of each class, published or ours."""

    of: str
    network: str = field(name="arm")
    classes: dict[str, float]


class ReproductionRecord(Record, frozen=True, kw_only=True):
    """`reproduction.json`: published numbers and our own side by side."""

    target: str
    title: str
    quantity: Literal["error", "accuracy"]
    quick: bool
    command: str
    environment: Environment
    replica_seconds: float
    config: Config
    dataset: str
    reports: list[str]
    notes: list[str]
    departures: list[str]
    measures: dict[str, str]
    """The headings of our own numbers."""
    published: list[PublishedNumber]
    own: list[OwnNumbers]
    pairs: list[PairNumbers]
    depth: list[Depth] | None
    recalls: list[Recalls] | None
    sentences: list[str]
