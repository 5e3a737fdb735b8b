"""The report of a sweep as one HTML page, made from `sweep.json` alone."""

import shlex
from collections.abc import Mapping
from typing import Any

from resjax.report.figures.run import leak_warning, split_of
from resjax.report.figures.style import embedded
from resjax.report.figures.sweep_figures import sweep_figures
from resjax.report.page import words
from resjax.report.page.render import render
from resjax.report.page.sweep_words import SIDES, at, choice_caveat, choice_rows, failures, headline

Record = Mapping[str, Any]
TITLES = {
    "depth": "Accuracy against depth",
    "sensitivity": "Sensitivity to learning rate and weight decay",
    "along": "Accuracy along what was varied",
}
SLOPES = {
    "train_accuracy": "training accuracy",
    "val_accuracy": "validation accuracy",
    "gap": "training less validation",
}


def sweep_page(record: Record) -> str:
    """The page of a sweep, however many of its cells have ended."""
    figures: dict[str, list[tuple[str, str]]] = {}
    for name, uri in embedded(sweep_figures(record)).items():
        kind = name.split("_")[0]
        figures.setdefault(kind, []).append((name, uri))
    return render(
        "sweep.html",
        record=record,
        headline=headline(record),
        reported=SIDES[record["reported_on"]],
        sections=[(kind, TITLES[kind], figures[kind]) for kind in ("depth", "along", "sensitivity") if kind in figures],
        tables=[_table(record, condition) for condition in record["conditions"]],
        caveat=choice_caveat(record),
        failures=failures(record),
        warning=leak_warning(split_of(record["dataset"])),
        grid={name: [str(value) for value in values] for name, values in record["grid"].items()},
        flags=_flags(record),
        merged=record.get("merged", []),
        seconds=sum(cell["seconds"] or 0 for cell in record["cells"]),
    )


def _table(record: Record, condition: Record) -> dict[str, Any]:
    header, *rows = choice_rows(record, condition)
    return {
        "label": condition["label"],
        "header": header,
        "rows": rows,
        "pairs": [
            {
                "sentence": pair["sentence"],
                "verdict": pair["verdict"],
                "at": [f"{arm} at {_at(record, point)}" for arm, point in pair["settings"].items() if point],
            }
            for pair in condition["comparisons"]
        ],
        "slopes": [
            f"{SLOPES[measure]} of {_names(family)}: {words.points(part['slope']['mean'])} points per ten layers"
            f" ({words.points_interval(part['slope']['ci95'])})"
            for family in condition["depth"] or []
            for measure, part in family["measures"].items()
            if measure in SLOPES and part["slope"]["mean"] is not None
        ],
    }


def _names(family: Record) -> str:
    return words.listed([f"{twins['candidate']} minus {twins['baseline']}" for twins in family["twins"]])


def _at(record: Record, point: str) -> str:
    tuned = {name: value for name, value in record["points"][point].items() if name in record["tuned"]}
    return at(tuned)


def _flags(record: Record) -> str:
    """The command that makes the sweep again."""
    given = [f"--{name}={value}" for name, value in record["config"].items() if value is not None]
    swept = [f"--grid={name}={'|'.join(map(str, values))}" for name, values in record["grid"].items()]
    return shlex.join(["python", "-m", "experiments.sweep", *swept, *given])
