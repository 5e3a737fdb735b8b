"""The images that the source flags name, decoded, with the groups of copies among them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from resjax.data.dataset import Dataset
from resjax.data.decoding import decode
from resjax.data.duplicates.near_duplicates import cached_near_duplicate_groups
from resjax.data.sources.opening import Catalogue, open_catalogue
from resjax.data.split_record import read_split
from resjax.data.splits import Split, make_folds, make_split, take_train_fraction
from resjax.run.settings import Settings, SourceSettings


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
        groups = cached_near_duplicate_groups(
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


def load_splits(settings: Settings, dataset: Dataset) -> dict[str, Split]:
    """The splits of the flags, by the names that their folders get where there are several."""
    asked = settings.split
    return {
        name: take_train_fraction(dataset, split, asked.train_fraction, seed=asked.seed)
        for name, split in whole_splits(settings, dataset).items()
    }


def whole_splits(settings: Settings, dataset: Dataset) -> dict[str, Split]:
    """The same with all their training images."""
    asked = settings.split
    if asked.file:
        split = read_split(asked.file, dataset)
        return {split.method: split}
    if dataset.sides and asked.methods and "given" not in asked.methods:
        print(f"{dataset.name} comes with a split of its own, which --split={','.join(asked.methods)} leaves aside")
    divide = {"seed": asked.seed, "test_fraction": asked.test_fraction}
    if asked.folds:
        folds = make_folds(dataset, asked.folds, method=next(iter(asked.methods), None), **divide)
        return {f"fold{number}": split for number, split in enumerate(folds, start=1)}
    divide["val_fraction"] = asked.val_fraction
    splits = [make_split(dataset, method=method, **divide) for method in asked.methods or (None,)]
    return {split.method: split for split in splits}
