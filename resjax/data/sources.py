"""Where images come from: every source becomes one Catalogue of names, labels and bytes."""

import csv
import difflib
import os
import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

from resjax.data import synthetic
from resjax.types import BadInput, Exclusion

ACCEPTED = "synthetic, synthetic:COUNT, csv:PATH or folder:PATH"
SYNTHETIC_COUNT = 600
SIDE_FOLDERS = {"train", "val", "test"}


@dataclass(frozen=True)
class Catalogue:
    """What a source holds, before anything is decoded; sorted by id."""

    name: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    labels: Int32[np.ndarray, " image"]
    read: Callable[[int], bytes]
    """The file of the image with this number, as it was found; raises OSError where it cannot be read."""
    exclusions: tuple[Exclusion, ...] = ()
    content: Callable[[int], str] | None = None
    """A name for the image's bytes, equal for equal bytes, where the source has one that is cheaper than a SHA-256."""
    sides: tuple[str, ...] | None = None
    """`train`, `val` or `test` of each image, where the source comes with its own split."""
    has_near_copies: bool = True
    """False where different contents are known to be different pictures."""


def open_catalogue(spec: str, *, image_dir: Path | None = None, image_size: int) -> Catalogue:
    """The catalogue of `synthetic`, `synthetic:COUNT`, `csv:PATH` or `folder:PATH`.

    Args:
      image_dir: the folder of a csv's images; by default the one beside the csv, named like its stem.
      image_size: height and width in pixels at which `synthetic` is drawn.

    Raises:
      BadInput: for an unknown source, one that is not there or cannot be understood, and one with fewer than two
        classes.
    """
    kind, _, value = spec.partition(":")
    if image_dir is not None and kind != "csv":
        raise BadInput(f"image_dir {str(image_dir)!r}: goes with csv:PATH alone, not with {spec!r}; leave it out")
    path = Path(value).expanduser()
    if kind == "synthetic":
        return _open_synthetic(spec, value, image_size)
    if kind == "csv":
        return _open_csv(spec, path, image_dir)
    if kind == "folder":
        return _open_folder(spec, path)
    near = difflib.get_close_matches(kind, ["synthetic", "csv", "folder"], n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise BadInput(f"dataset {spec!r}: {ACCEPTED} are accepted{hint}")


def _open_synthetic(spec: str, count: str, image_size: int) -> Catalogue:
    if count and not (count.isdecimal() and int(count) >= 2 * len(synthetic.CLASSES)):
        raise BadInput(f"dataset {spec!r}: a count of images from {2 * len(synthetic.CLASSES)} is accepted")
    drawings = sorted(synthetic.plan(int(count or SYNTHETIC_COUNT), seed=0), key=lambda drawing: drawing.id)
    return Catalogue(
        name=spec,
        classes=synthetic.CLASSES,
        ids=tuple(drawing.id for drawing in drawings),
        labels=np.array([drawing.label for drawing in drawings], np.int32),
        read=lambda image: synthetic.png_bytes(drawings[image], image_size),
        content=lambda image: synthetic.content(drawings[image]),
        has_near_copies=False,
    )


class _Row(NamedTuple):
    where: str
    is_blank: bool
    filename: str
    label: str


def _open_csv(spec: str, path: Path, image_dir: Path | None) -> Catalogue:
    if not path.is_file():
        raise BadInput(f"dataset {spec!r}: no such file; a csv with the columns filename,label is accepted")
    rows = _read_rows(spec, path)
    folder = path.with_suffix("") if image_dir is None else image_dir
    if not folder.is_dir():
        raise BadInput(f"dataset {spec!r}: its images are looked for in {folder}, which is no folder; give image_dir")
    files = {name: file for name, file in _files_below(folder).items() if file != path}
    label_of, exclusions = _label_files(rows, files)
    named = {posixpath.normpath(row.filename) for row in rows}
    exclusions += [
        Exclusion(name, "hidden file" if _is_hidden(name) else "file without a row")
        for name in sorted(files.keys() - named)
    ]
    return _catalogue_of_files(spec, label_of, files, exclusions)


def _read_rows(spec: str, path: Path) -> list[_Row]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header, *table = list(csv.reader(file)) or [[]]
    except UnicodeDecodeError:
        raise BadInput(f"dataset {spec!r}: not UTF-8 text; save it as a csv in UTF-8") from None
    except (csv.Error, OSError) as error:
        raise BadInput(f"dataset {spec!r}: cannot be read as a csv ({error})") from error
    header = [cell.strip() for cell in header]
    if not {"filename", "label"} <= set(header):
        found = ", ".join(header) or "none"
        raise BadInput(f"dataset {spec!r}: the columns filename and label are needed, found: {found}")
    columns = header.index("filename"), header.index("label")
    rows = []
    # Numbers are those of a spreadsheet, in which the header is row 1.
    for number, cells in enumerate(table, start=2):
        filename, label = (cells[column].strip() if column < len(cells) else "" for column in columns)
        rows.append(_Row(f"row {number}", not any(cell.strip() for cell in cells), filename, label))
    return rows


def _label_files(rows: Iterable[_Row], files: Mapping[str, Path]) -> tuple[dict[str, str], list[Exclusion]]:
    """The label of every usable file, and the rows that are left out."""
    rows_of = defaultdict(list)
    exclusions = []
    for row in rows:
        name = posixpath.normpath(row.filename)
        if row.is_blank:
            exclusions.append(Exclusion(row.where, "blank row"))
        elif not row.filename:
            exclusions.append(Exclusion(row.where, "row without a filename", row.label))
        elif name.split("/")[0] == ".." or Path(name).is_absolute():
            exclusions.append(Exclusion(row.filename, "path outside the image folder", row.where))
        elif name not in files:
            exclusions.append(Exclusion(row.filename, "row without a file", row.where))
        elif not row.label:
            exclusions.append(Exclusion(row.filename, "row without a label", row.where))
        else:
            rows_of[name].append(row)
    label_of = {}
    for name, given in rows_of.items():
        if len({row.label for row in given}) == 1:
            label_of[name] = given[0].label
            exclusions += [Exclusion(name, "duplicate row", row.where) for row in given[1:]]
        else:
            exclusions += [Exclusion(name, "contradicting labels", f"{row.where}: {row.label}") for row in given]
    return label_of, exclusions


def _open_folder(spec: str, path: Path) -> Catalogue:
    if not path.is_dir():
        raise BadInput(f"dataset {spec!r}: no such folder; a folder that holds a folder of images a class is accepted")
    files = _files_below(path)
    label_of, exclusions = {}, []
    for name in sorted(files):
        label, inside, _ = name.partition("/")
        if _is_hidden(name):
            exclusions.append(Exclusion(name, "hidden file"))
        elif not inside:
            exclusions.append(Exclusion(name, "file outside a class folder"))
        else:
            label_of[name] = label
    labels = set(label_of.values())
    if labels and labels <= SIDE_FOLDERS:
        found = sorted(labels)
        raise BadInput(
            f"dataset {spec!r}: {', '.join(found)} look like sides of a split, a folder a class is accepted; "
            f"name one of them, such as folder:{path / found[0]}"
        )
    folders = {_text(entry.name) for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    if labels and (empty := sorted(folders - labels)):
        raise BadInput(f"dataset {spec!r}: no image in the folder of class {empty[0]!r}; add some or remove it")
    return _catalogue_of_files(spec, label_of, files, exclusions)


def _catalogue_of_files(
    spec: str, label_of: Mapping[str, str], files: Mapping[str, Path], exclusions: Sequence[Exclusion]
) -> Catalogue:
    ids = tuple(sorted(label_of))
    classes = tuple(sorted(set(label_of.values())))
    if not ids:
        raise BadInput(f"dataset {spec!r}: no images with a label ({_counted(exclusions)}); {ACCEPTED} are accepted")
    if len(classes) < 2:
        raise BadInput(f"dataset {spec!r}: {', '.join(classes)!r} is the only class; at least two are needed")
    number = {name: label for label, name in enumerate(classes)}
    return Catalogue(
        name=spec,
        classes=classes,
        ids=ids,
        labels=np.array([number[label_of[name]] for name in ids], np.int32),
        read=lambda image: files[ids[image]].read_bytes(),
        exclusions=tuple(exclusions),
    )


def _counted(exclusions: Iterable[Exclusion]) -> str:
    reasons = [exclusion.reason for exclusion in exclusions]
    return ", ".join(f"{reasons.count(reason)} {reason}" for reason in dict.fromkeys(reasons)) or "nothing is there"


def _files_below(folder: Path) -> dict[str, Path]:
    """All files in a folder and the folders in it, by their path relative to it."""

    def refuse(error: OSError) -> None:
        raise BadInput(f"{error.filename}: {error.strerror}; a folder that can be read is accepted") from error

    files = {}
    for parent, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        # A link to a folder that it lies in would be walked for ever.
        here = Path(parent).resolve()
        folders[:] = [name for name in folders if not here.is_relative_to(Path(parent, name).resolve())]
        for name in names:
            file = Path(parent, name)
            files[_text(file.relative_to(folder).as_posix())] = file
    return files


def _text(name: str) -> str:
    """A file name as text that can be written to JSON, whatever its bytes are."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
