"""What a finished comparison says as a classifier: a line for each image, and `config.json` of an exported network."""

from typing import Literal

from msgspec import UNSET, UnsetType, field

from resjax.records.kinds.base import (
    ClassScores,
    Environment,
    Interval,
    Part,
    Record,
    Reported,
    Side,
    ValueRangesRecord,
)


class Prediction(Part, frozen=True, kw_only=True):
    """One line of what predict says in JSON: an image with its classes, or why it cannot be read."""

    image: str
    class_name: str | None = field(name="class")
    probability: float | None
    probabilities: dict[str, float] | None
    """Of the most probable classes."""
    problem: str | None
    architecture: str
    seeds: list[int]
    temperature: float
    grad_cam: str | UnsetType = UNSET
    """The file of the picture of what speaks for the class, where one was asked for."""


class Calibration(Part, frozen=True, kw_only=True):
    """Expected calibration error, what it would be by chance, and the loss in nats per image."""

    expected_calibration_error: float
    expected_by_chance: float
    loss: float


class TemperatureScaling(Part, frozen=True, kw_only=True):
    """The temperature that calibrates a classifier, with the calibration before and after it."""

    temperature: float
    problem: str | None
    """Why no temperature can be fitted, which is 1 then."""
    images: int
    measured_on: Literal["cross-fitted", "held out"] | None
    measured_images: int
    before: Calibration | None
    after: Calibration | None
    leaked_left_out: int
    """Images that nothing was fitted on because they leak."""


class ClassifierScores(Part, frozen=True, kw_only=True):
    """How good a classifier is on one side."""

    side: Reported
    images: int
    pictures: int
    """Copies counted once."""
    accuracy: float
    accuracy_ci95: Interval
    per_class: dict[str, ClassScores]


class ExportDataset(Part, frozen=True, kw_only=True):
    """The images that an exported network was trained and measured on."""

    name: str
    fingerprint: str
    images: int
    splits: dict[Side, int]
    split_label: str


class ExportedFile(Part, frozen=True, kw_only=True):
    """A file of an export."""

    bytes: int
    sha256: str


class ExportConfig(Record, frozen=True, kw_only=True):
    """`config.json` of an exported network: what it takes, what it answers, and how good it is."""

    architecture: str
    width: int
    stem: str
    parameters: int
    dtype: str
    seeds: list[int]
    chosen: str
    pooling: str
    classes: list[str]
    image_size: int
    resize: str
    value_ranges: ValueRangesRecord | UnsetType = UNSET
    """Absent where no image of the comparison has more than 8 bits a channel."""
    mean: list[float]
    std: list[float]
    temperature: float
    calibration: TemperatureScaling
    scores: ClassifierScores | None
    """Null where the predictions were not kept."""
    dataset: ExportDataset
    environment: Environment
    files: dict[str, ExportedFile]
