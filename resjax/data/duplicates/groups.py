"""What a set of images holds: pictures and their copies, labels that contradict each other, what a split would leak."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from resjax.data.dataset import Pixels
from resjax.data.duplicates.near_duplicates import resemblance
from resjax.errors import BadInput

MOST_COMPARED = 64
"""Of a larger group of near-copies so many are compared with each other, to say how alike they are."""

FEWEST_SWALLOWED = 8
"""Distinct files of a class, from which on a group is said to swallow the class."""


class CopyGroup(NamedTuple):
    """Images of one picture, by number; more than one."""

    images: Int[np.ndarray, " image"]
    weakest_link: float | None
    """The least correlation of detail that holds the group together; None where all its files are byte-identical."""
    in_conflict: bool
    """Whether its images have different labels."""


def copy_groups(
    groups: Int[np.ndarray, " image"],
    labels: Int[np.ndarray, " image"],
    contents: Sequence[str],
    thumbnails: Pixels | None,
) -> list[CopyGroup]:
    """The groups of more than one image, those first that a person should look at first.

    These are the groups with two labels, then near-copies from the least alike to the most, then exact copies.

    Args:
      thumbnails: what the near-copies were found in; None leaves out how alike they are.
    """
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    found = []
    for images in members:
        if len(images) > 1:
            distinct = np.unique([contents[image] for image in images], return_index=True)[1]
            link = None
            if thumbnails is not None and len(distinct) > 1:
                link = weakest_link(thumbnails, images[distinct][:MOST_COMPARED])
            found.append(CopyGroup(images, link, len(np.unique(labels[images])) > 1))

    def urgency(group: CopyGroup) -> tuple:
        link = 1.0 if group.weakest_link is None else group.weakest_link
        return not group.in_conflict, link, min(str(contents[image]) for image in group.images)

    return sorted(found, key=urgency)


class Swallowed(NamedTuple):
    """Groups that hold more than half of the distinct files of a class, and what was made of them."""

    groups: Int[np.ndarray, " image"]
    """The duplicate groups, less those that are not believed."""
    parted: int
    """Groups of several labels: parted into files with the same bytes."""
    kept: int
    """Groups of one label, which sets that were enlarged with changed copies have."""


def without_swallowed_classes(
    groups: Int[np.ndarray, " image"], labels: Int[np.ndarray, " image"], contents: Sequence[str]
) -> Swallowed:
    """The groups without those that cross labels and hold more than half of a class: they are no copies."""
    names, content_of = np.unique(np.asarray(contents), return_inverse=True)
    content_of = content_of.reshape(-1)
    files = np.unique(np.stack([labels, content_of, groups]), axis=1)
    in_class = np.bincount(files[0])
    parted, kept = [], 0
    for group in np.flatnonzero(np.bincount(files[2]) >= FEWEST_SWALLOWED).tolist():
        of_class = np.bincount(files[0, files[2] == group], minlength=len(in_class))
        if np.any((2 * of_class > in_class) & (of_class >= FEWEST_SWALLOWED)):
            if np.count_nonzero(of_class) > 1:
                parted.append(group)
            else:
                kept += 1
    loose = np.where(np.isin(groups, parted), len(groups) + content_of, groups)
    _, first, number = np.unique(loose, return_index=True, return_inverse=True)
    # Groups stay numbered by their contents in ascending order.
    smallest = np.full(len(first), len(names))
    np.minimum.at(smallest, number.reshape(-1), content_of)
    return Swallowed(np.argsort(np.argsort(smallest)).astype(np.int32)[number.reshape(-1)], len(parted), kept)


def weakest_link(thumbnails: Pixels, images: Int[np.ndarray, " image"]) -> float:
    """The least correlation of detail in the chain of most alike pictures that connects these images."""
    from scipy.sparse.csgraph import minimum_spanning_tree

    pictures = thumbnails[images]
    alike = resemblance(pictures, pictures)[1].max(axis=0)
    # A distance of 0 would count as no edge.
    tree = minimum_spanning_tree(2.0 - np.clip(alike, -1.0, 1.0))
    return float(2.0 - tree.data.max())


def expected_leak(groups: Int[np.ndarray, " image"], labels: Int[np.ndarray, " image"], val_fraction: float) -> float:
    """The share of validation images that have a copy in training, on average over stratified random splits.

    Of a class of n images, v go to validation. One of these has its m - 1 copies of the same class there too with the
    probability prod_{i=1}^{m-1} (v - i) / (n - i), and m copies of another class with that product from i = 0: drawn
    without replacement, after the hypergeometric distribution. It leaks where not all of them are.

    Raises:
      BadInput: unless 0 < val_fraction < 1.
    """
    if not 0 < val_fraction < 1:
        raise BadInput(f"val_fraction {val_fraction:g}: expected a number above 0 and below 1")
    images = np.bincount(labels)
    in_val = np.ceil(val_fraction * images - 0.5).clip(min=np.minimum(1, images))
    order = np.lexsort((labels, groups))
    leaked = 0.0
    for members in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        classes, counts = np.unique(labels[members], return_counts=True)
        for own, count in zip(classes, counts, strict=True):
            none_in_train = 1.0
            for label, others in zip(classes, counts, strict=True):
                first = int(label == own)
                drawn = np.arange(first, others)
                none_in_train *= np.prod((in_val[label] - drawn).clip(min=0) / (images[label] - drawn))
            leaked += count * in_val[own] / images[own] * (1.0 - none_in_train)
    return float(leaked / in_val.sum())
