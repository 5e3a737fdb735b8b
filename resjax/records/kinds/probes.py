"""`probes.json`: what the probes measured, and which explanations that supports."""

from typing import Any, Literal

from msgspec import UNSET, UnsetType, field

from resjax.records.kinds.base import Environment, Interval, Part, Record
from resjax.records.kinds.comparison import Twins


class ProbedBlock(Part, frozen=True, kw_only=True):
    """A block by its place, and whether what leaves it has the shape of what enters it."""

    stage: int
    index: int
    keeps_shape: bool


class ProbedNetwork(Part, frozen=True, kw_only=True):
    """A network that was probed."""

    blocks: list[ProbedBlock]
    shortcut: str


class Measurement(Part, frozen=True, kw_only=True):
    """What a probe measured in a replica at one time."""

    network: str = field(name="arm")
    seed: int
    at: Literal["init", "best", "last"]
    epoch: int
    values: dict[str, list[float | None]]
    """Numbers by name; null where one is not finite."""


class LeftOut(Part, frozen=True, kw_only=True):
    """A replica that a probe left out, and why."""

    network: str = field(name="arm")
    seed: int | None
    reason: str


class Probe(Part, frozen=True, kw_only=True):
    """What one probe found."""

    settings: dict[str, Any]
    seconds: float
    measurements: list[Measurement]
    left_out: list[LeftOut]
    sentence: str


class Explanation(Part, frozen=True, kw_only=True):
    """Whether the measurements support a usual explanation."""

    claim: str
    probe: str
    measure: str
    baseline: str
    candidate: str
    depth: int | UnsetType = UNSET
    """Of both networks; this, `interval` and `claims` are absent in older records."""
    verdict: Literal["supported", "not supported", "cannot say"]
    sentence: str
    rule: str
    differences: list[float]
    """Candidate minus baseline, one a seed."""
    ci95: Interval | None
    """Of the mean difference of this claim alone."""
    interval: Interval | None | UnsetType = UNSET
    """That the verdict rests on: it holds together with those of the other claims with 95 %."""
    claims: int | UnsetType = UNSET
    """How many claims are judged together."""


class Probes(Record, frozen=True, kw_only=True):
    """`probes.json`: what the probes measured, and which explanations that supports."""

    environment: Environment
    networks: dict[str, ProbedNetwork] = field(name="arms")
    twins: list[Twins] | UnsetType = UNSET
    """The pairs that are judged; absent in older records."""
    probes: dict[str, Probe]
    explanations: list[Explanation]
    paragraph: str
