"""What a sweep writes: `sweep.json`, and `failure.json` of a cell that did not end."""

from typing import Any, Literal

from msgspec import UNSET, UnsetType, field

from resjax.records.kinds.base import Config, Environment, Part, Record, Reported, Side, Status, require_sides
from resjax.records.kinds.comparison import Comparison, Depth, Described
from resjax.records.kinds.environment import TrainedIn
from resjax.records.kinds.summary import DataOfRun

CellStatus = Literal["done", "diverged", "failed", "pending"]
"""How a cell of a sweep stands."""


class SweepDataset(DataOfRun, frozen=True, kw_only=True):
    """The images of a sweep."""

    leaked: dict[Side, int]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_sides(self.leaked, ("val", "test"), "leaked")


class CellCounts(Part, frozen=True, kw_only=True):
    """How many cells stand how."""

    done: int
    diverged: int
    failed: int
    pending: int


class CellRecord(Part, frozen=True, kw_only=True):
    """A cell: a point of the grid, an architecture and a seed."""

    point: str
    architecture: str
    seed: int
    status: CellStatus
    reason: str | None
    folder: str
    seconds: float | None


class Setting(Part, frozen=True, kw_only=True):
    """A network at one point of the grid."""

    status: dict[int, Status]
    best_val_accuracy: Described
    final_train_accuracy: Described
    test_accuracy: Described | None


class TunedNetwork(Part, frozen=True, kw_only=True):
    """A network under one condition: every setting, the best one, and what choosing it is worth."""

    depth: int | None
    family: str
    settings: dict[str, Setting]
    chosen: str | None
    """The point that is best on validation; null where no cell is done."""
    choices: dict[str, float]
    edges: list[str]
    chosen_by_others: Described | None
    optimism_of_choice: float | None


class MeanAtPoint(Part, frozen=True, kw_only=True):
    """The mean difference at one point of the grid."""

    seeds: int
    mean: float | None


class EqualSettings(Part, frozen=True, kw_only=True):
    """Two networks at the same settings, point by point."""

    baseline: str
    candidate: str
    points: dict[str, MeanAtPoint]


class Condition(Part, frozen=True, kw_only=True):
    """What the results say at one choice of all that is neither learning rate nor decay."""

    label: str
    condition: dict[str, Any]
    points: list[str]
    networks: dict[str, TunedNetwork] = field(name="arms")
    comparisons: list[Comparison]
    at_equal_settings: list[EqualSettings]
    depth: list[Depth] | None


class Declaration(Record, frozen=True, kw_only=True):
    """What a sweep was told, with a fingerprint of all that its results depend on."""

    recipe_version: int
    config: Config
    grid: dict[str, list[Any]]
    points: dict[str, dict[str, Any]]
    architectures: list[str]
    seeds: list[int]
    dataset: SweepDataset
    environment: Environment
    fingerprint: str


class Sweep(Declaration, frozen=True, kw_only=True):
    """`sweep.json`: a comparison at every point of a grid."""

    reported_on: Reported
    tuned: list[str]
    counts: CellCounts
    cells: list[CellRecord]
    conditions: list[Condition]
    environments: list[TrainedIn] | UnsetType = UNSET
    """Each environment in which cells were trained, with these; absent where none says so."""
    merged: list[str] | UnsetType = UNSET
    """The folders of shards that were brought together."""


class Failure(Record, frozen=True, kw_only=True):
    """`failure.json`: why a cell of a sweep did not end."""

    architecture: str
    seed: int
    kind: Literal["bad input", "out of memory", "error"]
    reason: str
