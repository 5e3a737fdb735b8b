"""`splits.json`: the same comparison on several splits, side by side."""

from msgspec import UNSET, UnsetType

from resjax.records.kinds.base import Config, Fold, Part, Record, Side, Status, require_sides
from resjax.records.kinds.comparison import Comparison, Described, PooledDifference
from resjax.records.kinds.summary import NetworkSummary


class NetworkOnSplit(Part, frozen=True, kw_only=True):
    """What is repeated of a network's part of `summary.json`."""

    seeds: list[int]
    status: dict[int, Status]
    best_val_accuracy: Described
    final_val_accuracy: Described
    final_train_accuracy: Described
    test_accuracy: Described | UnsetType = UNSET
    final_test_accuracy: Described | UnsetType = UNSET
    leaked_accuracy: Described | UnsetType = UNSET
    clean_accuracy: Described | UnsetType = UNSET
    problem: str | UnsetType = UNSET

    @classmethod
    def of(cls, network: NetworkSummary) -> "NetworkOnSplit":
        """That part of a summary."""
        return cls(**{name: getattr(network, name) for name in cls.__struct_fields__})


class SplitSummary(Part, frozen=True, kw_only=True):
    """The comparison on one split."""

    method: str
    label: str
    is_faulty: bool
    fold: Fold | None
    sides: dict[Side, int]
    """Images of each side."""
    class_images: dict[Side, list[int]] | UnsetType = UNSET
    """Images of each class on each side, in the order of the classes; absent in older records."""
    leaked: dict[Side, int]
    leaked_images: int
    architectures: dict[str, NetworkOnSplit]
    comparisons: list[Comparison]

    def __post_init__(self) -> None:
        require_sides(self.sides, ("train", "val", "test"), "sides")
        require_sides(self.leaked, ("val", "test"), "leaked")


class PooledNetwork(Part, frozen=True, kw_only=True):
    """A network's accuracy over the validation images of all folds."""

    seeds: list[int]
    best_val_accuracy: Described
    final_val_accuracy: Described


class CrossValidation(Part, frozen=True, kw_only=True):
    """What the folds say together."""

    images: int
    architectures: dict[str, PooledNetwork]
    comparisons: list[PooledDifference]


class SplitsDataset(Part, frozen=True, kw_only=True):
    """The images of all splits."""

    name: str
    classes: list[str]
    images: int


class Splits(Record, frozen=True, kw_only=True):
    """`splits.json`: a comparison on several splits."""

    config: Config
    numerics_version: int | UnsetType = UNSET
    """Of the code that trained; absent in older records."""
    dataset: SplitsDataset
    splits: dict[str, SplitSummary]
    cross_validated: CrossValidation | None
    """Null where the splits are no folds."""
