"""The report of a run as one HTML page, made from its records alone: nothing is loaded, every name is escaped."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from resjax.records import Comparison, Origin, Summary, plain
from resjax.records.run_records import RunRecords
from resjax.report import words
from resjax.report.cautions import limits, optimism, unfinished, warnings_of
from resjax.report.figures.drawn_run import DrawnRun, drawn_run
from resjax.report.figures.probe_figures import TITLES, probe_figures
from resjax.report.figures.recall_figure import recall_figure
from resjax.report.figures.report_charts import difference_chart, history_charts, reliability_chart
from resjax.report.figures.style import COLORS, draw, inline
from resjax.report.majority import majority_line
from resjax.report.page.gallery import galleries
from resjax.report.page.html import command_line, render
from resjax.report.page.verdict import no_verdict, verdict_details
from resjax.report.words import SIDES, known

MOST_IN_MATRIX = 25
"""Classes up to which confusion matrices are shown as such."""
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


def report_page(records: RunRecords, drawn: Mapping[str, str] | None = None) -> str:
    """The page of a run, or of several that were merged.

    The summary's parts `diagnosis`, `class_differences` and `calibration` are shown where it has them. What a run does
    not have (replicas that are pending, predictions, thumbnails, a test) is named or left out, never guessed.

    Args:
      drawn: the SVG of figures of this run that are drawn already, by name; the others are drawn.
    """
    summary, run = records.summary, drawn_run(records)
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
        recall=_recall(run, drawn or {}),
        matrices=_matrices(run) if len(summary.dataset.classes) <= MOST_IN_MATRIX else [],
        most_in_matrix=MOST_IN_MATRIX,
        galleries=galleries(records),
        thumbnails=records.thumbnails,
        reliability=_reliability(summary, run),
        probes=records.probes,
        probe_titles=TITLES,
        probe_figures=_probe_figures(records, run.warning, drawn or {}),
        heat=_heat(records),
        audit=records.dataset,
        split=records.split,
        sides=SIDES,
        parts=[_part(part) for part in known(summary.merged) or [summary]],
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


def _recall(run: DrawnRun, drawn: Mapping[str, str]) -> str:
    """The recall of each class by every seed as an element of the page; empty without a finished replica."""
    if not run.networks:
        return ""
    # A figure is made while its style holds, so by a generator.
    svg = drawn.get("recall") or draw((name, recall_figure(run)) for name in ["recall"])["recall"]
    return inline(svg, "recall")


def _inline(figures, prefix: str) -> list[tuple[str, str]]:
    """Titles of figures with the figures as elements of the page."""
    return [(title, inline(svg, f"{prefix}{place}")) for place, (title, svg) in enumerate(draw(figures).items())]


def _reliability(summary: Summary, run: DrawnRun) -> list[tuple[str, Any, str]]:
    """Each network whose calibration is known, with its numbers and its chart."""
    calibration = known(summary.calibration) or {}
    there = [(network, found) for network in run.networks if (found := calibration.get(network.name))]
    charts = _inline(((network.name, reliability_chart(found, network)) for network, found in there), "reliability")
    return [(network.name, found, chart) for (network, found), (_, chart) in zip(there, charts, strict=True)]


def _probe_figures(records: RunRecords, warning: str, drawn: Mapping[str, str]) -> dict[str, str]:
    """The figures of the probes as elements of the page, by the probe's name."""
    if records.probes is None:
        return {}
    names = [f"probe_{name}" for name in records.probes.probes]
    there = {name: drawn[name] for name in names if name in drawn} or draw(probe_figures(records.probes, warning))
    return {name.removeprefix("probe_"): inline(svg, name) for name, svg in there.items()}


def _heat(records: RunRecords) -> dict[str, dict[str, list[list[float]]]]:
    """Grad-CAM of the pictures that have a thumbnail, by id and network: the mean over seeds of the rows of a map."""
    saliency = records.probes.probes.get("saliency") if records.probes else None
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for each in saliency.measurements if saliency else []:
        size = [int(side) for side in np.array(each.values["size"], float)]
        for name, values in each.values.items():
            if name in records.thumbnails:
                found.setdefault(name, {}).setdefault(each.network, []).append(
                    np.reshape(np.array(values, float), size)
                )
    return {
        name: {network: np.mean(maps, axis=0).tolist() for network, maps in by_network.items()}
        for name, by_network in found.items()
    }


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
        "environment": plain(part.environment),
        "config": part.config,
        "command": command_line("compare", part.config),
    }
