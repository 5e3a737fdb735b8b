"""Divides the images into train, val and test, by a seed and the images' contents alone.

The best epoch is chosen on val; test is for one look at the end.

Splits are our own and not scikit-learn's. `StratifiedGroupKFold` gives each group to the fold that it evens out most,
so every choice depends on all earlier ones. Ours lays the groups of a class end to end in the order of a hash of seed
and content, and cuts. Its folds are even to within one group, and an added image moves at most one group (measured
(experiments/results/checks/README.md)). `test` is cut off first, then val or the folds: the test images are the same
with any `--val_fraction` and with `--folds`. A group with two labels goes as a whole, with the class of most of its
images. `random` and `overlapping` know an image by its content and its place by name among the files with the same
content, so renaming swaps copies at most.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int32

from resjax.data.dataset import Dataset
from resjax.errors import BadInput

METHODS = ("grouped", "random", "overlapping", "given")
SIDES = ("train", "val", "test")
FAULTS = {
    "random": "faulty: copies of a picture may lie on both sides",
    "overlapping": "faulty: an image may itself lie on both sides",
}
"""The methods that exist to show the effect of leaks, with the warning that goes wherever their results go."""
VAL_FRACTION = 0.2
NAMED = 3
"""How many images of a longer list an error names."""


class Fold(NamedTuple):
    """Fold `number`, counted from 1, of `of` folds: its images are val, those of the other folds are train."""

    number: int
    of: int


@dataclass(frozen=True)
class Split:
    """The numbers of the images of train, val and test, in ascending order; test may be empty."""

    method: str
    seed: int
    sides: Mapping[str, Int32[np.ndarray, " side"]]
    fold: Fold | None = None
    train_fraction: float = 1.0
    """The share of its training images that was kept by `take_train_fraction`."""

    @property
    def label(self) -> str:
        """The method for a reader, with the fold, the share of train and the fault, if there are any."""
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

    * `grouped` keeps all copies of a picture on one side, and each class in proportion to within one group.
    * `random` keeps classes in proportion and ignores copies.
    * `overlapping` draws every side from its own shuffle, so that an image can be on two sides.
    * `given` is the source's own split, with its leaks. A side that the source lacks is taken out of its training
      images, whole groups at a time.

    The place of an image depends on the seed and on the contents of its class, not on names or order (`random` and
    `overlapping` use names to tell files with the same bytes apart). One more image moves at most one group per class
    across each border between two sides. There is one exception: where a new near-duplicate becomes the smallest
    content of its group, the group gets another place, and up to as many images as the group has cross each border. The
    test side does not depend on `val_fraction`.

    Args:
      method: by default `given` where the source comes with a split, `grouped` otherwise.
      val_fraction: share of the divided images; by default 0.2.
      test_fraction: the same for test.

    Raises:
      BadInput: for an unknown method, fractions that leave a side empty or contradict the source's own split, and a
        class that cannot be on every side.
    """
    method, pool, kept = _material(dataset, method)
    for side, fraction in {"val": val_fraction, "test": test_fraction or None}.items():
        if side in kept and fraction is not None:
            raise BadInput(
                f"{side}_fraction {fraction:g}: the source comes with its own {side} ({len(kept[side])} images); "
                f"expected no {side}_fraction, or split grouped, which divides all images anew"
            )
    val_fraction = VAL_FRACTION if val_fraction is None else val_fraction
    if not (0 < val_fraction < 1 and 0 <= test_fraction < 1 and val_fraction + test_fraction < 1):
        raise BadInput(
            f"val_fraction {val_fraction:g} with test_fraction {test_fraction:g}: expected val_fraction above 0, "
            "test_fraction of at least 0, and a sum below 1"
        )
    # Test comes first, so that it stays the same however the other images are divided.
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
    """The splits of a cross-validation: each image outside test is in val once; all splits have the same test side.

    The images are divided as by `make_split`, with the same test side, by `grouped`, `random` or, where the source has
    no val, `given`.

    Raises:
      BadInput: for a method without folds, numbers outside their ranges, and a class that cannot be in every fold.
    """
    method, pool, kept = _material(dataset, method)
    if method == "overlapping":
        raise BadInput("folds with split overlapping: expected split grouped or random")
    if "val" in kept or ("test" in kept and test_fraction):
        raise BadInput(
            "folds: the source comes with its own val or test; expected no test_fraction, or split grouped, which "
            "divides all images anew"
        )
    if folds < 2 or not 0 <= test_fraction < 1:
        raise BadInput(
            f"folds {folds} with test_fraction {test_fraction:g}: expected at least 2 folds, and test_fraction from 0 "
            "to below 1"
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


def take_train_fraction(dataset: Dataset, split: Split, fraction: float, *, seed: int = 0) -> Split:
    """The split with a share of its training images, for learning curves; the rest of train is on no side.

    Each class keeps its share to within half a group, and at least one group. The groups of a class are ordered by the
    seed and their contents, and laid end to end; those whose middle lies before the end of the share are kept. A larger
    share therefore holds all images of a smaller one.

    Raises:
      BadInput: for a share outside (0, 1], and for a split that has only a share of its training images already.
    """
    if not 0 < fraction <= 1:
        raise BadInput(f"--train_fraction={fraction:g}: expected a share above 0 and at most 1")
    if fraction == 1:
        return split
    if split.train_fraction < 1:
        raise BadInput(
            f"--train_fraction={fraction:g} of a split that holds {split.train_fraction:g} of its training images "
            "already: expected 1"
        )
    names = group_names(dataset)
    members: dict[int, list[int]] = defaultdict(list)
    for image in split.sides["train"].tolist():
        members[int(dataset.groups[image])].append(image)
    groups_of_class = defaultdict(list)
    for group in sorted(members, key=lambda group: _order_key(seed, f"train_fraction {names[group]}")):
        groups_of_class[_most_common_label(dataset, members[group])].append(members[group])
    taken: list[int] = []
    for groups in groups_of_class.values():
        sizes = np.array([len(images) for images in groups])
        middles = np.cumsum(sizes) - sizes / 2
        count = max(1, int(np.searchsorted(middles, fraction * sizes.sum(), side="right")))
        taken += [image for images in groups[:count] for image in images]
    sides = {**split.sides, "train": np.array(sorted(taken), np.int32)}
    return replace(split, sides=sides, train_fraction=fraction)


def find_leaks(split: Split, groups: Int[np.ndarray, " image"]) -> dict[str, Int32[np.ndarray, " leaked"]]:
    """The images of val and of test that are on another side too, or have a copy there."""
    sides_of_group = Counter(group for images in split.sides.values() for group in set(groups[images].tolist()))
    return {
        side: np.array([image for image in split.sides[side] if sides_of_group[int(groups[image])] > 1], np.int32)
        for side in ("val", "test")
    }


def leaked_images(split: Split, groups: Int[np.ndarray, " image"]) -> int:
    """The number of images that `find_leaks` finds."""
    return sum(len(images) for images in find_leaks(split, groups).values())


def group_names(dataset: Dataset) -> dict[int, str]:
    """The name of each group: its smallest content, so that names of files and their order have no influence."""
    smallest: dict[int, str] = {}
    for group, content in zip(dataset.groups.tolist(), dataset.contents, strict=True):
        smallest[group] = min(content, smallest.get(group, content))
    return smallest


def listed(names: Iterable[str]) -> str:
    """The first few names in order, and how many more there are, for an error text."""
    names = sorted(set(names))
    more = len(names) - NAMED
    return ", ".join(islice(names, NAMED)) + (f" and {more} more" if more > 0 else "")


def _material(dataset: Dataset, method: str | None) -> tuple[str, list[int], dict[str, list[int]]]:
    """The method, the images that it divides, and the sides that the source's own split keeps."""
    method = method or ("given" if dataset.sides else "grouped")
    if method not in METHODS:
        raise BadInput(f"split {method!r}: expected one of {', '.join(METHODS)}")
    if method != "given":
        return method, list(range(len(dataset.ids))), {}
    if dataset.sides is None:
        raise BadInput(f"split 'given': {dataset.name} comes without a split of its own; expected grouped")
    images = {side: [image for image, of in enumerate(dataset.sides) if of == side] for side in SIDES}
    if not images["train"]:
        raise BadInput(
            f"split 'given': {dataset.name} has no images in train; expected grouped, which divides all images anew"
        )
    return method, images["train"], {side: images[side] for side in ("val", "test") if images[side]}


def _divide(
    dataset: Dataset, pool: Iterable[int], method: str, seed: int, shares: Mapping[str, float], parts: str
) -> dict[str, list[int]]:
    """The images of each part, class by class, whole groups at a time; `parts` names the parts in errors."""
    if method == "random":
        keys = dict(enumerate(_file_keys(dataset)))
        group_of = range(len(dataset.ids))
    else:
        keys, group_of = group_names(dataset), dataset.groups.tolist()
    members = defaultdict(list)
    for image in pool:
        members[group_of[image]].append(image)
    groups_of_class = defaultdict(list)
    for group in sorted(members, key=lambda group: _order_key(seed, keys[group])):
        groups_of_class[_most_common_label(dataset, members[group])].append(members[group])

    divided = defaultdict(list)
    for label, name in enumerate(dataset.classes):
        of_class = groups_of_class[label]
        if len(of_class) < len(shares):
            files = len(np.unique(np.asarray(dataset.contents)[dataset.labels == label]))
            way_out = "add images or leave the class out"
            if method != "random" and dataset.thumbnails is not None and files >= len(shares):
                way_out += f", or count its {files} files as distinct with --nonear_copies"
            raise BadInput(
                f"class {name!r} has too few {'distinct ' * (method != 'random')}images for {parts}: {len(of_class)}, "
                f"expected at least {len(shares)}{_elsewhere(dataset, label, groups_of_class)}; {way_out}"
            )
        for part, images in zip(_part_of_each([len(images) for images in of_class], shares), of_class, strict=True):
            divided[part] += images
    return divided


def _most_common_label(dataset: Dataset, images: list[int]) -> int:
    """The class in which a group counts: copies can have different labels."""
    return int(np.argmax(np.bincount(dataset.labels[images])))


def _part_of_each(sizes: list[int], shares: Mapping[str, float]) -> list[str]:
    """The part of each group: the groups are laid end to end and cut where the quotas of the parts end.

    A group goes to the part in which its middle lies, so no part differs from its quota by more than half a group at
    each end. Middles are at least one image apart, and one more image shifts a cut by less than one image: at most one
    group crosses each cut.
    """
    names = list(shares)
    middles = np.cumsum(sizes) - np.array(sizes) / 2
    cuts = sum(sizes) * np.cumsum([shares[name] for name in names[:-1]])
    parts = [names[place] for place in np.searchsorted(cuts, middles, side="right")]
    for name in names:
        if name not in parts:
            # The class has few or very unequal groups: take the smallest group of a part that has several.
            spare = [group for group, part in enumerate(parts) if parts.count(part) > 1]
            parts[min(spare, key=lambda group: sizes[group])] = name
    return parts


def _elsewhere(dataset: Dataset, label: int, groups_of_class: Mapping[int, list[list[int]]]) -> str:
    """Names the images of a class that count in another class, because most of their copies have its label."""
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
        order = np.argsort([_order_key(seed, side + key) for key in keys])
        parts[side] = order[: max(1, round(share * len(keys)))].tolist()
    return parts


def _file_keys(dataset: Dataset) -> list[str]:
    """A key for each image: its content, and its rank by name among the files with the same content."""
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
                f"({listed(others)}); add some, leave the class out, or use split grouped, which divides all images "
                "anew"
            )


def _order_key(seed: int, text: str) -> str:
    """A sort key that puts things into a random order which depends on the seed and on their names alone."""
    return hashlib.sha256(f"{seed}:{text}".encode()).hexdigest()
