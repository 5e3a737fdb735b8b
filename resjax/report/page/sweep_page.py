"""The report of a sweep as one HTML page, made from `sweep.json` alone."""

from collections.abc import Mapping
from typing import Any

from resjax.records import Condition, Depth, Sweep
from resjax.report.cautions import leak_warning
from resjax.report.figures.style import draw, inline
from resjax.report.figures.sweep_figures import sweep_figures
from resjax.report.majority import majority_of_sweep
from resjax.report.page.html import command_line, render
from resjax.report.sweep_text import choice_caution, choice_table, failures, headline, setting_words
from resjax.report.words import SIDES, known, listed, points, points_interval

TITLES = {
    "depth": "Accuracy against depth",
    "along": "Accuracy along what was varied",
    "sensitivity": "Sensitivity to learning rate and weight decay",
}
SLOPES = {
    "train_accuracy": "training accuracy",
    "val_accuracy": "validation accuracy",
    "gap": "training minus validation accuracy",
}


def sweep_page(record: Sweep, drawn: Mapping[str, str] | None = None) -> str:
    """The page of a sweep, however many of its cells have ended.

    Args:
      drawn: the SVG of all figures of this record, by name, where they are drawn already.
    """
    figures: dict[str, list[str]] = {}
    for name, svg in (draw(sweep_figures(record)) if drawn is None else drawn).items():
        figures.setdefault(name.split("_")[0], []).append(inline(svg, name))
    return render(
        "sweep.html",
        record=record,
        headline=headline(record),
        sides=SIDES,
        sections=[(kind, title, figures[kind]) for kind, title in TITLES.items() if kind in figures],
        tables=[_table(record, condition) for condition in record.conditions],
        caution=choice_caution(record),
        majority=majority_of_sweep(record.dataset),
        failures=failures(record),
        warning=leak_warning(record.dataset),
        grid={name: [str(value) for value in values] for name, values in record.grid.items()},
        again=_command(record),
        merged=known(record.merged) or [],
        seconds=sum(cell.seconds or 0 for cell in record.cells),
    )


def _table(record: Sweep, condition: Condition) -> dict[str, Any]:
    return {
        "label": condition.label,
        "table": choice_table(record, condition),
        "pairs": [
            {
                "sentence": pair.sentence,
                "at": [
                    f"{network} at {_tuned(record, point)}"
                    for network, point in (known(pair.settings) or {}).items()
                    if point
                ],
            }
            for pair in condition.comparisons
        ],
        "slopes": [
            f"{SLOPES[measure]} of {_twins(family)}: {points(part.slope.mean)} points per ten layers"
            f" ({points_interval(part.slope.ci95)})"
            for family in condition.depth or []
            for measure, part in family.measures.items()
            if measure in SLOPES and part.slope.mean is not None
        ],
    }


def _twins(family: Depth) -> str:
    return listed([f"{twins.candidate} minus {twins.baseline}" for twins in family.twins])


def _tuned(record: Sweep, point: str) -> str:
    return setting_words({name: value for name, value in record.points[point].items() if name in record.tuned})


def _command(record: Sweep) -> str:
    swept = [f"--grid={name}={'|'.join(map(str, values))}" for name, values in record.grid.items()]
    return command_line("sweep", record.config, *swept)
