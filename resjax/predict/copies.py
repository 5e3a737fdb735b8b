"""Which labelled images are copies of each other, and of images that the comparison has seen."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from resjax.data.decoding import Fingerprint, cached_thumbnails
from resjax.data.duplicates.groups import without_swallowed_classes
from resjax.data.duplicates.near_duplicates import near_duplicate_groups
from resjax.records import SeenImages, SplitImage
from resjax.records.run_records import RunRecords

MOST_COMPARED = 20_000
"""Pictures that near-copies are searched among: the search is quadratic."""
SHA256_LETTERS = 64


class Copies(NamedTuple):
    """The copies among labelled images."""

    groups: Int[np.ndarray, " image"]
    """Images with equal numbers are copies of one picture."""
    near_copies_known: bool
    """Whether groups contain near-copies, not files with the same bytes alone."""
    is_seen: Bool[np.ndarray, " image"]
    """Whether a copy lies in train or val of the comparison."""
    seen: SeenImages


def find_copies(
    records: RunRecords, names: Sequence[str], prints: Sequence[Fingerprint], labels: Int[np.ndarray, " image"]
) -> Copies:
    """Finds the copies of labelled images, among these and among the images of the comparison.

    Files with the same bytes are found by the contents in `split.json`. Near-copies are found by thumbnails, if the
    comparison looked for them: those of its images are taken from the cache of decoded images, as far as it holds them.
    """
    contents = [each.content for each in prints]
    images = records.split.images if records.split else []
    by_bytes = bool(images) and all(len(each.content) == SHA256_LETTERS for each in images)
    # A test image whose copy was trained on counts as seen, too: the split of the comparison leaks.
    seen_groups = {each.group for each in images if each.side != "test"}
    known = {each.content: each for each in images if each.group in seen_groups} if by_bytes else {}
    exact = np.array([content in known for content in contents], bool)
    in_test = {each.content for each in images} - known.keys()

    groups = np.unique(contents, return_inverse=True)[1].reshape(-1)
    near, compared, near_known = np.zeros(len(contents), bool), 0, False
    searched = records.summary.config.get("near_copies", True) and find_spec("imagehash") is not None
    if searched and len(set(contents)) <= MOST_COMPARED:
        thumbnails = _thumbnails_of(records, known, MOST_COMPARED - len(set(contents)))
        groups, near = _near_copies(records, known, thumbnails, prints, labels)
        near_known, compared = True, sum(each.content in thumbnails for each in images if each.content in known)
    near = (near | np.isin(groups, groups[exact])) & ~exact
    is_seen = exact | near
    seen = SeenImages(
        same_bytes=int(exact.sum()) if by_bytes else None,
        near_copies=int(near.sum()) if compared or near.any() else None,
        compared_with=compared,
        known=sum(each.group in seen_groups for each in images),
        in_test=sum(content in in_test for content in contents) if by_bytes else 0,
        ids=[name for name, each in zip(names, is_seen, strict=True) if each],
    )
    return Copies(groups, near_known, is_seen, seen)


def _thumbnails_of(records: RunRecords, known: Mapping[str, SplitImage], most: int) -> dict[str, np.ndarray]:
    """Thumbnails of the images of the comparison from its cache; none where they are too many to compare."""
    if len(known) > most:
        return {}
    folder = records.summary.config.get("cache_dir")
    return cached_thumbnails(known, Path(folder).expanduser() if folder else None)


def _near_copies(
    records: RunRecords,
    known: Mapping[str, SplitImage],
    thumbnails: Mapping[str, np.ndarray],
    prints: Sequence[Fingerprint],
    labels: Int[np.ndarray, " image"],
) -> tuple[Int[np.ndarray, " image"], Bool[np.ndarray, " image"]]:
    """The groups of the labelled images, and whether the group of each holds an image of the comparison."""
    number = {name: label for label, name in enumerate(records.summary.dataset.classes)}
    others = list(thumbnails)
    contents = [*others, *(each.content for each in prints)]
    pictures = np.stack([*thumbnails.values(), *(each.thumbnail for each in prints)])
    of_all = np.concatenate([np.array([number[known[each].label] for each in others], int), labels])
    groups = near_duplicate_groups(pictures, contents)
    groups = without_swallowed_classes(groups, of_all, contents).groups
    own = groups[len(others) :]
    return own, np.isin(own, groups[: len(others)])
