"""The catalogue: what every source becomes before decoding, with names, labels and access to each image's bytes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int32

from resjax.data.dataset import Exclusion
from resjax.data.sources.class_names import class_warnings
from resjax.errors import BadInput

SIDE_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""The side that a folder or a split of a source becomes, by its name in lower case."""


@dataclass(frozen=True)
class Catalogue:
    """The images of a source, before decoding; sorted by id."""

    name: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    labels: Int32[np.ndarray, " image"]
    read: Callable[[int], bytes]
    """The bytes of the file of the image with this number; raises OSError if it cannot be read. Safe to call from
    several threads."""
    exclusions: tuple[Exclusion, ...] = ()
    content: Callable[[int], str] | None = None
    """A name for the image's bytes, equal for equal bytes, if the source has one that is cheaper than a SHA-256."""
    sides: tuple[str, ...] | None = None
    """`train`, `val` or `test` for each image, where the source comes with its own split."""
    has_near_duplicates: bool = True
    """Whether different contents can show the same picture; False means that no search is needed."""
    notes: tuple[str, ...] = ()
    """Lines for the user: how the source was understood, and what is probably a mistake in it."""


def usable(catalogue: Catalogue) -> Catalogue:
    """The catalogue without classes that have no image, which are listed as exclusions.

    A class without an image in val or test stays, and is listed too. Names of classes that are probably mistakes are
    noted.

    Raises:
      BadInput: if there are no images or fewer than two classes, or if train lacks a class that another side has.
    """
    spec = f"dataset {catalogue.name!r}"
    if not catalogue.ids:
        found = "; ".join([_counted(catalogue.exclusions), *catalogue.notes])
        raise BadInput(f"{spec}: no images with a label ({found}); expected at least two")
    counts = np.bincount(catalogue.labels, minlength=len(catalogue.classes))
    classes = tuple(name for name, count in zip(catalogue.classes, counts, strict=True) if count)
    if len(classes) < 2:
        found = "; ".join([f"{', '.join(classes)!r} is the only class with images", *catalogue.notes])
        raise BadInput(f"{spec}: {found}; expected at least two classes")
    notes = [Exclusion(name, "class without an image") for name in catalogue.classes if name not in classes]
    labels = (np.cumsum(counts > 0) - 1).astype(np.int32)[catalogue.labels]
    if catalogue.sides is not None:
        notes += _classes_missing(spec, classes, labels, catalogue.sides)
    return replace(
        catalogue,
        classes=classes,
        labels=labels,
        exclusions=(*catalogue.exclusions, *notes),
        notes=(*catalogue.notes, *class_warnings(classes, counts[counts > 0].tolist())),
    )


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
    return ", ".join(f"{reasons.count(reason)} {reason}" for reason in dict.fromkeys(reasons)) or "nothing found"
