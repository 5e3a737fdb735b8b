"""A set of decoded images: the one form in which every source reaches splits, training and records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from jaxtyping import Int, Int32, UInt8


@dataclass(frozen=True)
class Exclusion:
    """Something in the source that is left out: an image, a row or a file."""

    id: str
    """File name or `row N`."""
    reason: str
    """One of a few fixed phrases, so that exclusions can be counted: `blank row`, `row without a file`, ..."""
    detail: str = ""


PIPELINES = ("auto", "resident", "streamed")
"""How images come to the device: see `resjax.data.pipeline`."""
RESIDENT_SHARE = 0.4
"""The share of the device's free memory that images may take; the rest is for activations, weights and XLA."""


@dataclass(frozen=True)
class ValueRanges:
    """The values that become black and white in images with more than 8 bits a channel, by the kind of number.

    None where a set has no such images.
    """

    integers: tuple[float, float] | None = None
    floats: tuple[float, float] | None = None

    def __bool__(self) -> bool:
        return self.integers is not None or self.floats is not None


OWN_RANGE = ValueRanges()
"""No range is given: each image is scaled by the range that it uses itself."""


class Pixels(Protocol):
    """Images on the host, (image, height, width, 3) in uint8: a numpy array, or rows of the cache on disk."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def nbytes(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Int[np.ndarray, " batch"], /) -> UInt8[np.ndarray, "batch height width 3"]: ...


@dataclass(frozen=True)
class Dataset:
    """Decoded images with their labels, contents and duplicate groups; row i of every field belongs to image i.

    >>> import numpy as np
    >>> pixels, labels = np.zeros((2, 8, 8, 3), np.uint8), np.array([0, 1], np.int32)
    >>> dataset = Dataset("two", ("cat", "dog"), ("a.png", "b.png"), labels, pixels, ("", ""), labels)
    >>> dataset.classes[dataset.labels[1]]
    'dog'
    """

    name: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    labels: Int32[np.ndarray, " image"]
    """Indices into `classes`."""
    images: Pixels
    contents: tuple[str, ...]
    """SHA-256 of each file's bytes in hexadecimal, or another name for the content: equal for equal bytes."""
    groups: Int32[np.ndarray, " image"]
    """The duplicate group of each image: equal numbers are copies of one picture."""
    thumbnails: Pixels | None = None
    """The same images at one fixed size, whatever size is trained at; near-duplicates are searched for in them. None
    where the source guarantees that different contents are different pictures."""
    sides: tuple[str, ...] | None = None
    """`train`, `val` or `test` for each image, where the source comes with its own split."""
    exclusions: tuple[Exclusion, ...] = ()
    ranges: ValueRanges = ValueRanges()
    """By which images with more than 8 bits a channel were scaled to 8 bits."""
    one_colour: tuple[str, ...] = ()
    """Ids of images that show one colour or nearly so."""
    notes: tuple[str, ...] = ()
    """How the source was understood, and what is probably a mistake in it, in lines for the user."""
    details: Mapping[str, object] = field(default_factory=dict)
    """Further facts about the source, for the record."""
