"""What is known of the images: `dataset.json`, `split.json` and `gallery.json`."""

from msgspec import UNSET, UnsetType

from resjax.records.kinds.base import Fold, Part, Record, Side, ValueRangesRecord


class Listed(Part, frozen=True, kw_only=True):
    """A file or row that was left out or looks odd."""

    id: str
    reason: str
    detail: str


class ExpectedLeak(Part, frozen=True, kw_only=True):
    """The share of validation images that a random split would leak, by exact copies and by all copies of pictures."""

    val_fraction: float
    exact: float
    pictures: float


class GivenSplit(Part, frozen=True, kw_only=True):
    """The split that the data came with."""

    images: dict[Side, int]
    leaked: list[str]
    """Ids of images of val and test with a copy on another side."""


class CopyGroup(Part, frozen=True, kw_only=True):
    """Images that are copies of one picture."""

    ids: list[str]
    contents: list[str]
    labels: list[str]
    weakest_link: float | None
    """The least likeness within the group; null where all bytes are equal."""


class DatasetRecord(Record, frozen=True, kw_only=True):
    """`dataset.json`: what is known of the images."""

    name: str
    classes: dict[str, int]
    """Images of each class."""
    images: int
    distinct_contents: int
    distinct_pictures: int
    pictures_of_class: dict[str, int]
    decoded: int
    excluded: list[Listed]
    findings: list[Listed] | None
    """Of an audit; null where nobody looked."""
    expected_leak: ExpectedLeak
    given_split: GivenSplit | None
    conflicts: list[list[str]]
    """Ids of copies with different labels."""
    groups: list[CopyGroup]
    one_colour: list[str] | UnsetType = UNSET
    """Ids of images that show one colour or nearly so; absent where nobody looked."""
    value_ranges: ValueRangesRecord | UnsetType = UNSET
    """Absent where no image has more than 8 bits a channel."""
    notes: list[str] | UnsetType = UNSET
    """How the source was understood, and what is probably a mistake in it; older records lack it."""


class SplitImage(Part, frozen=True, kw_only=True):
    """An image on one side of a split."""

    id: str
    label: str
    group: str
    side: Side
    content: str


class SplitRecord(Record, frozen=True, kw_only=True):
    """`split.json`: the side of each image."""

    method: str
    label: str
    seed: int | None
    fold: Fold | None
    train_fraction: float
    fractions: dict[Side, float]
    images: list[SplitImage]


class Gallery(Record, frozen=True, kw_only=True):
    """`gallery.json`: thumbnails of the pictures that the report shows."""

    thumbnails: dict[str, str]
    """JPEG data URIs by the images' ids."""
