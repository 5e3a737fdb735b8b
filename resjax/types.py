"""Array types with named axes, and the few records that every layer shares.

Axis names are the same everywhere: `batch`, `height`, `width`, `channel`, `class`, `image` (all images of a set). The
types of JAX's arrays lie in `resjax.arrays` and are loaded when first used: what reads flags, records and images needs
no JAX.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from jaxtyping import Int, Int32, UInt8

if TYPE_CHECKING:
    from resjax.arrays import Batch as Batch
    from resjax.arrays import Features as Features
    from resjax.arrays import Images as Images
    from resjax.arrays import Labels as Labels
    from resjax.arrays import Logits as Logits
    from resjax.arrays import Parameters as Parameters
    from resjax.arrays import PixelImages as PixelImages
    from resjax.arrays import PRNGKey as PRNGKey
    from resjax.arrays import Statistics as Statistics
    from resjax.arrays import Variables as Variables


class BadInput(ValueError):
    """What the user gave cannot be used.

    The text is one line that names the value and what would be accepted; the command line prints it and exits with 2.

    >>> from resjax import BadInput, architecture
    >>> try:
    ...     architecture("resnet34", width=0)
    ... except BadInput as error:
    ...     print(error)
    --width=0: a number of channels, 1 or more, is accepted
    """


@dataclass(frozen=True)
class Exclusion:
    """Something of the source that is left out: an image, a row or a file."""

    id: str
    """File name or `row N`."""
    reason: str
    """One of a few fixed phrases, so that exclusions can be counted: `blank row`, `row without a file`, ..."""
    detail: str = ""


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
    """Decoded images, with what is known of each.

    Rows of all fields belong together. `groups` numbers the groups of copies: equal numbers are copies of one picture.

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
    images: Pixels
    contents: tuple[str, ...]
    """SHA-256 of each image's bytes, in hexadecimal, or what else names them: equal for equal bytes."""
    groups: Int32[np.ndarray, " image"]
    thumbnails: Pixels | None = None
    """The same images at a size of their own, the same whatever size is trained at: near-copies are looked for in them.
    None where the source knows that different contents are different pictures."""
    sides: tuple[str, ...] | None = None
    """`train`, `val` or `test` of each image, where the source comes with its own split."""
    exclusions: tuple[Exclusion, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)
    """What else is known of the source, for the record."""


def __getattr__(name: str) -> object:
    if name.startswith("_"):
        raise AttributeError(f"module 'resjax.types' has no attribute {name!r}")
    from resjax import arrays

    return getattr(arrays, name)
