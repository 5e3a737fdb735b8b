"""What every source becomes before anything is decoded: names, labels and a way to the bytes of each image."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int32

from resjax.data.dataset import Exclusion
from resjax.types import BadInput

SIDE_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""What a folder or a split of a source is called in small letters, and the side that it then is."""


@dataclass(frozen=True)
class Catalogue:
    """What a source holds, before anything is decoded; sorted by id."""

    name: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    labels: Int32[np.ndarray, " image"]
    read: Callable[[int], bytes]
    """The file of the image with this number, as it was found; raises OSError where it cannot be read. May be called
    from several threads at once."""
    exclusions: tuple[Exclusion, ...] = ()
    content: Callable[[int], str] | None = None
    """A name for the image's bytes, equal for equal bytes, where the source has one that is cheaper than a SHA-256."""
    sides: tuple[str, ...] | None = None
    """`train`, `val` or `test` of each image, where the source comes with its own split."""
    has_near_copies: bool = True
    """False where different contents are known to be different pictures."""


def usable(catalogue: Catalogue) -> Catalogue:
    """The catalogue as it can be trained on: classes that have no image are left out, and listed as such.

    A class that a side other than train lacks is listed too: it stays, and its images there are simply none.

    Raises:
      BadInput: without images, with fewer than two classes, and where train lacks a class that another side has.
    """
    spec = f"dataset {catalogue.name!r}"
    if not catalogue.ids:
        raise BadInput(f"{spec}: no images with a label ({_counted(catalogue.exclusions)}); at least two are needed")
    counts = np.bincount(catalogue.labels, minlength=len(catalogue.classes))
    classes = tuple(name for name, count in zip(catalogue.classes, counts, strict=True) if count)
    if len(classes) < 2:
        raise BadInput(f"{spec}: {', '.join(classes)!r} is the only class with images; at least two are needed")
    notes = [Exclusion(name, "class without an image") for name in catalogue.classes if name not in classes]
    labels = (np.cumsum(counts > 0) - 1).astype(np.int32)[catalogue.labels]
    if catalogue.sides is not None:
        notes += _classes_missing(spec, classes, labels, catalogue.sides)
    return replace(catalogue, classes=classes, labels=labels, exclusions=(*catalogue.exclusions, *notes))


def _classes_missing(
    spec: str, classes: tuple[str, ...], labels: Int32[np.ndarray, " image"], sides: tuple[str, ...]
) -> list[Exclusion]:
    classes_of = {side: set(labels[np.array(sides) == side].tolist()) for side in dict.fromkeys(sides)}
    in_train = classes_of.get("train", set())
    notes = []
    for side, present in classes_of.items():
        if unknown := sorted(present - in_train):
            raise BadInput(
                f"{spec}: class {classes[unknown[0]]!r} has images in {side} and none in train; "
                "add some to train, or leave the class out"
            )
        notes += [
            Exclusion(name, f"class without an image in {side}")
            for label, name in enumerate(classes)
            if label not in present
        ]
    return notes


def _counted(exclusions: Iterable[Exclusion]) -> str:
    reasons = [exclusion.reason for exclusion in exclusions]
    return ", ".join(f"{reasons.count(reason)} {reason}" for reason in dict.fromkeys(reasons)) or "nothing is there"
