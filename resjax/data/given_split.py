"""A split that was made before: it has to fit the images, and must not leak."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from resjax.data.dataset import Dataset
from resjax.data.splits import METHODS, SIDES, Fold, Split, find_leaks, listed
from resjax.errors import BadInput


class ImageOnSide(NamedTuple):
    """An image of a given split, by what has to be the same in the data, and its side."""

    id: str
    label: str
    content: str
    side: str


def given_split(
    dataset: Dataset,
    images: Sequence[ImageOnSide],
    *,
    method: str,
    seed: int,
    fold: Fold | None = None,
    train_fraction: float = 1.0,
) -> Split:
    """The split with these images on its sides; an image on two sides is listed once per side.

    Raises:
      BadInput: if the method is unknown, if the images are not those of the dataset with the same contents and labels,
        if an image is on two sides though the method is not `overlapping`, if copies are on different sides though the
        method is `grouped`, or if train or val is empty.
    """
    if method not in METHODS:
        raise BadInput(f"split file: method {method!r}, expected one of {', '.join(METHODS)}")
    number = {name: image for image, name in enumerate(dataset.ids)}
    known = {
        (name, dataset.classes[label], content)
        for name, label, content in zip(dataset.ids, dataset.labels, dataset.contents, strict=True)
    }
    _refuse("images that are not in the data or have changed", (each.id for each in images if each[:3] not in known))
    _refuse("images on an unknown side", (each.id for each in images if each.side not in SIDES))
    on_side = {side: {number[each.id] for each in images if each.side == side} for side in SIDES}
    sides_of = {name: sum(number[name] in on_side[side] for side in SIDES) for name in dataset.ids}
    if method != "overlapping":
        if train_fraction == 1:
            _refuse("images of the data on no side", (name for name, count in sides_of.items() if not count))
        _refuse("images on more than one side", (name for name, count in sides_of.items() if count > 1))
    sides = {side: np.array(sorted(on_side[side]), np.int32) for side in SIDES}
    split = Split(method, seed, sides, fold, train_fraction)
    if method == "grouped":
        leaks = find_leaks(split, dataset.groups)
        _refuse("images with a copy on another side", (dataset.ids[i] for side in leaks.values() for i in side))
    if not on_side["train"] or not on_side["val"]:
        raise BadInput("split file: no images in train or in val, expected some in both")
    return split


def _refuse(what: str, names: Iterable[str]) -> None:
    names = set(names)
    if names:
        raise BadInput(
            f"split file: {what}: {len(names)} ({listed(names)}); expected the data that it was made for, or no file"
        )
