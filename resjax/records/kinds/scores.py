"""`scores.json`: how good the networks of a comparison are on labelled images from outside of it."""

from msgspec import UNSET, UnsetType

from resjax.records.kinds.base import Interval, Part, Record, require_square
from resjax.records.kinds.comparison import Comparison
from resjax.records.kinds.dataset import Listed


class MeasureOfSeeds(Part, frozen=True, kw_only=True):
    """A measure of each seed's own answers."""

    values: list[float]
    """One a seed; fractions, of the log loss nats."""
    mean: float
    interval: Interval | None
    """95 %, over seeds and groups of copies; null for one seed, for one group, and where nothing varies."""


class TogetherScores(Part, frozen=True, kw_only=True):
    """The answers that predict gives: those of all seeds together, calibrated."""

    accuracy: float
    interval: Interval
    """95 %, over groups of copies, with these seeds as they are (Wilson's, for the effective number of images)."""
    log_loss: float
    confusion_matrix: list[list[int]]
    """Rows are true classes, columns predicted ones."""


class LabelledNetwork(Part, frozen=True, kw_only=True):
    """How good a network is on the images that none of its replicas has seen."""

    seeds: list[int]
    measures: dict[str, MeasureOfSeeds]
    """By the names that --metric takes; without means over classes where a class has no image."""
    confusion_matrix: list[list[int]]
    """Of the seeds' own answers; an image is counted once for each seed."""
    together: TogetherScores
    seen_accuracy: float | None
    """Mean over seeds on the images that were trained or chosen on; null where there are none."""


class SeenImages(Part, frozen=True, kw_only=True):
    """The labelled images that the comparison trained on, or chose the epoch by; they are scored apart."""

    same_bytes: int | None
    """Null where the comparison does not name its images by their bytes."""
    near_copies: int | None
    """Of other bytes; null where nobody could look."""
    compared_with: int
    """The images of train and val whose pictures were there to be compared."""
    known: int
    """The images of train and val."""
    in_test: int
    """Images with the bytes of one of its test images; these are scored, for nothing was chosen by them."""
    ids: list[str]


class LabelledScores(Record, frozen=True, kw_only=True):
    """`scores.json`: how good the networks of a comparison are on labelled images from outside of it."""

    fingerprint: str
    """Of the data of the comparison."""
    classes: dict[str, int]
    """Images of each class that are scored."""
    images: int
    groups: int
    """Copies counted once."""
    near_copies_known: bool
    """Whether near-copies among the images are in one group; otherwise files with the same bytes are."""
    majority_share: float
    """The accuracy of always answering the largest class."""
    seen: SeenImages
    left_out: list[Listed]
    metric: str
    """That the comparisons are judged by: the run's."""
    margin: float | UnsetType = UNSET
    """Absent where the run has none."""
    networks: dict[str, LabelledNetwork]
    comparisons: list[Comparison]
    no_comparison: str | None
    """Why there is none; null where there is one."""

    def __post_init__(self) -> None:
        for name, network in self.networks.items():
            require_square(network.confusion_matrix, len(self.classes), f"{name}: confusion_matrix")
            require_square(network.together.confusion_matrix, len(self.classes), f"{name}: together.confusion_matrix")
