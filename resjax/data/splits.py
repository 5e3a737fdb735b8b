"""Which images train, which choose the best epoch, which are looked at once: splits that depend on contents alone."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int32

from resjax.data.dataset import Dataset
from resjax.types import BadInput

METHODS = ("grouped", "random", "overlapping", "given")
SIDES = ("train", "val", "test")
FAULTS = {
    "random": "faulty: copies of a picture may lie on both sides",
    "overlapping": "faulty: an image may itself lie on both sides",
}
"""The methods that exist to show what leaks do, with the words that go wherever their results go."""
VAL_FRACTION = 0.2
NAMED = 3
"""Of a longer list of images, so many are named."""


class Fold(NamedTuple):
    """One of several splits that share out the same images: fold `number`, from 1, is its val."""

    number: int
    of: int


@dataclass(frozen=True)
class Split:
    """The images of each side by number, in ascending order; `test` may be empty."""

    method: str
    seed: int
    sides: Mapping[str, Int32[np.ndarray, " side"]]
    fold: Fold | None = None
    train_fraction: float = 1.0
    """The share of its training images that was kept: see `resjax.data.fractions`."""

    @property
    def label(self) -> str:
        """The method for a reader, with the fold, the share of train and the fault where it has one."""
        fold = f", fold {self.fold.number} of {self.fold.of}" if self.fold else ""
        fault = f" ({FAULTS[self.method]})" if self.method in FAULTS else ""
        share = f", {100 * self.train_fraction:g} % of the training images" if self.train_fraction < 1 else ""
        return self.method + fold + share + fault


def make_split(
    dataset: Dataset,
    *,
    method: str | None = None,
    seed: int = 0,
    val_fraction: float | None = None,
    test_fraction: float = 0.0,
) -> Split:
    """A split by one of four methods.

    `grouped` keeps the copies of a picture on one side, and every class in proportion to within one group. `random`
    keeps classes in proportion, and lets copies fall where they will. `overlapping` takes every side from a shuffle of
    its own, so that an image can be on two sides. `given` is the source's own split, leaks and all; a side that the
    source lacks is taken out of its training images, groups kept whole.

    Where an image goes depends on the seed and on the contents of its class: names and order change nothing (of several
    files with the same bytes, `random` and `overlapping` tell by the names which one goes where). An image more moves
    at most one group a class across each border between two sides. Only where a near-copy becomes the smallest content
    of its group, the group gets another place, and with it up to as many images at each border as the group has. The
    test side does not depend on `val_fraction`.

    Args:
      method: by default `given` where the source comes with a split, `grouped` otherwise.
      val_fraction: share of the images that are divided; by default 0.2.
      test_fraction: the same for test.

    Raises:
      BadInput: for an unknown method, fractions that leave a side empty or that the source has settled, and a class
        that cannot be on every side.
    """
    method, pool, kept = _material(dataset, method)
    for side, fraction in {"val": val_fraction, "test": test_fraction or None}.items():
        if side in kept and fraction is not None:
            raise BadInput(
                f"{side}_fraction {fraction:g}: the source comes with its own {side} ({len(kept[side])} images); leave "
                f"the fraction out, or divide all images anew by split grouped"
            )
    val_fraction = VAL_FRACTION if val_fraction is None else val_fraction
    if not (0 < val_fraction < 1 and 0 <= test_fraction < 1 and val_fraction + test_fraction < 1):
        raise BadInput(
            f"val_fraction {val_fraction:g} with test_fraction {test_fraction:g}: val from above 0, test from 0, "
            "and together below 1 are accepted"
        )
    # Test comes first, so that the images looked at once stay the same whatever is done with the others.
    shares = {"test": test_fraction} if test_fraction else {}
    if "val" not in kept:
        shares["val"] = val_fraction
    shares["train"] = 1 - sum(shares.values())
    if len(shares) == 1:
        parts = {"train": pool}
    elif method == "overlapping":
        parts = _overlapping(dataset, seed, shares)
    else:
        parts = _divide(dataset, pool, method, seed, shares, ", ".join(shares))
    return _split(dataset, method, seed, parts | kept)


def make_folds(
    dataset: Dataset, folds: int, *, method: str | None = None, seed: int = 0, test_fraction: float = 0.0
) -> tuple[Split, ...]:
    """Splits in which every image is in val once, except those of test, which is the same for all of them.

    The images are shared out as by `make_split`, with the same test side, `grouped`, `random` or, where the source has
    no val, `given`.

    Raises:
      BadInput: for a method without folds, numbers outside their ranges, and a class that cannot be in every fold.
    """
    method, pool, kept = _material(dataset, method)
    if method == "overlapping":
        raise BadInput("folds: an overlapping split has none; grouped or random are accepted")
    if "val" in kept or ("test" in kept and test_fraction):
        raise BadInput(
            "folds: the source comes with its own val or test; leave test_fraction out, or divide all images anew by "
            "split grouped"
        )
    if folds < 2 or not 0 <= test_fraction < 1:
        raise BadInput(
            f"folds {folds} with test_fraction {test_fraction:g}: from 2, and from 0 to below 1 are accepted"
        )
    numbers = range(1, folds + 1)
    shares = {"test": test_fraction} if test_fraction else {}
    shares |= {f"fold {number}": (1 - test_fraction) / folds for number in numbers}
    parts = _divide(dataset, pool, method, seed, shares, f"{'test and ' * bool(test_fraction)}{folds} folds")
    tested = {"test": parts["test"]} if test_fraction else {}
    splits = []
    for number in numbers:
        train = [image for other in numbers if other != number for image in parts[f"fold {other}"]]
        sides = {"train": train, "val": parts[f"fold {number}"], **tested, **kept}
        splits.append(_split(dataset, method, seed, sides, Fold(number, folds)))
    return tuple(splits)


def find_leaks(split: Split, groups: Int[np.ndarray, " image"]) -> dict[str, Int32[np.ndarray, " leaked"]]:
    """The images of val and of test that are, or have a copy, on another side too."""
    sides_of_group = Counter(group for images in split.sides.values() for group in set(groups[images].tolist()))
    return {
        side: np.array([image for image in split.sides[side] if sides_of_group[int(groups[image])] > 1], np.int32)
        for side in ("val", "test")
    }


def leaked_images(split: Split, groups: Int[np.ndarray, " image"]) -> int:
    """How many images of val and test are, or have a copy, on another side."""
    return sum(len(images) for images in find_leaks(split, groups).values())


def group_names(dataset: Dataset) -> dict[int, str]:
    """A name for each group that depends on its contents alone: the smallest of them."""
    smallest: dict[int, str] = {}
    for group, content in zip(dataset.groups.tolist(), dataset.contents, strict=True):
        smallest[group] = min(content, smallest.get(group, content))
    return smallest


def listed(names: Iterable[str]) -> str:
    """The first few of the names in order, and how many more there are."""
    names = sorted(set(names))
    more = len(names) - NAMED
    return ", ".join(islice(names, NAMED)) + (f" and {more} more" if more > 0 else "")


def _material(dataset: Dataset, method: str | None) -> tuple[str, list[int], dict[str, list[int]]]:
    """The method, the images that it divides, and the sides that the source has settled."""
    method = method or ("given" if dataset.sides else "grouped")
    if method not in METHODS:
        raise BadInput(f"split {method!r}: one of {', '.join(METHODS)} is accepted")
    if method != "given":
        return method, list(range(len(dataset.ids))), {}
    if dataset.sides is None:
        raise BadInput(f"split 'given': {dataset.name} comes without a split of its own; grouped is accepted")
    images = {side: [image for image, of in enumerate(dataset.sides) if of == side] for side in SIDES}
    if not images["train"]:
        raise BadInput(f"split 'given': {dataset.name} has no images in train; grouped divides all of them anew")
    return method, images["train"], {side: images[side] for side in ("val", "test") if images[side]}


def _divide(
    dataset: Dataset, pool: Iterable[int], method: str, seed: int, shares: Mapping[str, float], parts: str
) -> dict[str, list[int]]:
    """The images of each part, one class after another, from groups that stay whole; `parts` names them in errors."""
    if method == "random":
        keys = dict(enumerate(_file_keys(dataset)))
        group_of = range(len(dataset.ids))
    else:
        keys, group_of = group_names(dataset), dataset.groups.tolist()
    members = defaultdict(list)
    for image in pool:
        members[group_of[image]].append(image)
    groups_of_class = defaultdict(list)
    for group in sorted(members, key=lambda group: hash_of(seed, keys[group])):
        counts = np.bincount(dataset.labels[members[group]])
        groups_of_class[int(np.argmax(counts))].append(members[group])

    divided = defaultdict(list)
    for label, name in enumerate(dataset.classes):
        of_class = groups_of_class[label]
        if len(of_class) < len(shares):
            raise BadInput(
                f"class {name!r} has too few {'distinct ' * (method != 'random')}images for {parts}: {len(of_class)}, "
                f"at least {len(shares)} are needed{_elsewhere(dataset, label, groups_of_class)}; add images or leave "
                "the class out"
            )
        for part, images in zip(_walk([len(images) for images in of_class], shares), of_class, strict=True):
            divided[part] += images
    return divided


def _walk(sizes: list[int], shares: Mapping[str, float]) -> list[str]:
    """The part of each group: the groups laid end to end, cut where the parts' quotas of images end.

    A group goes to the part in which its middle lies, so no part is further from its quota than half a group at each of
    its ends. Middles are at least one image apart and an image more shifts a cut by less than one, so that at most one
    group crosses each cut.
    """
    names = list(shares)
    middles = np.cumsum(sizes) - np.array(sizes) / 2
    cuts = sum(sizes) * np.cumsum([shares[name] for name in names[:-1]])
    parts = [names[place] for place in np.searchsorted(cuts, middles, side="right")]
    for name in names:
        if name not in parts:
            # A class of few or very unequal groups: the smallest group of a part that has several.
            spare = [group for group, part in enumerate(parts) if parts.count(part) > 1]
            parts[min(spare, key=lambda group: sizes[group])] = name
    return parts


def _elsewhere(dataset: Dataset, label: int, groups_of_class: Mapping[int, list[list[int]]]) -> str:
    """Where images of a class are that count in another one, because most of their copies have its label."""
    found = {
        other: [image for images in groups for image in images if dataset.labels[image] == label]
        for other, groups in groups_of_class.items()
        if other != label
    }
    words = [
        f"{len(images)} of its images ({listed(dataset.ids[image] for image in images)}) are copies of images of class "
        f"{dataset.classes[other]!r} and count there"
        for other, images in sorted(found.items())
        if images
    ]
    return "".join(f"; {text}" for text in words)


def _overlapping(dataset: Dataset, seed: int, shares: Mapping[str, float]) -> dict[str, list[int]]:
    keys = _file_keys(dataset)
    parts = {}
    for side, share in shares.items():
        order = np.argsort([hash_of(seed, side + key) for key in keys])
        parts[side] = order[: max(1, round(share * len(keys)))].tolist()
    return parts


def _file_keys(dataset: Dataset) -> list[str]:
    """A key for each image of its own: its content, and its place by name among those that share it."""
    keys = [""] * len(dataset.ids)
    seen: Counter[str] = Counter()
    for image in sorted(range(len(keys)), key=lambda image: (dataset.labels[image], dataset.ids[image])):
        content = dataset.contents[image]
        keys[image] = f"{content} {seen[content]}"
        seen[content] += 1
    return keys


def _split(
    dataset: Dataset, method: str, seed: int, images: Mapping[str, list[int]], fold: Fold | None = None
) -> Split:
    sides = {side: np.array(sorted(images.get(side, ())), np.int32) for side in SIDES}
    if method == "given":
        _require_every_class_in_train(dataset, sides["train"])
    return Split(method, seed, sides, fold)


def _require_every_class_in_train(dataset: Dataset, train: Int32[np.ndarray, " side"]) -> None:
    counts = np.bincount(dataset.labels[train], minlength=len(dataset.classes))
    for label, name in enumerate(dataset.classes):
        if not counts[label] and (others := [dataset.ids[i] for i in np.flatnonzero(dataset.labels == label)]):
            raise BadInput(
                f"class {name!r} has no images in train of the given split, {len(others)} elsewhere "
                f"({listed(others)}); add some, leave the class out, or divide all images anew by split grouped"
            )


def hash_of(seed: int, text: str) -> str:
    """What puts things into an order that depends on the seed and on their names alone."""
    return hashlib.sha256(f"{seed}:{text}".encode()).hexdigest()
