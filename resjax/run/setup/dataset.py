"""The images of a run and their splits: loading them, and the records of `dataset.json` and `split.json`."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from msgspec import UNSET, UnsetType

from resjax.data import splits
from resjax.data.dataset import Dataset, Exclusion, ValueRanges
from resjax.data.decoding import decode
from resjax.data.deep_images import described_ranges
from resjax.data.duplicates.groups import copy_groups, expected_leak, without_swallowed_classes
from resjax.data.duplicates.near_duplicates import cached_near_duplicate_groups
from resjax.data.given_split import ImageOnSide, given_split
from resjax.data.sources.opening import Catalogue, open_catalogue
from resjax.data.splits import VAL_FRACTION, Split, group_names, make_folds, make_split, take_train_fraction
from resjax.errors import BadInput, RecordError
from resjax.evaluation.diagnosis.answers import distinct_pictures
from resjax.records import (
    CopyGroup,
    DatasetRecord,
    ExpectedLeak,
    Fold,
    GivenSplit,
    Listed,
    Side,
    SplitImage,
    SplitRecord,
    ValueRangesRecord,
    read_record,
)
from resjax.run.settings import Settings, SourceSettings, SplitSettings

SIDES: tuple[Side, ...] = ("train", "val", "test")
MOST_CONTENTS = 4
"""Kinds of unreadable files that are named before training; dataset.json names all."""


def load_dataset(
    source: SourceSettings, image_size: int, check: Callable[[Catalogue], None] | None = None
) -> tuple[Catalogue, Dataset]:
    """The catalogue and its decoded images; prints how the source was understood, and what was left out and why.

    Near-copies form one group if the settings ask for it and the source can have them; otherwise files with the same
    bytes do. `check` gets the catalogue before anything is decoded, and may raise.

    Raises:
      BadInput: if the data cannot be used, or the cache would lie among the images.
    """
    if source.cache_dir is not None:
        require_outside_images(source, source.cache_dir, "--cache_dir")
    if isinstance(source.given, Dataset):
        catalogue = _catalogue_of(source.given)
        dataset = replace(source.given, details={"decoded": 0, **source.given.details})
    else:
        catalogue = source.given or open_catalogue(
            source.dataset, image_dir=source.image_dir, data_dir=source.data_dir, image_size=image_size
        )
        dataset = None
    for note in catalogue.notes:
        print(note, flush=True)
    if check:
        check(catalogue)
    if dataset is None:
        dataset = decode(catalogue, image_size, cache_dir=source.cache_dir, cache_bytes=int(source.cache_gb * 1e9))
    if source.near_copies and dataset.thumbnails is not None:
        # The groups are kept under the contents, and deep images look otherwise under another range.
        contents = [f"{content} {dataset.ranges}" for content in dataset.contents] if dataset.ranges else None
        groups = cached_near_duplicate_groups(
            dataset.thumbnails, contents or dataset.contents, cache_dir=source.cache_dir
        )
        found = without_swallowed_classes(groups, dataset.labels, dataset.contents)
        dataset = replace(dataset, groups=found.groups)
        if found.parted:
            print(
                f"WARNING: {found.parted} groups of near-copies have several labels and more than half of a class, so "
                "they are not believed; files with the same bytes still count as copies there"
            )
        if found.kept:
            print(
                f"WARNING: {found.kept} groups of near-copies have more than half of a class; if the pictures are not "
                "copies (python -m experiments.audit shows them), use --nonear_copies"
            )
    dataset = replace(dataset, notes=catalogue.notes)
    print(described(dataset, near_copies_known(source, dataset)))
    return catalogue, dataset


def _catalogue_of(dataset: Dataset) -> Catalogue:
    """A catalogue of images that are decoded already, which it has no files of."""

    def read(image: int) -> bytes:
        raise BadInput(f"{dataset.name}: {dataset.ids[image]} has no file")

    return Catalogue(
        name=dataset.name,
        classes=dataset.classes,
        ids=dataset.ids,
        labels=dataset.labels,
        read=read,
        content=lambda image: dataset.contents[image],
        sides=dataset.sides,
        exclusions=dataset.exclusions,
        notes=dataset.notes,
    )


def require_outside_images(source: SourceSettings, folder: Path, flag: str = "--workdir") -> None:
    """Refuses a folder to write into that lies in a folder of images, where it would be a class of the next run.

    Raises:
      BadInput: names the flag that named the folder.
    """
    kind, _, value = source.dataset.partition(":")
    if kind != "folder" or not value:
        return
    images = Path(value).expanduser()
    if folder.resolve().is_relative_to(images.resolve()):
        raise BadInput(
            f"{flag}={folder} lies in the image folder {images}, where every folder is a class; expected a folder "
            "outside it"
        )


def class_images(dataset: Dataset, split: Split) -> dict[Side, list[int]]:
    """How many images of each class each side has, in the order of the classes."""
    classes = len(dataset.classes)
    return {side: np.bincount(dataset.labels[split.sides[side]], minlength=classes).tolist() for side in SIDES}


def independent_images(dataset: Dataset, split: Split) -> dict[Side, float]:
    """How many images without copies would say as much as those of each side."""
    return {side: distinct_pictures(dataset.groups[split.sides[side]]) for side in SIDES}


def near_copies_known(source: SourceSettings, dataset: Dataset) -> bool:
    """Whether `dataset.groups` contain near-copies: they were searched for, or the source has none."""
    return source.near_copies or dataset.thumbnails is None


def described(dataset: Dataset, near_copies_known: bool) -> str:
    """How many images and classes there are, what was left out and why, how deep images were scaled, and warnings."""
    text = (
        f"{dataset.name}: {len(dataset.ids):,} images of {len(dataset.classes)} classes, "
        f"{len(set(dataset.contents)):,} distinct files"
    )
    if near_copies_known:
        text += f", {len(np.unique(dataset.groups)):,} distinct pictures"
    if dataset.exclusions:
        text += f"; left out {len(dataset.exclusions)}: {_counted_exclusions(dataset.exclusions)}"
    if dataset.ranges:
        text += f"\nimages with more than 8 bits a channel are scaled to 8: {described_ranges(dataset.ranges)}"
    if dataset.one_colour:
        text += (
            f"\nWARNING: {len(dataset.one_colour):,} images show one colour or nearly so: "
            f"{splits.listed(dataset.one_colour)}; dataset.json lists them"
        )
    labels_of_groups = np.unique(np.stack([dataset.groups, dataset.labels]), axis=1)[0]
    if conflicts := sum(count > 1 for count in Counter(labels_of_groups.tolist()).values()):
        text += (
            f"\nWARNING: {conflicts} pictures have copies with different labels, listed in dataset.json; "
            "python -m experiments.audit shows them"
        )
    return text


def _counted_exclusions(exclusions: Iterable[Exclusion]) -> str:
    """Each reason with its count, and of files that cannot be read what they are."""
    reasons = Counter(exclusion.reason for exclusion in exclusions)
    contents = Counter(exclusion.detail for exclusion in exclusions if exclusion.reason == "unreadable")
    named = "; ".join(f"{detail}: {count:,}" for detail, count in contents.most_common(MOST_CONTENTS))
    more = len(contents) - MOST_CONTENTS
    others = f"; and {more} more kinds" if more > 0 else ""
    return ", ".join(
        f"{reason} {count}" + (f" ({named}{others})" if reason == "unreadable" else "")
        for reason, count in reasons.items()
    )


def load_splits(settings: Settings, dataset: Dataset) -> dict[str, Split]:
    """The splits that the settings ask for, by name; with several, the name is also that of the split's folder."""
    asked = settings.split
    return {
        name: take_train_fraction(dataset, split, asked.train_fraction, seed=asked.seed)
        for name, split in whole_splits(settings.split, dataset).items()
    }


def whole_splits(asked: SplitSettings, dataset: Dataset) -> dict[str, Split]:
    """As `load_splits`, with all training images."""
    if asked.file:
        split = read_split(asked.file, dataset)
        return {split.method: split}
    if dataset.sides and asked.methods and "given" not in asked.methods:
        print(f"{dataset.name} comes with a split of its own, which --split={','.join(asked.methods)} ignores")
    divide = {"seed": asked.seed, "test_fraction": asked.test_fraction}
    if asked.folds:
        folds = make_folds(dataset, asked.folds, method=next(iter(asked.methods), None), **divide)
        return {f"fold{number}": split for number, split in enumerate(folds, start=1)}
    divide["val_fraction"] = asked.val_fraction
    made = [make_split(dataset, method=method, **divide) for method in asked.methods or (None,)]
    return {split.method: split for split in made}


def read_split(path: Path, dataset: Dataset) -> Split:
    """The split of a `split.json`, for the same images.

    Raises:
      BadInput: if the file cannot be read or is not a record of a split, and as `given_split`.
    """
    try:
        record = read_record(path, SplitRecord)
    except OSError as error:
        raise BadInput(f"split file {path}: {error.strerror}, expected a split.json of a run") from error
    except RecordError as error:
        raise BadInput(f"split file {error}; expected a split.json of a run") from error
    return split_of_record(record, dataset)


def split_of_record(record: SplitRecord, dataset: Dataset) -> Split:
    """The split that `split_record` describes, for the same images; raises BadInput as `given_split` does."""
    return given_split(
        dataset,
        [ImageOnSide(image.id, image.label, image.content, image.side) for image in record.images],
        method=record.method,
        seed=record.seed or 0,
        fold=splits.Fold(record.fold.number, record.fold.of) if record.fold else None,
        train_fraction=record.train_fraction,
    )


def split_record(dataset: Dataset, split: Split) -> SplitRecord:
    """The record of `split.json`; an image on two sides is listed once per side."""
    names = group_names(dataset)
    return SplitRecord(
        method=split.method,
        label=split.label,
        seed=split.seed,
        fold=fold_record(split),
        train_fraction=split.train_fraction,
        fractions={side: len(split.sides[side]) / len(dataset.ids) for side in SIDES},
        images=[
            SplitImage(
                id=dataset.ids[image],
                label=dataset.classes[dataset.labels[image]],
                group=names[int(dataset.groups[image])][:12],
                side=side,
                content=dataset.contents[image],
            )
            for side in SIDES
            for image in split.sides[side].tolist()
        ],
    )


def fold_record(split: Split) -> Fold | None:
    """Which fold of how many the split is."""
    return Fold(number=split.fold.number, of=split.fold.of) if split.fold else None


def data_fingerprint(dataset: Dataset, split: Split) -> str:
    """A hash of all that a replica sees of the data: contents and their scale, labels and sides, in order."""
    sides = {side: indices.tolist() for side, indices in split.sides.items()}
    seen = [dataset.classes, dataset.contents, dataset.labels.tolist(), sides]
    if dataset.ranges:
        seen.append([dataset.ranges.integers, dataset.ranges.floats])
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:16]


def dataset_record(
    dataset: Dataset,
    *,
    val_fraction: float | None = None,
    findings: Iterable[Exclusion] | None = None,
) -> DatasetRecord:
    """The record of `dataset.json`, the same from an audit and from a comparison.

    Args:
      dataset: its `groups` contain near-copies if these were searched for.
      val_fraction: of the random splits whose leak is expected, by default that of a split.
      findings: what an audit found about single files; None if nobody looked.
    """
    val_fraction = VAL_FRACTION if val_fraction is None else val_fraction
    counts = np.bincount(dataset.labels, minlength=len(dataset.classes)).tolist()
    exact = np.unique(dataset.contents, return_inverse=True)[1].reshape(-1)
    groups = copy_groups(dataset.groups, dataset.labels, dataset.contents, dataset.thumbnails)
    records = [
        CopyGroup(
            ids=[dataset.ids[image] for image in group.images],
            contents=[dataset.contents[image] for image in group.images],
            labels=[dataset.classes[dataset.labels[image]] for image in group.images],
            weakest_link=group.weakest_link,
        )
        for group in groups
    ]
    return DatasetRecord(
        name=dataset.name,
        classes=dict(zip(dataset.classes, counts, strict=True)),
        images=len(dataset.ids),
        distinct_contents=len(set(dataset.contents)),
        distinct_pictures=len(np.unique(dataset.groups)),
        pictures_of_class={
            name: len(np.unique(dataset.groups[dataset.labels == label])) for label, name in enumerate(dataset.classes)
        },
        decoded=cast(int, dataset.details["decoded"]),
        excluded=_listed(dataset.exclusions),
        findings=None if findings is None else _listed(findings),
        expected_leak=ExpectedLeak(
            val_fraction=val_fraction,
            exact=expected_leak(exact, dataset.labels, val_fraction),
            pictures=expected_leak(dataset.groups, dataset.labels, val_fraction),
        ),
        given_split=None if dataset.sides is None else _given_split(dataset, dataset.sides),
        conflicts=[record.ids for group, record in zip(groups, records, strict=True) if group.in_conflict],
        groups=records,
        one_colour=list(dataset.one_colour),
        value_ranges=value_ranges_record(dataset.ranges),
        notes=list(dataset.notes),
    )


def value_ranges_record(ranges: ValueRanges) -> ValueRangesRecord | UnsetType:
    """The ranges as a part of a record, UNSET for a set without deep images."""
    return ValueRangesRecord(integers=ranges.integers, floats=ranges.floats) if ranges else UNSET


def _given_split(dataset: Dataset, sides: Sequence[str]) -> GivenSplit:
    """The split that the data came with, and its images of val and test that have a copy on another side."""
    counts = Counter(sides)
    sides_of_group = defaultdict(set)
    for group, side in zip(dataset.groups.tolist(), sides, strict=True):
        sides_of_group[group].add(side)
    leaked = [
        name
        for name, group, side in zip(dataset.ids, dataset.groups.tolist(), sides, strict=True)
        if side != "train" and len(sides_of_group[group]) > 1
    ]
    return GivenSplit(images={side: counts[side] for side in SIDES if side in counts}, leaked=leaked)


def _listed(entries: Iterable[Exclusion]) -> list[Listed]:
    return [Listed(id=entry.id, reason=entry.reason, detail=entry.detail) for entry in entries]
