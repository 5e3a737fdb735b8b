"""The report of a run as one HTML page, made from its records alone: nothing is loaded, every name is escaped."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from resjax.records.run_records import RunRecords
from resjax.report.figures.charts import Chart, difference_chart, history_chart, reliability_chart
from resjax.report.figures.run import SIDES, data_note, leak_warning, split_of
from resjax.report.page import words
from resjax.report.page.gallery import galleries
from resjax.report.page.limits import limits
from resjax.report.page.render import render
from resjax.report.page.verdict import no_verdict, verdict_of

MOST_IN_MATRIX = 25
"""Classes up to which confusion matrices are shown as such."""
ARMS_APART = 6
"""Arms that have a colour and a mark of their own."""
ACCURACIES = {
    "test_accuracy": "test, best epoch",
    "final_test_accuracy": "test, last epoch",
    "best_val_accuracy": "validation, best epoch",
    "final_val_accuracy": "validation, last epoch",
    "last_three_val_accuracy": "validation, mean of the last three",
    "final_train_accuracy": "training, last epoch",
    "leaked_accuracy": "leaked images",
    "clean_accuracy": "clean images",
}
DEPTH_MEASURES = {
    "train_accuracy": "training accuracy",
    "train_loss": "training loss",
    "val_accuracy": "validation accuracy",
    "gap": "training less validation",
}
CURVES = {
    "val_accuracy": ("Validation accuracy", "accuracy (%)"),
    "train_accuracy": ("Training accuracy", "accuracy (%)"),
    "val_loss": ("Validation loss", "nats per image"),
    "train_loss": ("Training loss", "nats per image"),
}


def report_page(records: RunRecords) -> str:
    """The page of a run, or of several that were merged.

    The summary's parts `diagnosis`, `class_differences` and `calibration` are shown where it has them. What a run does
    not have (replicas that are pending, predictions, thumbnails, a test) is named or left out, never guessed.
    """
    summary = records.summary
    results = {
        arm: {seed: result for seed, result in seeds.items() if result is not None and result["status"] == "done"}
        for arm, seeds in records.results().items()
    }
    arms = list(summary["architectures"])
    compared = [pair for pair in summary["comparisons"] if words.number(pair.get("mean")) is not None]
    sides = sorted({SIDES[result["evaluated_on"]] for seeds in results.values() for result in seeds.values()})
    return render(
        "report.html",
        w=words,
        summary=summary,
        dataset=summary["dataset"],
        arms={name: place % ARMS_APART for place, name in enumerate(arms)},
        warnings=[
            *filter(None, (data_note(summary["dataset"]["name"]), leak_warning(split_of(summary["dataset"])))),
        ],
        unfinished=_unfinished(summary),
        nothing=no_verdict(summary) if not compared else "",
        verdicts=[
            (verdict_of(pair), difference_chart(pair, arms.index(pair["candidate"]) % ARMS_APART)) for pair in compared
        ],
        accuracies={
            key: name
            for key, name in ACCURACIES.items()
            if any(arm.get(key) for arm in summary["architectures"].values())
        },
        histories=_histories(records, results),
        depth_measures=DEPTH_MEASURES,
        seeds={name: len(seeds) for name, seeds in results.items()},
        side=words.listed(sides) if sides else "validation",
        matrices=_matrices(summary, results),
        most_in_matrix=MOST_IN_MATRIX,
        galleries=galleries(records),
        thumbnails=records.thumbnails,
        reliability=[
            (name, found, reliability_chart(found, arms.index(name) % ARMS_APART, name))
            for name, found in (summary.get("calibration") or {}).items()
            if found
        ],
        probes=records.probes,
        **_probe_figures(records),
        heat=_heat(records),
        audit=records.dataset,
        split=records.split,
        sides=SIDES,
        parts=[_part(part) for part in summary.get("merged") or [summary]],
        limits=limits(summary),
    )


def _probe_figures(records: RunRecords) -> dict[str, dict[str, str]]:
    """The figures of the probes, by the name of the variable of the page that holds them."""
    if not records.probes:
        return {"probe_titles": {}, "probe_figures": {}}
    # It imports matplotlib, which a report without probes does without.
    from resjax.report.figures.probe_figures import TITLES, embedded_figures

    return {"probe_titles": TITLES, "probe_figures": embedded_figures(records.probes)}


def _heat(records: RunRecords) -> dict[str, dict[str, list[list[float]]]]:
    """Grad-CAM of the pictures that have a thumbnail, by id and arm: the mean over seeds of the rows of a map."""
    found: dict[str, dict[str, list]] = {}
    for each in (records.probes or {"probes": {}})["probes"].get("saliency", {"measurements": []})["measurements"]:
        size = [int(side) for side in each["values"]["size"]]
        for name, values in each["values"].items():
            if name in records.thumbnails:
                found.setdefault(name, {}).setdefault(each["arm"], []).append(np.reshape(values, size))
    return {
        name: {arm: np.mean(maps, axis=0).tolist() for arm, maps in by_arm.items()} for name, by_arm in found.items()
    }


def _unfinished(summary: Mapping[str, Any]) -> list[str]:
    found = []
    for name, arm in summary["architectures"].items():
        for status in ("pending", "diverged"):
            seeds = [seed for seed, each in arm["status"].items() if each == status]
            if seeds:
                found.append(f"{name}: {words.counted(len(seeds), 'seed')} {status} ({', '.join(seeds)})")
        if "problem" in arm:
            found.append(arm["problem"])
    return found


def _histories(records: RunRecords, results: Mapping[str, Mapping[int, Any]]) -> list[tuple[str, Chart]]:
    lines = {arm: [records.history(arm, seed) for seed in seeds] for arm, seeds in results.items()}
    charts = []
    for key, (title, label) in CURVES.items():
        curves = [_curve(histories, key) for histories in lines.values()]
        chart = history_chart(title, curves, list(lines), label=label, logarithmic=key.endswith("loss"))
        if chart:
            charts.append((title, chart))
    return charts


def _curve(histories: Sequence[Sequence[Mapping[str, Any]]], key: str) -> np.ndarray:
    """(seed, epoch), as many epochs as every seed with a history has; NaN for what is missing."""
    there = [history for history in histories if history]
    epochs = min((len(history) for history in there), default=0)
    return np.array([[line.get(key) for line in history[:epochs]] for history in there], np.float64)


def _matrices(summary: Mapping[str, Any], results: Mapping[str, Mapping[int, Any]]) -> list[dict[str, Any]]:
    """Each arm's matrix in shares of the true class, then the differences of the others from the first, in points."""
    shares = {}
    for name, seeds in results.items():
        if seeds:
            counts = np.sum([result["confusion_matrix"] for result in seeds.values()], axis=0)
            shares[name] = (counts, counts / np.maximum(counts.sum(1, keepdims=True), 1))
    matrices: list[dict[str, Any]] = [
        {"arm": name, "against": None, "counts": counts.tolist(), "shares": each.tolist()}
        for name, (counts, each) in shares.items()
    ]
    if len(shares) > 1:
        (baseline, (_, first)), *others = shares.items()
        matrices += [
            {"arm": name, "against": baseline, "counts": None, "shares": (each - first).tolist()}
            for name, (_, each) in others
        ]
    return matrices if len(summary["dataset"]["classes"]) <= MOST_IN_MATRIX else []


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    flags = [f"--{name}={value}" for name, value in part["config"].items() if value is not None]
    return {
        "workdir": part["config"].get("workdir"),
        "environment": part["environment"],
        "config": part["config"],
        "command": " ".join(["python -m experiments.compare", *(shlex.quote(flag) for flag in flags)]),
    }
