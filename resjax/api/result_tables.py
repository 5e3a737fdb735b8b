"""Results of networks as csv files, a file a network, read into the arrays that a verdict is taken on."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from resjax.data.sources.csv_text import read_text
from resjax.errors import BadInput

LOGIT = "logit_"
"""How the names of columns with logits begin; the rest is the name of a class."""
FORMS = (
    f"expected the columns seed and score; or seed, image and one of correct, (label, prediction), (label, {LOGIT}A, "
    f"{LOGIT}B, ...), and group if images are copies"
)


class ResultTables(NamedTuple):
    """The results of several networks on the same seeds and images, as `resjax.verdicts` takes them."""

    networks: dict[str, np.ndarray]
    labels: np.ndarray | None
    groups: list[str] | None
    seeds: list[int]


class _Table(NamedTuple):
    path: Path
    columns: list[str]
    rows: Sequence[Mapping[str, str]]

    def column(self, name: str) -> list[str]:
        return [row[name] for row in self.rows]


def read_results(paths: Sequence[Path]) -> ResultTables:
    """Reads one csv for each network; its name is that of the file without its ending.

    Rows are seeds, or images of a seed in any order. Seeds and images must be the same in all files.

    Raises:
      BadInput: names the file, and what is missing, double or different.
    """
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        raise BadInput(f"{', '.join(map(str, paths))}: expected files of different names, which name the networks")
    tables = [_read(path) for path in paths]
    first = tables[0]
    for other in tables[1:]:
        if set(other.columns) != set(first.columns):
            raise BadInput(f"{other.path}: columns {', '.join(other.columns)}; {first.path} has {_listed(first)}")
    seeds = sorted({_integer(first, value) for value in first.column("seed")})
    if "score" in first.columns:
        rows = {name: _by_seed(table, seeds) for name, table in zip(names, tables, strict=True)}
        return ResultTables(rows, None, None, seeds)
    if "image" not in first.columns:
        raise BadInput(f"{first.path}: columns {_listed(first)}; {FORMS}")
    images = sorted(set(first.column("image")))
    ordered = {name: _by_image(table, seeds, images) for name, table in zip(names, tables, strict=True)}
    groups = _same_for_all(ordered, tables, "group") if "group" in first.columns else None
    if "correct" in first.columns:
        right = {
            name: np.array([[_truth(table, row["correct"]) for row in rows] for rows in ordered[name]])
            for name, table in zip(names, tables, strict=True)
        }
        return ResultTables(right, None, groups, seeds)
    logits = [column for column in first.columns if column.startswith(LOGIT)]
    if "label" not in first.columns or not (logits or "prediction" in first.columns):
        raise BadInput(f"{first.path}: columns {_listed(first)}; {FORMS}")
    labels = _same_for_all(ordered, tables, "label")
    if logits:
        classes = [column.removeprefix(LOGIT) for column in logits]
        if unknown := sorted(set(labels) - set(classes)):
            raise BadInput(f"{first.path}: no column {LOGIT}{unknown[0]}, but images with this label")
        answers = {
            name: np.array([[[_number(table, row[c]) for c in logits] for row in rows] for rows in ordered[name]])
            for name, table in zip(names, tables, strict=True)
        }
    else:
        predicted = {row["prediction"] for rows in ordered.values() for of_seed in rows for row in of_seed}
        classes = sorted({*labels, *predicted})
        answers = {
            name: np.array([[classes.index(row["prediction"]) for row in rows] for rows in ordered[name]])
            for name in names
        }
    return ResultTables(answers, np.array([classes.index(label) for label in labels]), groups, seeds)


def _read(path: Path) -> _Table:
    text, _ = read_text(str(path), path)
    head = text.splitlines()[0] if text.strip() else ""
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, restkey="")
    columns = [_column(name) for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    rows = [row for row in reader if any(value for value in row.values())]
    if "seed" not in columns or not rows:
        raise BadInput(f"{path}: {'no rows' if 'seed' in columns else 'no column seed'}; {FORMS}")
    for number, row in enumerate(rows, 2):
        if "" in row or None in row.values():
            raise BadInput(f"{path}, row {number}: expected {len(columns)} cells")
    return _Table(path, columns, rows)


def _column(name: str) -> str:
    """The name of a column; classes keep their case."""
    lower = name.strip().lower()
    return LOGIT + name.strip()[len(LOGIT) :] if lower.startswith(LOGIT) else lower


def _by_seed(table: _Table, seeds: Sequence[int]) -> np.ndarray:
    scores = {_integer(table, row["seed"]): _number(table, row["score"]) for row in table.rows}
    if list(sorted(scores)) != list(seeds) or len(table.rows) != len(seeds):
        raise BadInput(f"{table.path}: expected each of the seeds {', '.join(map(str, seeds))} once")
    return np.array([scores[seed] for seed in seeds])


def _by_image(table: _Table, seeds: Sequence[int], images: Sequence[str]) -> list[list[Mapping[str, str]]]:
    """The rows by seed and image."""
    rows = {(_integer(table, row["seed"]), row["image"]): row for row in table.rows}
    if len(rows) < len(table.rows):
        raise BadInput(f"{table.path}: an image of a seed stands in two rows")
    found = [[rows.get((seed, image)) for image in images] for seed in seeds]
    for seed, of_seed in zip(seeds, found, strict=True):
        for image, row in zip(images, of_seed, strict=True):
            if row is None:
                raise BadInput(f"{table.path}: no row for seed {seed} and image {image}")
    if len(rows) != len(seeds) * len(images):
        raise BadInput(f"{table.path}: has seeds or images that the first file lacks")
    return [[row for row in of_seed if row is not None] for of_seed in found]


def _same_for_all(
    ordered: Mapping[str, list[list[Mapping[str, str]]]], tables: Sequence[_Table], column: str
) -> list[str]:
    """The values of a column by image, which must be the same for every seed and network."""
    everyone = [[row[column] for row in of_seed] for rows in ordered.values() for of_seed in rows]
    if any(values != everyone[0] for values in everyone):
        files = ", ".join(str(table.path) for table in tables)
        raise BadInput(f"{files}: an image has different values of {column}; expected one for all seeds and networks")
    return everyone[0]


def _number(table: _Table, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"{table.path}: {text!r} is no number") from None


def _integer(table: _Table, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadInput(f"{table.path}: seed {text!r}: expected an integer") from None


def _truth(table: _Table, text: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.strip().lower() not in known:
        raise BadInput(f"{table.path}: correct {text!r}: expected 1 or 0")
    return known[text.strip().lower()]


def _listed(table: _Table) -> str:
    return ", ".join(table.columns)
