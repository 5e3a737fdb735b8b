"""Which images train, which choose the best epoch, which are looked at once: splits that depend on contents alone."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Int, Int32

from resjax.types import BadInput, Dataset

METHODS = ("grouped", "random", "overlapping")
SIDES = ("train", "val", "test")
SCHEMA_VERSION = 1
NAMED_IN_ERRORS = 3


@dataclass(frozen=True)
class Split:
    """The images of each side by number, in ascending order; `test` may be empty."""

    method: str
    seed: int
    sides: Mapping[str, Int32[np.ndarray, " side"]]


def make_split(
    dataset: Dataset,
    *,
    method: str = "grouped",
    seed: int = 0,
    val_fraction: float = 0.2,
    test_fraction: float = 0.0,
) -> Split:
    """A split by one of three methods.

    `grouped` keeps the copies of a picture on one side, and every class in proportion to within one group. `random`
    keeps classes in proportion, and lets copies fall where they will. `overlapping` takes every side from a shuffle of
    its own, so that an image can be on two sides; the last two exist to show what leaks do.

    Where an image goes depends on the seed and on the contents of its class: names and order change nothing (between
    copies, `random` and `overlapping` need the names), and an image more moves at most one group a class and side.

    Raises:
      BadInput: for an unknown method, fractions that leave a side empty, and a class that cannot be on every side.
    """
    if method not in METHODS:
        raise BadInput(f"split {method!r}: one of {', '.join(METHODS)} is accepted")
    if not (0 < val_fraction < 1 and 0 <= test_fraction < 1 and val_fraction + test_fraction < 1):
        raise BadInput(
            f"val_fraction {val_fraction:g} with test_fraction {test_fraction:g}: val from above 0, test from 0, "
            "and together below 1 are accepted"
        )
    fractions = {"val": val_fraction} | ({"test": test_fraction} if test_fraction else {})
    if method == "overlapping":
        members = _overlapping_sides(dataset, seed, fractions)
    else:
        members = _stratified_sides(dataset, method, seed, fractions)
    return Split(method, seed, {side: np.array(sorted(members[side]), np.int32) for side in SIDES})


def leaked_images(split: Split, groups: Int[np.ndarray, " image"]) -> int:
    """How many images of val and test have a copy, or themselves, on another side."""
    return len(_leaks(split, groups))


def split_record(dataset: Dataset, split: Split) -> dict:
    """The split as a record that can be written to JSON: an image on two sides is listed once a side."""
    group_names = _smallest_contents(dataset.groups, dataset.contents)
    return {
        "schema_version": SCHEMA_VERSION,
        "method": split.method,
        "seed": split.seed,
        "fractions": {side: len(indices) / len(dataset.ids) for side, indices in split.sides.items()},
        "images": [
            {
                "id": dataset.ids[image],
                "label": dataset.classes[dataset.labels[image]],
                "group": group_names[int(dataset.groups[image])][:12],
                "side": side,
                "content": dataset.contents[image],
            }
            for side, indices in split.sides.items()
            for image in indices.tolist()
        ],
    }


def split_from_record(record: Mapping, dataset: Dataset) -> Split:
    """The split that `split_record` wrote, for the same images.

    Raises:
      BadInput: where the record is of another kind, names images that the dataset has not, or has with another content
        or label, leaves images out, or parts copies though its method is `grouped`.
    """
    try:
        version, method, seed = record["schema_version"], record["method"], int(record["seed"])
        rows = [tuple(str(row[key]) for key in ("id", "label", "content", "side")) for row in record["images"]]
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"split file: not a record of a split ({error!r}); a split.json of a run is accepted") from error
    if version != SCHEMA_VERSION or method not in METHODS:
        raise BadInput(
            f"split file: version {version!r}, method {method!r}; version {SCHEMA_VERSION} and one of "
            f"{', '.join(METHODS)} are accepted"
        )
    number = {name: image for image, name in enumerate(dataset.ids)}
    known = {
        (name, dataset.classes[label], content)
        for name, label, content in zip(dataset.ids, dataset.labels, dataset.contents, strict=True)
    }
    sides = {side: {number[name] for name, *_, of in rows if of == side and name in number} for side in SIDES}
    split = Split(method, seed, {side: np.array(sorted(images), np.int32) for side, images in sides.items()})
    placed = set().union(*sides.values())
    _refuse("images that the data lacks or has changed", (row[0] for row in rows if row[:3] not in known))
    _refuse("images on an unknown side", (row[0] for row in rows if row[3] not in SIDES))
    if method != "overlapping":
        _refuse("images of the data on no side", (name for name in dataset.ids if number[name] not in placed))
    if method == "grouped":
        _refuse("images with a copy on another side", (dataset.ids[image] for image in _leaks(split, dataset.groups)))
    if not sides["train"] or not sides["val"]:
        raise BadInput("split file: no images to train or none in val; a split.json of a run is accepted")
    return split


def _stratified_sides(dataset: Dataset, method: str, seed: int, fractions: Mapping[str, float]) -> dict[str, list[int]]:
    """The images of each side, one class after another, from groups that stay whole."""
    if method == "grouped":
        groups = dataset.groups
        keys = _smallest_contents(groups, dataset.contents)
    else:
        groups = np.arange(len(dataset.ids))
        keys = {image: dataset.contents[image] + dataset.ids[image] for image in groups}
    members = defaultdict(list)
    for image, group in enumerate(groups):
        members[group].append(image)
    groups_of_class = defaultdict(list)
    for group in sorted(members, key=lambda group: _hash(seed, keys[group])):
        counts = np.bincount(dataset.labels[members[group]])
        groups_of_class[int(np.argmax(counts))].append(members[group])

    sides = defaultdict(list)
    wanted = [*fractions, "train"]
    for label, name in enumerate(dataset.classes):
        of_class = groups_of_class[label]
        if len(of_class) < len(wanted):
            raise BadInput(
                f"class {name!r} has too few {'distinct ' * (method == 'grouped')}images for {', '.join(wanted)}: "
                f"{len(of_class)}, at least {len(wanted)} are needed; add images or leave the class out"
            )
        for side, images in zip(_walk([len(images) for images in of_class], fractions), of_class, strict=True):
            sides[side] += images
    return sides


def _walk(sizes: list[int], fractions: Mapping[str, float]) -> list[str]:
    """The side of each group: the groups laid end to end, cut where the sides' quotas of images end.

    A group goes to the side in which its middle lies, so no side is further from its quota than half a group at each of
    its ends.
    """
    total = sum(sizes)
    middles = np.cumsum(sizes) - np.array(sizes) / 2
    cuts = total * np.cumsum(list(fractions.values()))
    names = [*fractions, "train"]
    sides = [names[place] for place in np.searchsorted(cuts, middles, side="right")]
    for name in names:
        if name not in sides:
            # A class of few or very unequal groups: the smallest group of a side that has several.
            spare = [group for group, side in enumerate(sides) if sides.count(side) > 1]
            sides[min(spare, key=lambda group: sizes[group])] = name
    return sides


def _overlapping_sides(dataset: Dataset, seed: int, fractions: Mapping[str, float]) -> dict[str, list[int]]:
    sides = defaultdict(list)
    for side, fraction in {"train": 1 - sum(fractions.values()), **fractions}.items():
        keys = [_hash(seed, side + content + name) for content, name in zip(dataset.contents, dataset.ids, strict=True)]
        count = max(1, round(fraction * len(keys)))
        sides[side] = np.argsort(keys)[:count].tolist()
    return sides


def _leaks(split: Split, groups: Int[np.ndarray, " image"]) -> list[int]:
    sides_of_group = Counter(group for indices in split.sides.values() for group in set(groups[indices].tolist()))
    return [
        image for side in ("val", "test") for image in split.sides[side].tolist() if sides_of_group[groups[image]] > 1
    ]


def _smallest_contents(groups: Int[np.ndarray, " image"], contents: Iterable[str]) -> dict[int, str]:
    smallest: dict[int, str] = {}
    for group, content in zip(groups.tolist(), contents, strict=True):
        smallest[group] = min(content, smallest.get(group, content))
    return smallest


def _hash(seed: int, text: str) -> str:
    return hashlib.sha256(f"{seed}:{text}".encode()).hexdigest()


def _refuse(what: str, names: Iterable[str]) -> None:
    names = sorted(set(names))
    if names:
        more = len(names) - NAMED_IN_ERRORS
        listed = ", ".join(islice(names, NAMED_IN_ERRORS)) + (f" and {more} more" if more > 0 else "")
        raise BadInput(f"split file: {what}: {len(names)} ({listed}); use the data that it was made for, or no file")
