"""Data sets made for the tests of splits: contents, labels and copies, and pictures of one pixel."""

from collections import Counter
from dataclasses import replace
from hashlib import sha256

import numpy as np

from resjax.data.dataset import Dataset
from resjax.data.splits import Split


def dataset_of(groups: list[list[int]]) -> Dataset:
    """A class for every list, with copies of distinct pictures in the given numbers."""
    pictures = [
        (label, group) for label, sizes in enumerate(groups) for group, size in enumerate(sizes) for _ in range(size)
    ]
    contents = tuple(sha256(str(picture).encode()).hexdigest() for picture in pictures)
    return Dataset(
        name="made",
        classes=tuple("abcdefgh"[: len(groups)]),
        ids=tuple(f"{image:04}.png" for image in range(len(pictures))),
        labels=np.array([label for label, _ in pictures], np.int32),
        images=np.zeros((len(pictures), 1, 1, 3), np.uint8),
        contents=contents,
        groups=np.unique(contents, return_inverse=True)[1].astype(np.int32),
    )


def take(dataset: Dataset, images: np.ndarray, ids: tuple[str, ...] | None = None) -> Dataset:
    """Some images of a data set, in another order, renamed if `ids` are given."""
    return replace(
        dataset,
        ids=ids or tuple(dataset.ids[image] for image in images),
        labels=dataset.labels[images],
        images=dataset.images[images],
        contents=tuple(dataset.contents[image] for image in images),
        groups=dataset.groups[images],
        sides=dataset.sides and tuple(dataset.sides[image] for image in images),
    )


def random_sizes(seed: int, classes: int = 4, pictures: int = 60) -> list[list[int]]:
    """Numbers of copies of the pictures of each class, most of them 1."""
    rng = np.random.default_rng(seed)
    return [rng.geometric(0.6, rng.integers(pictures // 2, pictures)).tolist() for _ in range(classes)]


def side_of_content(dataset: Dataset, split: Split) -> dict[str, str]:
    """The side of every picture, for splits that keep its copies together."""
    return {dataset.contents[image]: side for side, images in split.sides.items() for image in images}


def sides_of_contents(dataset: Dataset, split: Split) -> Counter[tuple[str, str]]:
    """How many copies of each picture lie on each side."""
    return Counter((dataset.contents[image], side) for side, images in split.sides.items() for image in images)


def class_counts(dataset: Dataset, split: Split, side: str) -> np.ndarray:
    """How many images of each class lie on a side."""
    return np.bincount(dataset.labels[split.sides[side]], minlength=len(dataset.classes))
