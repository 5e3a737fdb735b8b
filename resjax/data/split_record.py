"""The split as a record, `split.json`, and back: handed back, it has to fit the data and must not leak."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from resjax.data.dataset import Dataset
from resjax.data.splits import METHODS, SIDES, Fold, Split, find_leaks, group_names, listed
from resjax.errors import BadInput

SCHEMA_VERSION = 1
ACCEPTED = "a split.json of a run is accepted"


def split_record(dataset: Dataset, split: Split) -> dict:
    """The split as a record that can be written to JSON: an image on two sides is listed once a side."""
    names = group_names(dataset)
    return {
        "schema_version": SCHEMA_VERSION,
        "method": split.method,
        "label": split.label,
        "seed": split.seed,
        "fold": split.fold and split.fold._asdict(),
        "train_fraction": split.train_fraction,
        "fractions": {side: len(images) / len(dataset.ids) for side, images in split.sides.items()},
        "images": [
            {
                "id": dataset.ids[image],
                "label": dataset.classes[dataset.labels[image]],
                "group": names[int(dataset.groups[image])][:12],
                "side": side,
                "content": dataset.contents[image],
            }
            for side, images in split.sides.items()
            for image in images.tolist()
        ],
    }


def read_split(path: Path, dataset: Dataset) -> Split:
    """The split of a `split.json`, for the same images.

    Raises:
      BadInput: where there is no such file, no JSON in it, or what `split_from_record` refuses.
    """
    try:
        record = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"split file {path}: {error.strerror}; {ACCEPTED}") from error
    except ValueError as error:
        raise BadInput(f"split file {path}: no JSON, or not all of it ({error}); {ACCEPTED}") from error
    return split_from_record(record, dataset)


def split_from_record(record: Mapping, dataset: Dataset) -> Split:
    """The split that `split_record` wrote, for the same images.

    Raises:
      BadInput: where the record is of another kind, names images that the dataset has not, or has with another content
        or label, leaves images out, has an image on two sides though its method is not `overlapping`, or parts copies
        though its method is `grouped`.
    """
    try:
        version, method, seed = record["schema_version"], record["method"], int(record["seed"])
        train_fraction = float(record.get("train_fraction", 1.0))
        fold = Fold(**{key: int(value) for key, value in record["fold"].items()}) if record.get("fold") else None
        rows = [tuple(str(row[key]) for key in ("id", "label", "content", "side")) for row in record["images"]]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"split file: not a record of a split ({error!r}); {ACCEPTED}") from error
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
    _refuse("images that the data lacks or has changed", (row[0] for row in rows if row[:3] not in known))
    _refuse("images on an unknown side", (row[0] for row in rows if row[3] not in SIDES))
    images = {side: {number[name] for name, *_, of in rows if of == side} for side in SIDES}
    sides_of = {name: sum(number[name] in images[side] for side in SIDES) for name in dataset.ids}
    if method != "overlapping":
        if train_fraction == 1:
            _refuse("images of the data on no side", (name for name, count in sides_of.items() if not count))
        _refuse("images on more than one side", (name for name, count in sides_of.items() if count > 1))
    sides = {side: np.array(sorted(images[side]), np.int32) for side in SIDES}
    split = Split(method, seed, sides, fold, train_fraction)
    if method == "grouped":
        leaks = find_leaks(split, dataset.groups)
        _refuse("images with a copy on another side", (dataset.ids[i] for side in leaks.values() for i in side))
    if not images["train"] or not images["val"]:
        raise BadInput(f"split file: no images to train or none in val; {ACCEPTED}")
    return split


def _refuse(what: str, names: Iterable[str]) -> None:
    names = set(names)
    if names:
        raise BadInput(
            f"split file: {what}: {len(names)} ({listed(names)}); use the data that it was made for, or no file"
        )
