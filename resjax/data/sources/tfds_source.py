"""Images of a data set that TensorFlow Datasets (TFDS) has prepared, read without TensorFlow.

The id of an image is its split and its position in the whole split. Records are read raw and parsed as
`tf.train.Example`: TFDS's `SkipDecoding` for the image would still decode every other feature, some of which need
TensorFlow.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from resjax.data.dataset import Exclusion
from resjax.data.sources.catalogue import SIDE_NAMES, Catalogue, usable
from resjax.data.sources.files import composed
from resjax.errors import BadInput, closest
from resjax.terminal import activity

Builder = Any
Info = Any
"""TFDS's DatasetBuilder and DatasetInfo; their own annotations allow None nearly everywhere."""

FORMAT = "array_record"
"""The only TFDS format whose records can be read in any order and without TensorFlow."""
BLOCK = 256
"""Records read at a time for their labels: ten times as fast as one by one, at tens of megabytes of photographs."""


class _Part(NamedTuple):
    """Consecutive records of a TFDS split, and their side."""

    split: str
    start: int
    stop: int
    side: str | None


class _Records:
    """The examples of a prepared data set by split and position; safe to read from several threads."""

    def __init__(self, builder: Builder, image: str, label: str):
        from tensorflow_datasets.core.decode import DeserializeMethod
        from tensorflow_datasets.proto import tf_example_pb2

        self._parse = tf_example_pb2.Example.FromString  # pyright: ignore[reportAttributeAccessIssue]
        self._image, self._label = image, label
        # Raw records: TFDS's own decoding covers every feature, and some features need TensorFlow.
        self._sources = {
            split: builder.as_data_source(split, file_format=FORMAT, deserialize_method=DeserializeMethod.RAW_BYTES)
            for split, info in builder.info.splits.items()
            if info.num_examples
        }

    def image(self, split: str, position: int) -> bytes:
        """The bytes of an image file as it was prepared; raises OSError if they cannot be read."""
        try:
            return self._features(self._sources[split][position])[self._image].bytes_list.value[0]
        except Exception as error:  # array_record and the parser raise errors of any type.
            raise OSError(_one_line(error)) from error

    def labels(self, parts: Sequence[_Part]) -> list[list[int]]:
        """The labels of each part's records; -1 for a record without a label, as TFDS writes it."""
        of_parts: list[list[int]] = []
        total = sum(part.stop - part.start for part in parts)
        with activity("reading labels", total) as reading:
            for part in parts:
                of_parts.append([])
                for start in range(part.start, part.stop, BLOCK):
                    block = range(start, min(start + BLOCK, part.stop))
                    records = self._sources[part.split].__getitems__(block)
                    features = map(self._features, records)
                    of_parts[-1] += [
                        of[self._label].int64_list.value[0] if self._label in of else -1 for of in features
                    ]
                    reading.advance(len(block))
        return of_parts

    def _features(self, record: bytes) -> Mapping[str, Any]:
        if not record:
            # array_record returns empty records beyond the end of a truncated file.
            raise ValueError("the files hold fewer records than their metadata say")
        return self._parse(record).features.feature


def open_tfds(spec: str, value: str, data_dir: Path | None) -> Catalogue:
    """The images of `NAME`, `NAME/CONFIG:VERSION`, or either with `@` and a split in TFDS's own syntax.

    With a split, such as `cifar10@train[:20%]` or `cifar10@train+test`, all its images are one pool. Without, the
    splits train, validation and test are sides and kept as they are, if there are at least two of them; other splits,
    and splits without labels, are left out and listed. An id is the split and the position in it.

    Every record is read once for its label.

    Args:
      spec: the `--dataset` value, for error texts.
      value: `spec` without `tfds:`.
      data_dir: where TFDS keeps prepared data; by default TFDS's own folder (`TFDS_DATA_DIR` or
        `~/tensorflow_datasets`).

    Raises:
      BadInput: if the set is missing, unreadable or not prepared as array_record, if it does not have exactly one image
        feature and one label feature, and for an unknown split.
    """
    name, at, instruction = value.partition("@")
    with _errors_as_bad_input(spec):
        builder = _find_builder(spec, name, data_dir)
        info = builder.info
        image, label = _image_and_label(spec, info)
        classes = tuple(composed(name) for name in info.features[label].names)
        parts, exclusions = (_parts_asked_for(spec, info, instruction), []) if at else _own_parts(spec, info)
        # A catalogue is sorted by id.
        parts.sort(key=lambda part: (f"{part.split}/", part.start))
        records = _Records(builder, image, label)
        labels_of_parts = records.labels(parts)

    ids: list[str] = []
    labels: list[int] = []
    places: list[tuple[str, int]] = []
    sides: list[str] = []
    for part, given in zip(parts, labels_of_parts, strict=True):
        if not any(number in range(len(classes)) for number in given):
            exclusions.append(Exclusion(part.split, "split without labels", f"{len(given):,} images"))
            continue
        digits = len(str(info.splits[part.split].num_examples - 1))
        for position, number in enumerate(given, start=part.start):
            id = f"{part.split}/{position:0{digits}}"
            if number not in range(len(classes)):
                exclusions.append(Exclusion(id, "image without a label"))
                continue
            ids.append(id)
            labels.append(number)
            places.append((part.split, position))
            sides.append(part.side or "")
    catalogue = Catalogue(
        name=spec,
        classes=classes,
        ids=tuple(ids),
        labels=np.array(labels, np.int32),
        read=lambda image: records.image(*places[image]),
        exclusions=tuple(exclusions),
        # If only train has labels, its images are a pool to be split.
        sides=tuple(sides) if {"val", "test"} & set(sides) else None,
    )
    return usable(catalogue)


def _find_builder(spec: str, name: str, data_dir: Path | None) -> Builder:
    from tensorflow_datasets.core import constants, naming, read_only_builder, registered

    if not naming.is_valid_dataset_name(name):
        raise BadInput(
            f"dataset {spec!r}: expected tfds:NAME, tfds:NAME/CONFIG or tfds:NAME:1.0.0, with or without a split such "
            "as @train[:20%]"
        )
    folder = data_dir or Path(os.path.expanduser(constants.DATA_DIR))
    try:
        # The prepared files decide, not the version of TFDS's current code for the name.
        builder = read_only_builder.builder_from_files(name, data_dir=str(folder))
    except registered.DatasetNotFoundError:
        raise BadInput(f"dataset {spec!r}: {_ways_to(name, folder)}") from None
    formats = sorted(format.value for format in builder.info.available_file_formats())
    if FORMAT not in formats:
        raise BadInput(
            f"dataset {spec!r}: prepared as {', '.join(formats)} in {folder}, expected {FORMAT}; prepare it in another "
            f"data_dir: {_preparation(name, Path('DIR'))}"
        )
    return builder


def _ways_to(name: str, folder: Path) -> str:
    """What the user can do about a data set that is not there."""
    from tensorflow_datasets import list_builders
    from tensorflow_datasets.core import naming

    dataset = naming.parse_builder_name_kwargs(name)[0].name
    prepared = _prepared_in(folder)
    if here := prepared.get(dataset):
        return f"not prepared in {folder}; expected one of those there: {', '.join(here)}"
    known = list_builders(with_community_datasets=False)
    if dataset in known:
        return f"not prepared in {folder}; give its data_dir, or prepare it: {_preparation(name, folder)}"
    near = closest(dataset, {*prepared, *known}, 3)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    return f"neither prepared in {folder} nor known to TFDS; give its data_dir, or another name{hint}"


def _prepared_in(folder: Path) -> dict[str, list[str]]:
    """The data sets that are prepared in a folder: by name, each with its configs and versions."""
    names: dict[str, list[str]] = {}
    for features in sorted([*folder.glob("*/*/features.json"), *folder.glob("*/*/*/features.json")]):
        *parts, version = features.parent.relative_to(folder).parts
        names.setdefault(parts[0], []).append(f"{'/'.join(parts)}:{version}")
    return names


def _preparation(name: str, folder: Path) -> str:
    # `tfds build` of TFDS 4.9.10 does not start without Apache Beam.
    arguments = f"{name!r}, data_dir={str(folder)!r}, builder_kwargs={{'file_format': {FORMAT!r}}}"
    return (
        "pip install 'resjax[prepare]' && "
        f'python -c "import tensorflow_datasets as tfds; tfds.data_source({arguments})"'
    )


def _image_and_label(spec: str, info: Info) -> tuple[str, str]:
    """The names of the image feature and the label feature: by their type, then by TFDS's supervised keys."""
    from tensorflow_datasets.core import features

    supervised = info.supervised_keys or ()
    names = []
    for place, kind in enumerate((features.Image, features.ClassLabel)):
        # The pixels of a LabeledImage are labels, so it is no picture.
        found = [
            name
            for name, feature in info.features.items()
            if isinstance(feature, kind) and not isinstance(feature, features.LabeledImage)
        ]
        if len(found) > 1:
            found = [name for name in found if name in supervised[place : place + 1]] or found
        if len(found) != 1:
            described = ", ".join(
                f"{name} ({type(feature).__name__})" for name, feature in sorted(info.features.items())
            )
            raise BadInput(
                f"dataset {spec!r}: expected one feature of type {kind.__name__}, or supervised keys that name one; "
                f"its features: {described}"
            )
        names += found
    if np.issubdtype(info.features[names[0]].np_dtype, np.floating):
        raise BadInput(f"dataset {spec!r}: feature {names[0]!r} holds floating-point values; expected image files")
    return names[0], names[1]


def _parts_asked_for(spec: str, info: Info, instruction: str) -> list[_Part]:
    from tensorflow_datasets.core import ReadInstruction

    sizes = {split: of.num_examples for split, of in info.splits.items()}
    try:
        pieces = ReadInstruction.from_spec(instruction).to_absolute(info.splits)
    except Exception as error:  # ValueError, NotImplementedError or AssertionError.
        raise BadInput(
            f"dataset {spec!r}: {instruction!r} is no split of it; expected {', '.join(sizes)}, parts of them such as "
            "@train[:20%], or sums with +"
        ) from error
    parts = [_Part(p.splitname, p.from_ or 0, sizes[p.splitname] if p.to is None else p.to, None) for p in pieces]
    for first, second in combinations(parts, 2):
        if first.split == second.split and max(first.start, second.start) < min(first.stop, second.stop):
            raise BadInput(f"dataset {spec!r}: takes images of {first.split} twice; expected parts that do not overlap")
    return [part for part in parts if part.start < part.stop]


def _own_parts(spec: str, info: Info) -> tuple[list[_Part], list[Exclusion]]:
    sizes = {split: of.num_examples for split, of in info.splits.items() if of.num_examples}
    side_of = {split: SIDE_NAMES[split.lower()] for split in sizes if split.lower() in SIDE_NAMES}
    sides = list(side_of.values())
    if len(sizes) == 1:
        side_of = dict.fromkeys(sizes, "train")
    elif "train" not in sides or len(set(sides)) < len(sides):
        raise BadInput(
            f"dataset {spec!r}: its splits are {', '.join(sizes) or 'none'}; expected train, with or without "
            f"validation and test, or a split to use such as {spec}@{next(iter(sizes), 'train')}"
        )
    parts = [_Part(split, 0, sizes[split], side) for split, side in side_of.items()]
    return parts, [
        Exclusion(split, "split not used", f"{size:,} images") for split, size in sizes.items() if split not in side_of
    ]


@contextmanager
def _errors_as_bad_input(spec: str) -> Iterator[None]:
    """Turns every error that TFDS raises about damaged or missing files into a `BadInput`."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(
            f"dataset {spec!r}: TFDS cannot read it ({_one_line(error)}); expected a completely prepared set"
        ) from error


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]} ..."
