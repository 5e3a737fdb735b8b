"""The records of the calibration study, and their tables in Markdown for the terminal and the pages."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from resjax.evaluation.comparison.measures import MEASURES
from resjax.evaluation.comparison.statistics.describing import clopper_pearson
from resjax.records import Interval, Part, from_plain, read_lines, write_lines
from resjax.report.tables import Table, markdown

FINISHED, AT_CHANCE = "finished", "at chance"
"""The analyses: of the pairs of seeds that both networks finished, and of all, those that diverged at chance."""
WORDS = {
    "itself": "a network with itself",
    "equal": "as accurate, on other images",
    "+5": "about 5 points",
    "+10": "about 10 points",
}
NULL = ("itself", "equal")
JUDGED = ("6", "8", "12", "20", "auto")
"""Numbers of seeds that can give a verdict."""


class Counts(Part, frozen=True, kw_only=True):
    """How many of the comparisons of a cell ended in what."""

    verdicts: int
    wrong: int
    """Verdicts for the network that is not better."""
    intervals: int
    covered: int
    """Of the intervals: those that contain the true difference."""
    equivalent: int
    by_signs: int | None
    """Verdicts by the sign-flip test over seeds alone; of the accuracy only, and not with `auto`."""
    mean_seeds: float | None
    """With `auto` alone: the mean number of seeds."""


class Cell(Part, frozen=True, kw_only=True):
    """Simulated comparisons of one world by one metric."""

    truth: str
    images: int
    copies: bool
    imbalanced: bool
    diverging: tuple[float, float]
    """The share of replicas of the baseline and of the candidate that diverge."""
    metric: str
    analysis: str
    comparisons: int
    true_difference: float
    margin: float
    spread: float
    """The standard deviation of the paired differences between seeds."""
    by_seeds: dict[str, Counts]
    """By number of seeds, and under `auto` with seeds that are added until there is a verdict."""


class Planned(Part, frozen=True, kw_only=True):
    """The power that a plan promises for a true difference, and the power that was found. All shares are fractions."""

    images: int
    copies: bool
    seeds: int
    spread: float
    accuracy: float
    difference: float
    planned: float
    found: float
    comparisons: int


class Alternative(Part, frozen=True, kw_only=True):
    """The coverage of another 95 % interval, about 10 points on 230 images with copies."""

    alternative: str
    seeds: int
    comparisons: int
    covered: float


class Calibration(NamedTuple):
    """All that the study finds; a file of it has one record a line."""

    cells: list[Cell]
    plans: list[Planned]
    alternatives: list[Alternative]


def write_calibration(path: Path | str, found: Calibration) -> None:
    """Writes the records, one a line."""
    write_lines(path, [*found.cells, *found.plans, *found.alternatives])


def read_calibration(path: Path | str) -> Calibration:
    """Reads what `write_calibration` wrote.

    Raises:
      RecordError: for a line that is damaged, or none of these records.
    """
    found = Calibration([], [], [])
    for number, values in enumerate(read_lines(path, dict), start=1):
        where = f"{path}, line {number}"
        if "alternative" in values:
            found.alternatives.append(from_plain(values, Alternative, where))
        elif "planned" in values:
            found.plans.append(from_plain(values, Planned, where))
        else:
            found.cells.append(from_plain(values, Cell, where))
    return found


def calibration_tables(found: Calibration) -> str:
    """False verdicts, coverage, power, equivalence, plans, and the intervals that were not chosen."""
    same = [cell for cell in found.cells if not cell.true_difference]
    shifted = [cell for cell in found.cells if cell.truth not in NULL]
    counted = [cell for cell in found.cells if cell.truth in NULL and cell.true_difference]
    return "\n\n".join(
        [
            "False verdicts in %, with their own 95 % intervals:",
            _grid(same, JUDGED, _share_with_interval(lambda each: each.wrong)),
            "True differences within the interval in %:",
            _grid(found.cells, (*_seeds(found.cells),), _coverage),
            "Verdicts for the better network in %, and below auto the mean number of seeds:",
            _grid([*shifted, *counted], JUDGED, _power),
            'Wrong "equivalent" in % where the true difference is as large as the margin, with 95 % intervals:',
            _grid(shifted, JUDGED, _share_with_interval(lambda each: each.equivalent)),
            'Right "equivalent" in % where there is no difference (margin 10 points, or 0.3 nats):',
            _grid(same, JUDGED, lambda cell, each: _percent(each.equivalent / cell.comparisons, 0)),
            "Planned and found power in %:",
            _plans(found.plans),
            "Coverage of other intervals in %, about 10 points on 230 images with copies:",
            _alternatives(found.alternatives),
        ]
    )


def short_table(found: Calibration) -> str:
    """The numbers of the first page in three rows: false verdicts, coverage and power."""
    finished = [cell for cell in found.cells if cell.analysis == FINISHED]
    same = [cell for cell in finished if not cell.true_difference]
    ten = [
        cell
        for cell in found.cells
        if cell.truth == "+10" and cell.metric == "accuracy" and cell.images == 230 and cell.copies
    ]
    (ten_points,) = (cell for cell in ten if not cell.imbalanced)
    difference = _percent(ten_points.true_difference)
    return markdown(
        Table(
            ["in %", *_heads(JUDGED)],
            [
                ["false verdicts: mean of the cases, and highest", *(_mean_and_most(same, seeds) for seeds in JUDGED)],
                [
                    "true difference within the 95 % interval",
                    *(_lowest_and_highest(finished, seeds) for seeds in JUDGED),
                ],
                [
                    f"true difference of {difference} points found, on 230 images with copies",
                    *(_power(ten_points, ten_points.by_seeds[seeds], in_words=True) for seeds in JUDGED),
                ],
            ],
        )
    )


def _mean_and_most(cells: Iterable[Cell], seeds: str) -> str:
    shares = [cell.by_seeds[seeds].wrong / cell.comparisons for cell in cells]
    return f"{_percent(sum(shares) / len(shares))}, {_percent(max(shares))}"


def _lowest_and_highest(cells: Iterable[Cell], seeds: str) -> str:
    shares = [cell.by_seeds[seeds].covered / cell.by_seeds[seeds].intervals for cell in cells]
    return f"{_percent(min(shares))} to {_percent(max(shares))}"


def _seeds(cells: Sequence[Cell]) -> list[str]:
    return list(cells[0].by_seeds)


def _heads(seeds: Iterable[str]) -> list[str]:
    return [each if each == "auto" else f"{each} seeds" for each in seeds]


def cell_words(cell: Cell) -> str:
    """What is compared, on which images, by which metric."""
    words = [f"{WORDS[cell.truth]}, {cell.images} images{' with copies' if cell.copies else ''}"]
    words += ["imbalanced classes"] if cell.imbalanced else []
    if any(cell.diverging):
        first, second = (f"{100 * share:.0f} %" for share in cell.diverging)
        words.append(f"{first} and {second} diverge")
        words += ["counted at chance"] if cell.analysis == AT_CHANCE else ["left out"]
    return f"{', '.join(words)}: {MEASURES[cell.metric].words}"


def _grid(cells: Iterable[Cell], seeds: Sequence[str], text: Callable[[Cell, Counts], str]) -> str:
    rows = [[cell_words(cell), *(text(cell, cell.by_seeds[each]) for each in seeds)] for cell in cells]
    return markdown(Table(["", *_heads(seeds)], rows))


def _share_with_interval(count: Callable[[Counts], int]) -> Callable[[Cell, Counts], str]:
    def text(cell: Cell, each: Counts) -> str:
        low, high = interval_of_share(count(each), cell.comparisons)
        return f"{_percent(count(each) / cell.comparisons)} ({_percent(low)} to {_percent(high)})"

    return text


def interval_of_share(count: int, of: int) -> Interval:
    """The exact 95 % interval of a share."""
    found = clopper_pearson(count, of)
    assert found is not None, "there are comparisons"
    return found


def _coverage(cell: Cell, each: Counts) -> str:
    return _percent(each.covered / each.intervals) if each.intervals else "–"


def _power(cell: Cell, each: Counts, in_words: bool = False) -> str:
    took = ""
    if each.mean_seeds is not None:
        took = f", after {each.mean_seeds:.1f} seeds on average" if in_words else f" ({each.mean_seeds:.1f})"
    return _percent((each.verdicts - each.wrong) / cell.comparisons, 0) + took


def _plans(plans: Sequence[Planned]) -> str:
    rows: dict[tuple[int, bool, float], dict[int, Planned]] = {}
    for plan in plans:
        rows.setdefault((plan.images, plan.copies, plan.difference), {})[plan.seeds] = plan
    lines = [
        [
            f"{_percent(difference)} points, {images} images{' with copies' if copies else ''}",
            *(f"{_percent(each.planned, 0)}, {_percent(each.found, 0)}" for each in by_seeds.values()),
        ]
        for (images, copies, difference), by_seeds in rows.items()
    ]
    seeds = list(dict.fromkeys(str(plan.seeds) for plan in plans))
    return markdown(Table(["", *_heads(seeds)], lines))


def _alternatives(records: Sequence[Alternative]) -> str:
    seeds = list(dict.fromkeys(record.seeds for record in records))
    covered: Mapping[tuple[str, int], str] = {
        (record.alternative, record.seeds): _percent(record.covered) for record in records
    }
    names = dict.fromkeys(record.alternative for record in records)
    rows = [[name, *(covered[name, each] for each in seeds)] for name in names]
    return markdown(Table(["", *_heads(map(str, seeds))], rows))


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}"
