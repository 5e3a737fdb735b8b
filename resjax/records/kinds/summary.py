"""`summary.json`, a comparison on one split, and `recipe.json`, what its replicas depend on."""

from typing import Any

from msgspec import UNSET, UnsetType

from resjax.records.kinds.base import (
    ClassScores,
    Config,
    Environment,
    InitFrom,
    Part,
    Record,
    Side,
    Status,
    ValueRangesRecord,
    require_sides,
    require_square,
)
from resjax.records.kinds.comparison import (
    ClassDifferences,
    Comparison,
    Depth,
    Described,
    Finding,
    Look,
    PooledReliability,
)
from resjax.records.kinds.environment import TrainedIn


class DataOfRun(Part, frozen=True, kw_only=True):
    """The images of a run and their split."""

    name: str
    fingerprint: str
    """Of contents, labels and sides, in order."""
    classes: list[str]
    images: int
    split: str
    """The method: `grouped`, `random`, `overlapping` or `given`."""
    split_label: str
    split_is_faulty: bool
    splits: dict[Side, int]
    """Images of each side."""
    class_images: dict[Side, list[int]] | UnsetType = UNSET
    """Images of each class on each side, in the order of `classes`; absent in older records, as the next."""
    independent_images: dict[Side, float] | UnsetType = UNSET
    """How many images without copies would say as much of an accuracy as those of each side: N^2 / sum_g m_g^2, with
    m_g the sizes of the groups of copies and N their sum."""

    def __post_init__(self) -> None:
        require_sides(self.splits, ("train", "val", "test"), "splits")


class SummaryDataset(DataOfRun, frozen=True, kw_only=True):
    """The images of a comparison."""

    exact_copies: int
    near_copies: int | None
    """Null where they were not looked for."""
    leaked_images: int
    leaked: dict[Side, int]
    """Images of val and test that are on another side too, themselves or as a copy."""
    unreadable: list[str]
    """Ids of images."""
    left_out: int
    value_ranges: ValueRangesRecord | UnsetType = UNSET
    """Absent where no image has more than 8 bits a channel."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_sides(self.leaked, ("val", "test"), "leaked")


class OwnSource(Part, frozen=True, kw_only=True):
    """What a network was made from that has no name in resjax."""

    origin: str
    """`module:name` of the callable that made it, or `Architecture`."""
    sha256: str
    """Of its source: another source is another recipe."""
    fields: dict[str, Any] | UnsetType = UNSET
    """Of an `Architecture`."""


class NetworkCosts(Part, frozen=True, kw_only=True):
    """What a network costs for one image, what it is made from, and what it starts from."""

    parameters: int
    forward_flops: float
    forward_flops_xla: float | None
    """By XLA's cost analysis; null where it was not asked."""
    activation_bytes: int
    init_from: InitFrom | None
    """Null for random numbers."""
    own: OwnSource | UnsetType = UNSET
    """Absent for a network that has a name in resjax."""


class Relation(Part, frozen=True, kw_only=True):
    """What a network is beside others, so that those of other workdirs can be compared with it."""

    depth: int
    family: str
    """What networks that differ in depth alone have in common."""
    plain_twin: str | None
    """The name of the same network without the shortcut; null for a plain one, and where there is none."""


class NetworkSummary(NetworkCosts, frozen=True, kw_only=True):
    """One network of a comparison: its replicas, and their accuracies (fractions) over the seeds that are done."""

    trained_as: list[str]
    """Each way in which its replicas were trained, once."""
    seeds: list[int]
    status: dict[int, Status]
    best_val_accuracy: Described
    final_val_accuracy: Described
    last_three_val_accuracy: Described | UnsetType = UNSET
    """This and the others below that may be absent are where no finished replica has the metric."""
    best_optimism: Described | UnsetType = UNSET
    final_train_accuracy: Described
    test_accuracy: Described | UnsetType = UNSET
    final_test_accuracy: Described | UnsetType = UNSET
    leaked_accuracy: Described | UnsetType = UNSET
    clean_accuracy: Described | UnsetType = UNSET
    best_updates: dict[int, int]
    confusion_matrix: list[list[int]]
    """The sum over the finished seeds; rows are true classes, columns predicted ones."""
    per_class: dict[str, ClassScores]
    measures: dict[str, Described] | UnsetType = UNSET
    """What --metric offers, of the side and epoch that the verdict is on; absent without a finished replica."""
    relation: Relation | UnsetType = UNSET
    """Absent in older records."""
    problem: str | UnsetType = UNSET
    """Why not all replicas were finished."""


class Origin(Part, frozen=True, kw_only=True):
    """Where one of several comparisons came from that were brought together."""

    config: Config
    """With --seeds, --metric, --margin and --comparisons as they were asked for."""
    environment: Environment
    looks: list[Look] | UnsetType = UNSET
    """Verdicts that were shown there; this and the rest is absent in older records."""
    planned: list[int] | UnsetType = UNSET
    """The numbers of seeds that its level is planned for (--seeds=auto); empty for one look."""
    level: float | UnsetType = UNSET


class Summary(Record, frozen=True, kw_only=True):
    """`summary.json`: a comparison on one split."""

    recipe_version: int
    """`NUMERICS_VERSION` of the code: replicas of different versions are not mixed."""
    config: Config
    environment: Environment
    """That of the first replica, or of this start before there is one."""
    environments: list[TrainedIn] | UnsetType = UNSET
    """Each environment in which replicas were trained, with these; absent where none says so."""
    dataset: SummaryDataset
    architectures: dict[str, NetworkSummary]
    comparisons: list[Comparison]
    depth: list[Depth] | None
    """Null without twins of several depths."""
    diagnosis: list[Finding] | UnsetType = UNSET
    """This and the two below come when the comparison ends."""
    class_differences: list[ClassDifferences] | UnsetType = UNSET
    calibration: dict[str, PooledReliability | None] | UnsetType = UNSET
    merged: list[Origin] | UnsetType = UNSET
    """Of several comparisons that were brought together."""

    def __post_init__(self) -> None:
        for name, network in self.architectures.items():
            place = f"architectures.{name}.confusion_matrix"
            require_square(network.confusion_matrix, len(self.dataset.classes), place)


class RecipeData(Part, frozen=True, kw_only=True):
    """What `recipe.json` says of the data."""

    fingerprint: str


class RecipeNetwork(Part, frozen=True, kw_only=True):
    """What `recipe.json` says of a network."""

    init_from: InitFrom | None
    own: OwnSource | UnsetType = UNSET


class RecipeRecord(Record, frozen=True, kw_only=True):
    """`recipe.json`: written once, so that it outlives damage to the summary; its keys are the summary's."""

    recipe_version: int
    config: Config
    dataset: RecipeData
    architectures: dict[str, RecipeNetwork]
