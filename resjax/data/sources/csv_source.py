"""Images that a csv lists by file name and label, in one folder."""

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
from resjax.errors import BadInput

COLUMNS = ("filename", "label")


class _Row(NamedTuple):
    where: str
    is_blank: bool
    filename: str
    label: str


def open_csv(spec: str, path: Path, image_dir: Path | None) -> Catalogue:
    """The images that the rows of a csv name.

    The csv is UTF-8 with or without a byte order mark; further columns are ignored.

    Args:
      spec: the `--dataset` value, for error texts.
      path: the csv, with the columns `filename` and `label`.
      image_dir: the folder of the images; by default the folder beside the csv that is named like its stem.

    Raises:
      BadInput: if the file, a column or the folder is missing or unreadable, or if there are fewer than two classes.
    """
    if not path.is_file():
        raise BadInput(f"dataset {spec!r}: no such file; expected a csv with the columns filename,label")
    rows = _read_rows(spec, path)
    folder = path.with_suffix("") if image_dir is None else image_dir
    if not folder.is_dir():
        raise BadInput(f"dataset {spec!r}: no image folder {folder}; expected one there, or image_dir")
    found = find_files(folder)
    found = FoundFiles({name: file for name, file in found.paths.items() if file != path}, found.unusable)
    label_of, exclusions = _label_files(rows, found, folder)
    ids = tuple(sorted(label_of))
    # Every label that a row gives counts, so that a class without a usable image is reported by `usable`.
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
        raise BadInput(f"dataset {spec!r}: not UTF-8 text; expected a csv in UTF-8") from None
    except (csv.Error, OSError) as error:
        raise BadInput(f"dataset {spec!r}: cannot be read as a csv ({error})") from error
    header = [cell.strip() for cell in header]
    if any(header.count(column) != 1 for column in COLUMNS):
        found = ", ".join(header) or "none"
        raise BadInput(f"dataset {spec!r}: expected the columns filename and label, once each; found: {found}")
    columns = [header.index(column) for column in COLUMNS]
    rows = []
    # Rows are numbered as in a spreadsheet, where the header is row 1.
    for number, cells in enumerate(table, start=2):
        filename, label = (cells[column].strip() if column < len(cells) else "" for column in columns)
        rows.append(_Row(f"row {number}", not any(cell.strip() for cell in cells), filename, composed(label)))
    return rows


def _label_files(rows: Iterable[_Row], found: FoundFiles, folder: Path) -> tuple[dict[str, str], list[Exclusion]]:
    """The label of every usable file, and the rows and files that are left out."""
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
    """The path relative to the folder, or None if it leads out of the folder: a csv may come from anyone."""
    name = posixpath.normpath(filename)
    if posixpath.isabs(name):
        name = os.path.relpath(name, os.path.abspath(folder))
    return None if name.split("/")[0] == ".." else name
