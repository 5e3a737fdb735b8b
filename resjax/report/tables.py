"""Tables of cells that are text already, in columns for the terminal and in Markdown.

>>> table = Table(["", "accuracy"], [["plain34", "41.9"], ["resnet34", "61.0"]])
>>> print(in_columns(table))
          accuracy
plain34       41.9
resnet34      61.0
>>> print(markdown(table))
|  | accuracy |
| --- | --- |
| plain34 | 41.9 |
| resnet34 | 61.0 |
"""

from collections.abc import Sequence
from typing import NamedTuple


class Table(NamedTuple):
    """A header and rows of cells."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""


def in_columns(table: Table, names: int = 1) -> str:
    """The table in columns two spaces apart, its title above.

    The first columns, as many as `names`, are aligned to the left, those of numbers to the right.
    """
    lines = [table.header, *table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    body = [
        "  ".join(
            cell.ljust(width) if place < names else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([table.title, *body] if table.title else body)


def markdown(table: Table) -> str:
    """The table in Markdown, its title above."""
    lines = [table.header, ["---"] * len(table.header), *table.rows]
    title = f"{table.title}:\n\n" if table.title else ""
    return title + "\n".join("| " + " | ".join(line) + " |" for line in lines)
