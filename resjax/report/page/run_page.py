"""The report of a run as one HTML page, made from its records alone: nothing is loaded, every name is escaped."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from resjax.records import Comparison, Origin, Summary, plain
from resjax.records.defaults import DEFAULTS, said
from resjax.records.run_records import RunRecords
from resjax.report import words
from resjax.report.cautions import limits, optimism, unfinished, warnings_of
from resjax.report.figures.drawn_run import DrawnRun, drawn_run
from resjax.report.figures.probe_figures import TITLES, probe_sheets
from resjax.report.figures.report_charts import (
    class_difference_chart,
    difference_chart,
    history_charts,
    recall_chart,
    reliability_chart,
)
from resjax.report.figures.sheet import charts_of_page
from resjax.report.figures.style import COLORS, draw, inline
from resjax.report.majority import majority_line
from resjax.report.page.gallery import galleries
from resjax.report.page.html import command_line, parts, render
from resjax.report.page.saliency import heat_maps
from resjax.report.page.verdict import no_verdict, verdict_details
from resjax.report.words import SIDES, known

MOST_IN_MATRIX = 25
"""Classes up to which confusion matrices are shown as such."""
LONGEST_ACROSS = 8
"""Letters of the longest part of a class's name with which the names above a matrix are written across."""
COSTS = (
    ("parameters", "parameters", ""),
    ("forward pass of an image", "forward_flops", "FLOP"),
    ("the same by XLA's count", "forward_flops_xla", "FLOP"),
    ("activations", "activation_bytes", "B"),
)
"""What a network costs: heading, key and unit."""
ACCURACIES = {
    "test_accuracy": "test, best epoch",
    "final_test_accuracy": "test, last epoch",
    "best_val_accuracy": "validation, best epoch",
    "final_val_accuracy": "validation, last epoch",
    "last_three_val_accuracy": "validation, mean of the last three epochs",
    "final_train_accuracy": "training, last epoch",
    "leaked_accuracy": "leaked images",
    "clean_accuracy": "clean images",
}
DEPTH_MEASURES = {
    "train_accuracy": "training accuracy",
    "train_loss": "training loss",
    "val_accuracy": "validation accuracy",
    "gap": "training minus validation accuracy",
}


def report_page(records: RunRecords) -> str:
    """The page of a run, or of several that were merged.

    The summary's parts `diagnosis`, `class_differences` and `calibration` are shown where it has them. What a run does
    not have (replicas that are pending, predictions, thumbnails, a test) is named or left out, never guessed.
    """
    summary, run = records.summary, drawn_run(records)
    sheets = probe_sheets(records.probes) if records.probes else {}
    networks = summary.architectures
    places = {name: place % len(COLORS) for place, name in enumerate(networks)}
    compared = [pair for pair in summary.comparisons if pair.mean is not None or pair.divergence]
    asked = words.measure_asked(summary.config)
    return render(
        "report.html",
        w=words,
        summary=summary,
        dataset=summary.dataset,
        networks=places,
        warnings=warnings_of(summary.dataset),
        unfinished=unfinished(summary),
        nothing="" if any(pair.mean is not None for pair in compared) else no_verdict(summary),
        verdicts=_verdicts(compared, run),
        diagnosis=known(summary.diagnosis),
        accuracies={
            name: {key: known(getattr(network, key)) for key in ACCURACIES}
            | ({asked: (known(network.measures) or {}).get(asked)} if asked else {})
            for name, network in networks.items()
        },
        headings=({asked: asked.replace("_", " ")} if asked else {})
        | {
            key: heading
            for key, heading in ACCURACIES.items()
            if any(known(getattr(network, key)) for network in networks.values())
        },
        optimism=optimism(summary),
        majority=majority_line(summary),
        histories=_inline(history_charts(run), "history"),
        depth_measures=DEPTH_MEASURES,
        seeds={name: 0 for name in networks} | {network.name: len(network.results) for network in run.networks},
        class_differences=known(summary.class_differences) or [],
        side=run.side or "validation",
        class_charts=_class_charts(summary, run),
        matrices=_matrices(run) if len(summary.dataset.classes) <= MOST_IN_MATRIX else [],
        most_in_matrix=MOST_IN_MATRIX,
        upright=max(len(part) for name in summary.dataset.classes for part in parts(name)) > LONGEST_ACROSS,
        costs=[cost for cost in COSTS if any(getattr(each, cost[1]) is not None for each in networks.values())],
        galleries=galleries(records),
        thumbnails=records.thumbnails,
        reliability=_reliability(summary, run),
        probes=records.probes,
        probe_titles=TITLES,
        sheets=sheets,
        probe_charts={name: charts_of_page(f"probe_{name}", sheet) for name, sheet in sheets.items()},
        heat=heat_maps(records),
        audit=records.dataset,
        split=records.split,
        sides=SIDES,
        runs=[_part(part) for part in known(summary.merged) or [summary]],
        limits=limits(summary),
    )


def _verdicts(compared: list[Comparison], run: DrawnRun) -> list[dict[str, Any]]:
    networks = {network.name: network for network in run.networks}
    charts = draw(
        (f"difference{place}", difference_chart(pair, networks[pair.candidate].color, networks[pair.candidate].marker))
        for place, pair in enumerate(compared)
        if pair.candidate in networks and pair.mean is not None
    )
    return [
        {
            "sentence": pair.sentence,
            "label": pair.verdict or "no verdict",
            "details": verdict_details(pair),
            "chart": inline(svg, name) if (svg := charts.get(name := f"difference{place}")) else "",
            "has_interval": words.with_width(pair.ci95) is not None,
            "has_margin": bool(pair.equivalence),
        }
        for place, pair in enumerate(compared)
    ]


def _class_charts(summary: Summary, run: DrawnRun) -> list[tuple[str, str]]:
    """The recall of each class by every seed, then the paired differences, with their titles."""
    networks = {network.name: network for network in run.networks}

    def charts() -> Iterator[tuple[str, Figure]]:
        if run.networks:
            yield "Recall", recall_chart(run)
        for pair in known(summary.class_differences) or []:
            if pair.classes and (candidate := networks.get(pair.candidate)):
                title = f"Recall, {pair.candidate} minus {pair.baseline}"
                yield title, class_difference_chart(pair, candidate.color, candidate.marker)

    return _inline(charts(), "class")


def _inline(figures, prefix: str) -> list[tuple[str, str]]:
    """Titles of figures with the figures as elements of the page."""
    return [(title, inline(svg, f"{prefix}{place}")) for place, (title, svg) in enumerate(draw(figures).items())]


def _reliability(summary: Summary, run: DrawnRun) -> list[tuple[str, Any, str]]:
    """Each network whose calibration is known, with its numbers and its chart."""
    calibration = known(summary.calibration) or {}
    there = [(network, found) for network in run.networks if (found := calibration.get(network.name))]
    charts = _inline(((network.name, reliability_chart(found, network)) for network, found in there), "reliability")
    return [(network.name, found, chart) for (network, found), (_, chart) in zip(there, charts, strict=True)]


def _matrices(run: DrawnRun) -> list[dict[str, Any]]:
    """Each network's matrix in shares of the true class, then the differences of the others from the first."""
    counts = {network.name: network.confusion() for network in run.networks}
    shares = {name: each / np.maximum(each.sum(1, keepdims=True), 1) for name, each in counts.items()}
    matrices: list[dict[str, Any]] = [
        {"network": name, "against": None, "counts": counts[name].tolist(), "shares": each.tolist()}
        for name, each in shares.items()
    ]
    for name, each in list(shares.items())[1:]:
        baseline = run.networks[0].name
        matrices.append({"network": name, "against": baseline, "shares": (each - shares[baseline]).tolist()})
    return matrices


def _part(part: Summary | Origin) -> dict[str, Any]:
    return {
        "environment": {
            name.replace("_", " "): _shortened(value)
            for name, value in plain(part.environment).items()
            if value is not None
        },
        "changed": [(name, value, DEFAULTS.get(name, words.DASH)) for name, value in said(part.config).items()],
        "command": command_line("compare", part.config),
    }


def _shortened(value: object) -> object:
    """A revision of git by its first digits, with its mark of changes; other values as they are."""
    return re.sub(r"^([0-9a-f]{12})[0-9a-f]{28}(?=\+?$)", r"\1", value) if isinstance(value, str) else value
