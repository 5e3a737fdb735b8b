"""Tables of cells that are text already: in columns for the terminal, in Markdown, and in LaTeX.

>>> table = Table(["", "accuracy"], [["plain34", "41.9"], ["my_net", "61.0"]])
>>> print(in_columns(table))
         accuracy
plain34      41.9
my_net       61.0
>>> print(markdown(table))
|  | accuracy |
| --- | --- |
| plain34 | 41.9 |
| my_net | 61.0 |
>>> print(latex(table))
\\begin{tabular}{lr}
  \\toprule
   & accuracy \\\\
  \\midrule
  plain34 & 41.9 \\\\
  my\\_net & 61.0 \\\\
  \\bottomrule
\\end{tabular}
"""

import re
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from resjax.terminal import columns_of_output

LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "{}$&#%_"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    # In the old font encoding, which is still LaTeX's default, these are other characters.
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''"},
    # At the start of a row it would be an argument of the row before.
    "[": "{[}",
    **{"−": "$-$", "±": r"$\pm$", "–": "--", "…": r"\ldots{}"},
}
"""What stands in LaTeX for a character of text. All others stand for themselves."""


class Table(NamedTuple):
    """A header and rows of cells."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""


def in_columns(table: Table, names: int = 1, most: int | None = None) -> str:
    """The table in columns two spaces apart, its title above.

    The first columns, as many as `names`, are aligned to the left, those of numbers to the right. A table that is too
    wide gets headings of several lines, and then is divided into parts below each other, each with the names.

    Args:
      table: the cells.
      names: how many columns hold names.
      most: the columns of the terminal; by default those of the one that is printed on, and any number elsewhere.
    """
    most = columns_of_output() if most is None else most
    # Line breaks in headings are the table's own from here on.
    header = list(table.header)
    if most is not None and _width(_widths(header, table.rows)) > most:
        for place in range(names, len(header)):
            room = max((len(row[place]) for row in table.rows), default=0)
            room = max(room, *map(len, header[place].split() or [""]))
            header[place] = "\n".join(textwrap.wrap(header[place], room))
    widths = _widths(header, table.rows)
    parts = [[*range(names)]]
    for place in range(names, len(header)):
        together = [*parts[-1], place]
        if most is None or len(parts[-1]) == names or _width([widths[each] for each in together]) <= most:
            parts[-1] = together
        else:
            parts.append([*range(names), place])
    body = [_lines(header, table.rows, widths, part, names) for part in parts]
    return "\n".join([table.title] * bool(table.title) + ["\n\n".join("\n".join(lines) for lines in body)])


def _widths(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    tallest = [max(map(len, heading.split("\n"))) for heading in header]
    return [max(column) for column in zip(tallest, *([len(cell) for cell in row] for row in rows), strict=True)]


def _width(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _lines(
    header: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], places: Sequence[int], names: int
) -> list[str]:
    """The lines of some columns, those of the headings end beside each other."""
    headings = [header[place].split("\n") for place in places]
    height = max(map(len, headings))
    above = zip(*([""] * (height - len(each)) + each for each in headings), strict=True)
    lines = [*above, *([row[place] for place in places] for row in rows)]
    return [
        "  ".join(
            cell.ljust(widths[place]) if place < names else cell.rjust(widths[place])
            for place, cell in zip(places, line, strict=True)
        ).rstrip()
        for line in lines
    ]


def markdown(table: Table, *, is_text: bool = False) -> str:
    """The table in Markdown, its title above.

    Args:
      is_text: whether the cells are text, whose special characters are shown as they are, and not Markdown.
    """
    written = markdown_text if is_text else str
    lines = [[written(cell) for cell in line] for line in (table.header, *table.rows)]
    lines.insert(1, ["---"] * len(table.header))
    title = f"{table.title}:\n\n" if table.title else ""
    return title + "\n".join("| " + " | ".join(line) + " |" for line in lines)


def latex(table: Table, names: int = 1) -> str:
    """The rows of the table as a `tabular` with the rules of the package booktabs, without its title.

    The first columns, as many as `names`, are aligned to the left, those of numbers to the right.
    """
    columns = "".join("l" if place < names else "r" for place in range(len(table.header)))
    head, *body = (" & ".join(map(latex_text, line)) + r" \\" for line in (table.header, *table.rows))
    lines = [r"\toprule", head, r"\midrule", *body, r"\bottomrule"]
    return "\n".join([f"\\begin{{tabular}}{{{columns}}}", *(f"  {line}" for line in lines), r"\end{tabular}"])


def markdown_text(text: str) -> str:
    r"""Text as Markdown that shows it, in a table too, on one line.

    >>> print(markdown_text("my_net|*new*"))
    my_net\|\*new\*
    """
    # Inside of a word an underline means nothing.
    escaped = re.sub(r"[\\`*|<\[\]~]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)
    return re.sub(r"\s+", " ", escaped)


def latex_text(text: str) -> str:
    r"""Text as LaTeX that shows it, on one line.

    >>> print(latex_text("my_net: 50 % & more"))
    my\_net: 50 \% \& more
    """
    return "".join(LATEX.get(character, character) for character in re.sub(r"\s+", " ", text))
