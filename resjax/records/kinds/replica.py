"""What a replica leaves in its folder: the lines of `metrics.jsonl`, `result.json`, and what a checkpoint holds."""

from pathlib import Path
from typing import Literal

from msgspec import UNSET, UnsetType

from resjax.records.files import from_plain, read_values
from resjax.records.kinds.base import ClassScores, Environment, Part, Record, Reported, require_square


class MetricsLine(Part, frozen=True, kw_only=True):
    """A replica after one epoch. Losses are in nats per image, accuracies are fractions."""

    epoch: int
    """From 1."""
    train_loss: float | None
    """Null where it is not finite."""
    train_accuracy: float
    val_loss: float | None
    """Null where it is not finite."""
    val_accuracy: float
    learning_rate: float | None
    """Null where an optimizer of one's own has it inside."""
    is_best: bool
    seconds: float
    images_per_second: float
    trained_as: str | UnsetType = UNSET
    """How the replica was trained together with others; absent where it was trained by itself."""


class PartScores(Part, frozen=True, kw_only=True):
    """The accuracy on a part of the images, null of no images."""

    images: int
    correct: int
    accuracy: float | None


class DivergedAt(Part, frozen=True, kw_only=True):
    """The step whose loss was not finite, both from 1."""

    epoch: int
    step: int


class ReplicaTiming(Part, frozen=True, kw_only=True):
    """How long a replica took."""

    seconds: float
    training_seconds: float
    """The sum of the epochs' seconds."""
    device: str


class Done(Record, frozen=True, kw_only=True):
    """`result.json` of a replica that was trained to its end, with the scores of its best epoch's network."""

    architecture: str
    seed: int
    status: Literal["done"]
    parameters: int
    best: MetricsLine
    last: MetricsLine
    best_updates: int
    trained_as: list[str]
    """Each way in which its epochs were trained, once."""
    evaluated_on: Reported
    """The side that the scores below are of."""
    diverged_at: None = None
    loss: float
    accuracy: float
    confusion_matrix: list[list[int]]
    """Rows are true classes, columns predicted ones."""
    per_class: dict[str, ClassScores]
    last_three_val_accuracy: float
    final_test_accuracy: float | UnsetType = UNSET
    """After the last epoch; absent without a test set."""
    best_optimism: float | None
    """By how much the best epoch's accuracy is too high for having been chosen; null where that is not known."""
    leaked: PartScores | UnsetType = UNSET
    """On the images that are on another side too; absent where no image leaks."""
    clean: PartScores | UnsetType = UNSET
    timing: ReplicaTiming
    environments: list[Environment] | UnsetType = UNSET
    """Those in which it was trained, in order; several where a mixture was allowed, absent in older records."""

    def __post_init__(self) -> None:
        require_square(self.confusion_matrix, len(self.per_class), "confusion_matrix")


class Diverged(Record, frozen=True, kw_only=True):
    """`result.json` of a replica whose loss was no longer finite."""

    architecture: str
    seed: int
    status: Literal["diverged"]
    parameters: int
    best: MetricsLine | None
    last: MetricsLine
    best_updates: int
    trained_as: list[str]
    evaluated_on: Reported
    diverged_at: DivergedAt
    loss: None = None
    accuracy: None = None
    confusion_matrix: None = None
    per_class: None = None
    timing: ReplicaTiming
    environments: list[Environment] | UnsetType = UNSET
    """Those in which it was trained, in order; several where a mixture was allowed, absent in older records."""


Result = Done | Diverged
"""`status` tells them apart: `result.status == "done"` makes the rest a `Done`."""


def read_result(path: Path | str) -> Result:
    """Reads `result.json`.

    Raises:
      DamagedRecord: where the file is not JSON, or not what its checksum says.
      RecordError: where it is of another schema version, or not a result. Both name the file.
    """
    values = read_values(path)
    diverged = isinstance(values, dict) and values.get("status") == "diverged"
    return from_plain(values, Diverged if diverged else Done, str(path))


class PackedAnswers(Part, frozen=True, kw_only=True):
    """Which validation images were right after each epoch."""

    images: int
    bits: str
    """A bit an image, rows padded to bytes, in base64."""
    epochs: int


class BegunEpoch(Part, frozen=True, kw_only=True):
    """What an unfinished epoch has come to: sums by step."""

    loss: list[float | None]
    correct: list[int]
    seconds: float


class Progress(Part, frozen=True, kw_only=True):
    """What a checkpoint holds beside the state."""

    lines: list[MetricsLine]
    correct: PackedAnswers | None
    begun: BegunEpoch | UnsetType = UNSET
    """Of a checkpoint inside an epoch."""
