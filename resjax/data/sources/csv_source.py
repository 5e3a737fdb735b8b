"""Images that a csv lists by file name and label, in one folder.

A csv may come from anyone, so `..` and absolute paths that lead out of the image folder are refused.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from resjax.data.dataset import Exclusion
from resjax.data.sources.catalogue import SIDE_NAMES, Catalogue, usable
from resjax.data.sources.csv_table import Row, Table, read_table
from resjax.data.sources.file_matching import NO_FILE, FileMatcher
from resjax.data.sources.files import FoundFiles, absent, find_files, is_hidden
from resjax.errors import BadInput


class FilePlace(NamedTuple):
    """What the rows say of a file."""

    label: str
    side: str | None


class PlacedFiles(NamedTuple):
    """What is known of every usable file, what is left out, and lines for the user."""

    files: dict[str, FilePlace]
    exclusions: list[Exclusion]
    notes: list[str]


def open_csv(spec: str, path: Path, image_dir: Path | None) -> Catalogue:
    """The images that the rows of a csv name.

    What is understood of the csv is said by `read_table`, of the names in it by `FileMatcher`. A column `split` with
    train, val and test (as in `SIDE_NAMES`, in any case) becomes the split that the images come with. Further columns
    are ignored.

    Args:
      spec: the `--dataset` value, for error texts.
      path: the csv, with the columns `filename` and `label`.
      image_dir: the folder of the images; by default the folder beside the csv that is named like its stem.

    Raises:
      BadInput: if the file, a column or the folder is missing or unreadable, if a row does not fit the header, if the
        sides of a split are incomplete, or if there are fewer than two classes.
    """
    if path.is_dir():
        raise BadInput(f"dataset {spec!r}: a folder; expected a csv file, or --dataset=folder:{path}")
    if not path.is_file():
        raise BadInput(f"dataset {spec!r}: {absent(path, 'file')}; expected a csv with the columns filename,label")
    folder = path.with_suffix("") if image_dir is None else image_dir
    found = find_files(folder) if folder.is_dir() else FoundFiles({}, {})
    found = FoundFiles({name: file for name, file in found.paths.items() if file != path}, found.unusable)
    matcher = FileMatcher(found, folder)
    table = read_table(spec, path, lambda cell: matcher.match(cell).file is not None)
    if not folder.is_dir():
        raise BadInput(f"dataset {spec!r}: no image folder {folder}; expected one there, or image_dir")
    side_of_row, notes = _sides(spec, table)
    placed = place_files(table.rows, side_of_row, found, matcher)
    ids = tuple(sorted(placed.files))
    # Every label that a row gives counts, so that a class without a usable image is reported by `usable`.
    classes = tuple(sorted({row.label for row in table.rows if row.label}))
    number = {name: label for label, name in enumerate(classes)}
    catalogue = Catalogue(
        name=spec,
        classes=classes,
        ids=ids,
        labels=np.array([number[placed.files[name].label] for name in ids], np.int32),
        read=lambda image: found.paths[ids[image]].read_bytes(),
        exclusions=tuple(placed.exclusions),
        sides=tuple(placed.files[name].side or "" for name in ids) if side_of_row else None,
        notes=(*table.notes, *notes, *placed.notes),
    )
    return usable(catalogue)


def _sides(spec: str, table: Table) -> tuple[dict[str, str], list[str]]:
    """The side of each row by its `where`, if a column gives one; and a line that says what became of that column.

    A column in which no row names a side holds something else, such as numbers of folds.
    """
    if table.split_column is None:
        return {}, []
    rows = [row for row in table.rows if not row.is_blank]
    sides = {row.where: SIDE_NAMES[row.split.lower()] for row in rows if row.split.lower() in SIDE_NAMES}
    column = f"column {table.split_column}"
    if not sides:
        values = ", ".join(map(repr, sorted({row.split for row in rows})[:3])) or "no values"
        return {}, [f"{column} is ignored, because it names no train, val or test: {values}"]
    if unknown := [row for row in rows if row.where not in sides]:
        raise BadInput(
            f"dataset {spec!r}: {unknown[0].where} has {unknown[0].split!r} in {column}"
            + (f", and {len(unknown) - 1} more rows have no side" if len(unknown) > 1 else "")
            + "; expected train, val or test in each row, or no such column"
        )
    listed = [side for side in ("train", "val", "test") if side in sides.values()]
    if "train" not in listed:
        raise BadInput(f"dataset {spec!r}: {column} has {' and '.join(listed)} and no train; expected some train")
    return sides, [f"{column} divides the images into {', '.join(listed)}"]


def place_files(
    rows: Sequence[Row], side_of_row: Mapping[str, str], found: FoundFiles, matcher: FileMatcher
) -> PlacedFiles:
    """What the rows of a csv say of the files of a folder.

    Args:
      side_of_row: by `Row.where`, of the rows that name a side.
      matcher: of the files that were found.
    """
    rows_of = defaultdict(list)
    named, loose, lost = set(), [], []
    exclusions = []
    for row in rows:
        if row.is_blank:
            exclusions.append(Exclusion(row.where, "blank row"))
            continue
        if not row.filename:
            exclusions.append(Exclusion(row.where, "row without a filename", row.label))
            continue
        name, is_exact, problem = matcher.match(row.filename)
        named.add(name)
        if name is None:
            exclusions.append(Exclusion(row.filename, problem, row.where))
            if problem == NO_FILE:
                lost.append(row)
        elif name in found.unusable:
            exclusions.append(Exclusion(name, found.unusable[name], row.where))
        elif not row.label:
            exclusions.append(Exclusion(row.filename, "row without a label", row.where))
        else:
            rows_of[name].append(row)
            if not is_exact:
                loose.append((row, name))
    files = {}
    for name, given in rows_of.items():
        labels, sides = ({row.label for row in given}, {side_of_row.get(row.where) for row in given})
        if len(labels) > 1:
            exclusions += [Exclusion(name, "contradicting labels", f"{row.where}: {row.label}") for row in given]
        elif len(sides) > 1:
            exclusions += [Exclusion(name, "contradicting splits", f"{row.where}: {row.split}") for row in given]
        else:
            files[name] = FilePlace(given[0].label, sides.pop())
            exclusions += [Exclusion(name, "duplicate row", row.where) for row in given[1:]]
    for name in sorted((found.paths.keys() | found.unusable.keys()) - named):
        reason = "hidden file" if is_hidden(name) else found.unusable.get(name, "file without a row")
        exclusions.append(Exclusion(name, reason))
    return PlacedFiles(files, exclusions, _matching_notes(len(rows), loose, lost, matcher))


def _matching_notes(
    rows: int, loose: Sequence[tuple[Row, str]], lost: Sequence[Row], matcher: FileMatcher
) -> list[str]:
    notes = []
    if loose:
        row, file = loose[0]
        notes.append(
            f"{len(loose):,} of {rows:,} rows name their file in another way, such as {row.where}: {row.filename!r} "
            f"for {file!r}"
        )
    if lost:
        row = lost[0]
        near = matcher.nearest(row.filename)
        notes.append(
            f"{len(lost):,} of {rows:,} rows without a file, such as {row.where}: {row.filename!r}"
            + (f" (the nearest file is {near!r})" if near else "")
        )
    return notes
