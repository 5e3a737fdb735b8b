"""A csv of file names and labels, with the folder that its images lie in."""

import csv
import os
import posixpath
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from resjax.data.dataset import Exclusion
from resjax.data.sources.catalogue import Catalogue, usable
from resjax.data.sources.files import FoundFiles, composed, find_files, is_hidden
from resjax.types import BadInput

COLUMNS = ("filename", "label")


class _Row(NamedTuple):
    where: str
    is_blank: bool
    filename: str
    label: str


def open_csv(spec: str, path: Path, image_dir: Path | None) -> Catalogue:
    """The images that the rows of a csv name, in UTF-8 with or without a byte order mark, with any further columns.

    Args:
      image_dir: the folder of the images; by default the one beside the csv, named like its stem.

    Raises:
      BadInput: where file, columns or folder are not there or cannot be read, and for fewer than two classes.
    """
    if not path.is_file():
        raise BadInput(f"dataset {spec!r}: no such file; a csv with the columns filename,label is accepted")
    rows = _read_rows(spec, path)
    folder = path.with_suffix("") if image_dir is None else image_dir
    if not folder.is_dir():
        raise BadInput(f"dataset {spec!r}: its images are looked for in {folder}, which is no folder; give image_dir")
    found = find_files(folder)
    found = FoundFiles({name: file for name, file in found.paths.items() if file != path}, found.unusable)
    label_of, exclusions = _label_files(rows, found, folder)
    ids = tuple(sorted(label_of))
    # Of every label that a row gives, whether or not an image is left of it: a class never vanishes unsaid.
    classes = tuple(sorted({row.label for row in rows if row.label}))
    number = {name: label for label, name in enumerate(classes)}
    catalogue = Catalogue(
        name=spec,
        classes=classes,
        ids=ids,
        labels=np.array([number[label_of[name]] for name in ids], np.int32),
        read=lambda image: found.paths[ids[image]].read_bytes(),
        exclusions=tuple(exclusions),
    )
    return usable(catalogue)


def _read_rows(spec: str, path: Path) -> list[_Row]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header, *table = list(csv.reader(file)) or [[]]
    except UnicodeDecodeError:
        raise BadInput(f"dataset {spec!r}: not UTF-8 text; save it as a csv in UTF-8") from None
    except (csv.Error, OSError) as error:
        raise BadInput(f"dataset {spec!r}: cannot be read as a csv ({error})") from error
    header = [cell.strip() for cell in header]
    if any(header.count(column) != 1 for column in COLUMNS):
        found = ", ".join(header) or "none"
        raise BadInput(f"dataset {spec!r}: the columns filename and label are needed, once each; found: {found}")
    columns = [header.index(column) for column in COLUMNS]
    rows = []
    # Numbers are those of a spreadsheet, in which the header is row 1.
    for number, cells in enumerate(table, start=2):
        filename, label = (cells[column].strip() if column < len(cells) else "" for column in columns)
        rows.append(_Row(f"row {number}", not any(cell.strip() for cell in cells), filename, composed(label)))
    return rows


def _label_files(rows: Iterable[_Row], found: FoundFiles, folder: Path) -> tuple[dict[str, str], list[Exclusion]]:
    """The label of every usable file; and what is left out of the rows, and of the files."""
    rows_of = defaultdict(list)
    named = set()
    exclusions = []
    for row in rows:
        name = _name_inside(folder, row.filename)
        if name is not None:
            name = found.name(name)
            named.add(name)
        if row.is_blank:
            exclusions.append(Exclusion(row.where, "blank row"))
        elif not row.filename:
            exclusions.append(Exclusion(row.where, "row without a filename", row.label))
        elif name is None:
            exclusions.append(Exclusion(row.filename, "path outside the image folder", row.where))
        elif name in found.unusable:
            exclusions.append(Exclusion(name, found.unusable[name], row.where))
        elif name not in found.paths:
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
    for name in sorted((found.paths.keys() | found.unusable.keys()) - named):
        reason = "hidden file" if is_hidden(name) else found.unusable.get(name, "file without a row")
        exclusions.append(Exclusion(name, reason))
    return label_of, exclusions


def _name_inside(folder: Path, filename: str) -> str | None:
    """The path relative to the folder, None where it leads out of it: what a csv says may come from anyone."""
    name = posixpath.normpath(filename)
    if posixpath.isabs(name):
        name = os.path.relpath(name, os.path.abspath(folder))
    return None if name.split("/")[0] == ".." else name
