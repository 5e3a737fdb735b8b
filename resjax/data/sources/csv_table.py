"""Reads a csv as spreadsheets and other tools write it: which column holds what, and the cells of each row.

The delimiter is the one that makes the header known: `csv.Sniffer` finds one even where there is none.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from resjax.data.sources.csv_text import read_text
from resjax.data.sources.files import composed
from resjax.errors import BadInput

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""The delimiters that are tried, with their names in messages."""
FILENAME_COLUMNS = (
    {"filename"},
    {"file", "filepath", "fname", "path", "image", "imagefile", "imagefilename", "imagename", "imagepath"}
    | {"img", "imgfile", "imgname", "imgpath"},
    {"id", "imageid", "imgid"},
)
"""Names of the column of file names in lower case, without spaces, `_` and `-`. The first set that names exactly one
column decides."""
LABEL_COLUMNS = ({"label"}, {"labels", "labelname", "class", "classname", "classlabel", "category", "categoryname"})
"""The same for the column of labels."""
SPLIT_COLUMNS = ({"split"}, {"subset", "partition"})
"""The same for the column of the sides of a split, which need not be there."""
LONGEST = 100
"""Characters of a row that a message shows."""
END = "\x00"
"""A row behind the last one: it is lost if a quotation mark is never closed. No text holds this character."""


class Row(NamedTuple):
    """A row below the header, with the cells that are used."""

    where: str
    """`row N`, counted as in a spreadsheet, where the first row is row 1."""
    is_blank: bool
    filename: str
    label: str
    split: str


class Table(NamedTuple):
    """The rows of a csv, and how it was understood."""

    rows: list[Row]
    split_column: str | None
    """The header of the column of sides, if there is one."""
    notes: list[str]
    """Lines for the user, where something had to be understood."""


class _Layout(NamedTuple):
    """Where the columns are."""

    delimiter: str
    filename: int
    label: int
    split: int | None = None
    has_header: bool = True


def read_table(spec: str, path: Path, names_file: Callable[[str], bool]) -> Table:
    """The rows of a csv.

    Understood are UTF-8, UTF-16 and Windows-1252; commas, semicolons, tabs and bars; the line `sep=,` of Excel; blank
    rows above the header; and the usual names of the columns. A header may be missing if there are two columns of which
    one holds names of files.

    Args:
      spec: the `--dataset` value, for error texts.
      names_file: whether a cell names a file of the image folder.

    Raises:
      BadInput: if the file cannot be read or understood, if a row has more cells than the header or lacks one that is
        needed, and if a quotation mark is not closed.
    """
    text, notes = read_text(spec, path)
    above, text, delimiters = _without_sep_line(text)
    layout = _layout(spec, text, delimiters, names_file)
    records = _records(spec, text, layout.delimiter, above)
    first = next(place for place, cells in enumerate(records) if any(cells))
    header = records[first]
    body = list(enumerate(records[first + layout.has_header :], start=above + first + layout.has_header + 1))
    _require_width(spec, header, body, layout)
    rows = []
    for number, cells in body:
        used = [
            "" if column is None or not any(cells) else cells[column]
            for column in (layout.filename, layout.label, layout.split)
        ]
        if any(mark in cell for cell in used for mark in "\r\n"):
            raise BadInput(
                f"dataset {spec!r}: row {number} holds a line break: {_shown(cells)}; expected none in names of files "
                "and labels (a missing quotation mark?)"
            )
        filename, label, split = used
        rows.append(Row(f"row {number}", not any(cells), filename, composed(label), split))
    split_column = None if layout.split is None else header[layout.split]
    return Table(rows, split_column, notes + _layout_notes(path, header, layout))


def _without_sep_line(text: str) -> tuple[int, str, Sequence[str]]:
    """The number of lines up to Excel's `sep=` with it, the text below, and the delimiters that are possible."""
    found = re.match(r'((?:[ \t]*(?:\r\n|\r|\n))*)"?sep=([^\w\s"]|\t)"?[,; \t]*(?:\r\n|\r|\n|$)', text, re.IGNORECASE)
    if not found:
        return 0, text, list(DELIMITERS)
    return len(io.StringIO(found[1], newline="").readlines()) + 1, text[found.end() :], [found[2]]


def _layout(spec: str, text: str, delimiters: Sequence[str], names_file: Callable[[str], bool]) -> _Layout:
    headers = {delimiter: _first_record(text, delimiter) for delimiter in delimiters}
    for delimiter, header in headers.items():
        filename, label, split = (_column(header, names) for names in (FILENAME_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS))
        if filename is not None and label is not None:
            return _Layout(delimiter, filename, label, split)
    layouts = [
        _Layout(delimiter, column, 1 - column, has_header=False)
        for delimiter, header in headers.items()
        if len(header) == 2
        for column in (0, 1)
        # A title such as `image` could be the name of a file without its suffix, so a suffix is asked for.
        if "." in header[column] and names_file(header[column]) and not names_file(header[1 - column])
    ]
    if len(layouts) == 1:
        return layouts[0]
    delimiter = max(headers, key=lambda each: len(headers[each]))
    header = headers[delimiter]
    separated = f" (separated by {_named(delimiter)})" if len(header) > 1 else ""
    raise BadInput(
        f"dataset {spec!r}: expected the columns filename and label, once each; found: "
        f"{_shown(header, quoted=False) or 'none'}{separated}"
    )


def _column(header: Sequence[str], names: Iterable[set[str]]) -> int | None:
    plain = [re.sub(r"[\s_-]", "", cell).lower() for cell in header]
    for among in names:
        found = [place for place, name in enumerate(plain) if name in among]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _first_record(text: str, delimiter: str) -> list[str]:
    """The cells of the first row that is not blank; none if it cannot be read with this delimiter."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        return next((cells for cells in map(_stripped, reader) if any(cells)), [])
    except csv.Error:
        return []


def _records(spec: str, text: str, delimiter: str, above: int) -> list[list[str]]:
    """The cells of all rows; `above` rows are not in the text."""
    lines = chain(io.StringIO(text, newline=""), [END])
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    records = []
    try:
        records.extend(map(_stripped, reader))
    except csv.Error as error:
        where = f"row {above + len(records) + 1}"
        raise BadInput(f"dataset {spec!r}: {where} cannot be read as a csv ({error})") from error
    if records[-1] != [END]:
        raise BadInput(
            f"dataset {spec!r}: row {above + len(records)} has a quotation mark that is not closed: "
            f"{_shown(cell.rstrip(END) for cell in records[-1])}; expected a second one"
        )
    return records[:-1]


def _stripped(cells: Iterable[str]) -> list[str]:
    return [cell.strip() for cell in cells]


def _require_width(
    spec: str, header: Sequence[str], body: Iterable[tuple[int, Sequence[str]]], layout: _Layout
) -> None:
    """Refuses rows that have a cell without a column, or lack a cell that is used.

    Spreadsheets leave out empty cells at the end of a row, or write too many of them; nothing is lost by that.
    """
    last_used = max(layout.filename, layout.label, layout.split or 0)
    wrong = [
        (number, cells)
        for number, cells in body
        if any(cells) and (any(cells[len(header) :]) or len(cells) <= last_used)
    ]
    if wrong:
        number, cells = wrong[0]
        raise BadInput(
            f"dataset {spec!r}: row {number} has {_counted(len(cells))}, the header has {len(header)} "
            f"({_shown(header, quoted=False)}; separated by {_named(layout.delimiter)}): {_shown(cells)}"
            + (f", and {len(wrong) - 1} more such rows" if len(wrong) > 1 else "")
            + "; expected a cell for each column, in quotation marks if it holds the separator"
        )


def _layout_notes(path: Path, header: Sequence[str], layout: _Layout) -> list[str]:
    separated = "" if layout.delimiter == "," else f", separated by {_named(layout.delimiter)}"
    if not layout.has_header:
        return [
            f"{path.name} has no header: names of files in column {layout.filename + 1}, labels in column "
            f"{layout.label + 1}{separated}"
        ]
    used = [header[layout.filename], header[layout.label]]
    others = [
        cell for place, cell in enumerate(header) if cell and place not in (layout.filename, layout.label, layout.split)
    ]
    if used == ["filename", "label"] and not separated and not others:
        return []
    ignored = f"; ignored: {_shown(others, quoted=False)}" if others else ""
    return [f"{path.name}: names of files in column {used[0]}, labels in column {used[1]}{separated}{ignored}"]


def _named(delimiter: str) -> str:
    return DELIMITERS.get(delimiter, repr(delimiter))


def _counted(cells: int) -> str:
    return "1 cell" if cells == 1 else f"{cells} cells"


def _shown(cells: Iterable[str], *, quoted: bool = True) -> str:
    """The cells in one line that a terminal shows as it is, cut if they are long."""
    text = ", ".join(repr(cell) if quoted else repr(cell)[1:-1] for cell in cells)
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."
