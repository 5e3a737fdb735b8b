"""The images that the source flags name, decoded, with the groups of copies among them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from resjax.cli.data_flags import SourceSettings
from resjax.data.decoding import decode
from resjax.data.duplicates.near_copies import cached_near_copy_groups
from resjax.data.sources.opening import Catalogue, open_catalogue
from resjax.types import Dataset


def load_dataset(
    source: SourceSettings, image_size: int, check: Callable[[Catalogue], None] | None = None
) -> tuple[Catalogue, Dataset]:
    """The catalogue and its decoded images, and a line for the reader about what was left out and why.

    Near-copies make one group where the settings ask for it and the source may have them; otherwise files with the same
    bytes do. `check` sees the catalogue before anything is decoded, and may raise.

    Raises:
      BadInput: where the data cannot be used.
    """
    catalogue = open_catalogue(
        source.dataset, image_dir=source.image_dir, data_dir=source.data_dir, image_size=image_size, progress=True
    )
    if check:
        check(catalogue)
    dataset = decode(
        catalogue, image_size, cache_dir=source.cache_dir, cache_bytes=int(source.cache_gb * 1e9), progress=True
    )
    if source.near_copies and dataset.thumbnails is not None:
        groups = cached_near_copy_groups(
            dataset.thumbnails, dataset.contents, cache_dir=source.cache_dir, progress=True
        )
        dataset = replace(dataset, groups=groups)
    print(described(dataset, near_copies_known(source, dataset)))
    return catalogue, dataset


def near_copies_known(source: SourceSettings, dataset: Dataset) -> bool:
    """Whether `dataset.groups` are those of pictures: near-copies were looked for, or the source has none."""
    return source.near_copies or dataset.thumbnails is None


def described(dataset: Dataset, near_copies_known: bool) -> str:
    """What there is, what was left out, and a warning where copies have different labels."""
    reasons = Counter(exclusion.reason for exclusion in dataset.exclusions)
    counted = ", ".join(f"{reason} {count}" for reason, count in reasons.items())
    text = (
        f"{dataset.name}: {len(dataset.ids):,} images of {len(dataset.classes)} classes, "
        f"{len(set(dataset.contents)):,} distinct files"
    )
    if near_copies_known:
        text += f", {len(np.unique(dataset.groups)):,} distinct pictures"
    if reasons:
        text += f"; left out {reasons.total()}: {counted}"
    labels_of_groups = np.unique(np.stack([dataset.groups, dataset.labels]), axis=1)[0]
    if conflicts := sum(count > 1 for count in Counter(labels_of_groups.tolist()).values()):
        text += (
            f"\nWARNING: {conflicts} pictures have copies with different labels, listed in dataset.json; "
            "python -m experiments.audit shows them"
        )
    return text
