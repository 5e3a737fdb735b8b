"""The records of the calibration study, and their tables in Markdown for the terminal and the pages."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec import UNSET, UnsetType

from resjax.records import Interval, Part, from_plain, read_lines, write_lines

Seeds = int | Literal["auto"]
WORDS = {
    "itself": "a network with itself",
    "equal": "as accurate, on other images",
    "+5": "+5 points",
    "+10": "+10 points",
}


class Cell(Part, frozen=True, kw_only=True):
    """Simulated comparisons of one truth and one number of seeds. Shares are fractions, with exact 95 % intervals."""

    truth: str
    images: int
    copies: bool
    comparisons: int
    seeds: Seeds
    """`auto` for seeds that are added until there is a verdict."""
    mean_seeds: float | UnsetType = UNSET
    """With `auto` alone: the mean number of seeds."""
    verdicts: float
    verdicts_ci95: Interval
    wrong: float
    wrong_ci95: Interval
    covered: float
    """Of the intervals that exist."""
    covered_ci95: Interval
    by_signs: float | UnsetType = UNSET
    """Verdicts by the sign-flip test over seeds alone; absent with `auto`."""
    without_interval: float
    smallest_detectable: float | None | UnsetType = UNSET
    """The median; absent with `auto`."""


class Alternative(Part, frozen=True, kw_only=True):
    """The coverage of another 95 % interval."""

    truth: str
    images: int
    copies: bool
    alternative: str
    seeds: int
    comparisons: int
    covered: float


class Calibration(NamedTuple):
    """All that the study finds; a file of it has a cell or an alternative a line."""

    cells: list[Cell]
    alternatives: list[Alternative]


def write_calibration(path: Path | str, found: Calibration) -> None:
    """Writes the records, one a line."""
    write_lines(path, [*found.cells, *found.alternatives])


def read_calibration(path: Path | str) -> Calibration:
    """Reads what `write_calibration` wrote.

    Raises:
      RecordError: for a line that is damaged, or neither a cell nor an alternative.
    """
    found = Calibration([], [])
    for number, values in enumerate(read_lines(path, dict), start=1):
        where = f"{path}, line {number}"
        if "alternative" in values:
            found.alternatives.append(from_plain(values, Alternative, where))
        else:
            found.cells.append(from_plain(values, Cell, where))
    return found


def calibration_tables(found: Calibration) -> str:
    """False verdicts, coverage, power, and the intervals that were not chosen."""
    cells = found.cells
    judged: list[Seeds] = [seeds for seeds in _seeds(cells) if seeds == "auto" or seeds >= 6]
    return "\n\n".join(
        [
            "False verdicts in %, with their own 95 % intervals:",
            _grid(_of(cells, "itself", "equal"), judged, _false_verdicts),
            "True differences within the interval in %, lowest and highest of the four truths:",
            _grid(_by_images(cells), _seeds(cells), _coverage),
            "Verdicts for the better network in %, and below auto the mean number of seeds:",
            _grid(_of(cells, "+5", "+10"), judged, _power),
            "Coverage of other intervals in %, +10 points on 230 images with copies:",
            _alternatives(found.alternatives),
        ]
    )


def short_table(found: Calibration) -> str:
    """A row for each number of seeds: false verdicts, coverage, and the power on 230 images with copies."""
    rows = []
    for seeds in _seeds(found.cells):
        same = [cell for cell in found.cells if cell.seeds == seeds]
        false = [cell.wrong for cell in same if cell.truth in ("itself", "equal")]
        power = {cell.truth: cell.verdicts - cell.wrong for cell in same if cell.images == 230 and cell.copies}
        rows.append(
            [
                str(seeds),
                f"{_percent(sum(false) / len(false))}, at most {_percent(max(false))}",
                _coverage(same),
                _percent(power["+5"], 0),
                _percent(power["+10"], 0),
            ]
        )
    header = ["seeds", "false verdicts", "95 % interval covers", "+5 points found", "+10 points found"]
    return _markdown([header, *rows])


def _seeds(cells: Iterable[Cell]) -> list[Seeds]:
    seeds: list[Seeds] = []
    for cell in cells:
        if cell.seeds not in seeds:
            seeds.append(cell.seeds)
    return seeds


def _of(cells: Iterable[Cell], *truths: str) -> dict[str, list[Cell]]:
    rows: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.truth in truths:
            rows.setdefault(f"{WORDS[cell.truth]}, {_images(cell)}", []).append(cell)
    return rows


def _by_images(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    rows: dict[str, list[Cell]] = {}
    for cell in cells:
        rows.setdefault(_images(cell), []).append(cell)
    return rows


def _images(cell: Cell) -> str:
    return f"{cell.images} images{' with copies' if cell.copies else ''}"


def _grid(rows: Mapping[str, list[Cell]], seeds: Sequence[Seeds], text: Callable[[list[Cell]], str]) -> str:
    header = ["", *(f"{each} seeds" if each != "auto" else "auto" for each in seeds)]
    lines = [
        [name, *(text([cell for cell in cells if cell.seeds == each]) for each in seeds)]
        for name, cells in rows.items()
    ]
    return _markdown([header, *lines])


def _false_verdicts(cells: list[Cell]) -> str:
    (cell,) = cells
    low, high = cell.wrong_ci95
    return f"{_percent(cell.wrong)} ({_percent(low)} to {_percent(high)})"


def _coverage(cells: list[Cell]) -> str:
    shares = [cell.covered for cell in cells]
    return f"{_percent(min(shares))} to {_percent(max(shares))}"


def _power(cells: list[Cell]) -> str:
    (cell,) = cells
    took = f" ({cell.mean_seeds:.1f})" if cell.mean_seeds is not UNSET else ""
    return _percent(cell.verdicts - cell.wrong, 0) + took


def _alternatives(records: Sequence[Alternative]) -> str:
    seeds = list(dict.fromkeys(record.seeds for record in records))
    names = list(dict.fromkeys(record.alternative for record in records))
    covered = {(record.alternative, record.seeds): _percent(record.covered) for record in records}
    header = ["", *(f"{each} seeds" for each in seeds)]
    return _markdown([header, *([name, *(covered[name, each] for each in seeds)] for name in names)])


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}"


def _markdown(lines: list[list[str]]) -> str:
    header, *rows = lines
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *rows])
