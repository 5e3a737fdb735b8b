"""A run's records as its pictures and its report need them, and what they say in a sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resjax.report.records import read_json, read_lines

# The colours of Okabe and Ito (https://jfly.uni-koeln.de/color/), told apart by nearly every eye; black is for text.
COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
SIDES = {"train": "training", "val": "validation", "test": "test"}
LONGEST_CLASS_NAME = 24


LOSSY_COPIES = {"tfds:cifar10_jpeg": "CIFAR-10"}
"""Data sets that look like another one, and are lossy copies of its images."""


def data_note(name: str) -> str:
    """What a reader of numbers on this data has to know; empty for most."""
    for copies, original in LOSSY_COPIES.items():
        if name == copies or name.startswith((f"{copies}:", f"{copies}@", f"{copies}/")):
            return f"{name}: lossy JPEG copies of {original}; an error rate on them is no error rate on {original}"
    return ""


def leak_warning(split: Mapping[str, Any]) -> str:
    """What a reader of a run on a leaking or faulty split has to know; empty for one that keeps copies together.

    `split` has `label`, `is_faulty`, `sides` (images a side) and `leaked` (the same of those that leak).
    """
    leaked = {side: count for side, count in split["leaked"].items() if count}
    if not leaked and not split["is_faulty"]:
        return ""
    counts = " and ".join(
        f"{count} of {split['sides'][side]} {SIDES[side]} images ({100 * count / split['sides'][side]:.0f} %)"
        for side, count in leaked.items()
    )
    found = (
        f"{counts} lie on another side too, themselves or as a copy; accuracies are too high"
        if leaked
        else "no image leaks"
    )
    return f"WARNING: split {split['label']}: {found}"


def split_of(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The split in the `dataset` part of a summary, as `leak_warning` reads it."""
    return {
        "label": dataset.get("split_label", dataset.get("split", "")),
        "is_faulty": dataset.get("split_is_faulty", False),
        "sides": dataset["splits"],
        "leaked": dataset.get("leaked", {}),
    }


@dataclass(frozen=True)
class Arm:
    """The finished replicas of one architecture; `histories` and `results` are by seed."""

    name: str
    color: str
    marker: str
    histories: dict[int, list[dict]]
    results: dict[int, dict]
    left_out: str
    """Which replicas are not in the pictures, and why; empty where all are."""

    def curves(self, side: str, quantity: str) -> np.ndarray:
        """Loss (nats per image) or accuracy (%) over epochs, (seed, epoch), as far as all seeds went."""
        epochs = min(len(lines) for lines in self.histories.values())
        key, scale = f"{side}_{quantity}", 100 if quantity == "accuracy" else 1
        return scale * np.array([[line[key] for line in lines[:epochs]] for lines in self.histories.values()], float)

    def accuracies(self) -> dict[int, float]:
        """Accuracy (%) of each seed's best epoch on the images that the run reports on."""
        return {seed: 100 * result["accuracy"] for seed, result in self.results.items()}

    def accuracies_on(self, part: str) -> dict[int, float]:
        """Accuracy (%) of each seed's best epoch on the `leaked` or the `clean` part, where it has images."""
        values = {seed: (result.get(part) or {}).get("accuracy") for seed, result in self.results.items()}
        return {seed: 100 * value for seed, value in values.items() if value is not None}

    def confusion(self) -> np.ndarray:
        """Counts over all seeds, (true class, predicted class)."""
        return np.sum([result["confusion_matrix"] for result in self.results.values()], axis=0)


@dataclass(frozen=True)
class Run:
    """What the pictures show of a run: its arms that have a finished replica, and the words around them."""

    arms: tuple[Arm, ...]
    classes: tuple[str, ...]
    side: str
    """The images that accuracies, recalls and confusion matrices are of: `validation` or `test`."""
    images: str
    warning: str
    """What is wrong with the split; empty where nothing is."""
    left_out: str


def read_run(workdir: Path) -> Run:
    """Reads the records that the pictures need."""
    summary = read_json(workdir / "summary.json")
    arms = []
    for index, (name, record) in enumerate(summary["architectures"].items()):
        histories, results, others = {}, {}, []
        for seed in record["seeds"]:
            folder = workdir / "runs" / name / f"seed{seed}"
            result = read_json(folder / "result.json") if (folder / "result.json").exists() else {"status": "pending"}
            if result["status"] == "done":
                histories[seed], results[seed] = read_lines(folder / "metrics.jsonl"), result
            else:
                others.append(f"seed {seed} {result['status']}")
        left_out = f"{name}: {', '.join(others)}" if others else ""
        color, marker = COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
        arms.append(Arm(name, color, marker, histories, results, left_out))
    drawn = tuple(arm for arm in arms if arm.results)
    sides = {result["evaluated_on"] for arm in drawn for result in arm.results.values()}
    dataset = summary["dataset"]
    splits = ", ".join(f"{dataset['splits'][side]} {SIDES[side]}" for side in SIDES if dataset["splits"].get(side))
    return Run(
        arms=drawn,
        classes=tuple(_shortened(name) for name in dataset["classes"]),
        side=" and ".join(SIDES[side] for side in sorted(sides)),
        warning="\n".join(filter(None, (data_note(dataset["name"]), leak_warning(split_of(dataset))))),
        images=f"Images: {_shortened(dataset['name'], 60)}, {splits}, {len(dataset['classes'])} classes.",
        left_out="; ".join(arm.left_out for arm in arms if arm.left_out),
    )


def conclusion(run: Run) -> str:
    """What the accuracies of a run say, in a sentence: a description, not a test."""
    baseline, *candidates = run.arms
    measure = f"{run.side} accuracy"
    if not candidates:
        mean = np.mean(list(baseline.accuracies().values()))
        return f"{baseline.name} has a {measure} of {mean:.1f} % {_average_words([len(baseline.results)])}"
    differences = {arm.name: _differences(baseline, arm) for arm in candidates}
    differences = {name: values for name, values in differences.items() if values}
    if not differences:
        return f"No other network has finished a seed of {baseline.name}'s"
    means = {name: float(np.mean(values)) for name, values in differences.items()}
    averaged = _average_words([len(values) for values in differences.values()])
    if len(means) > 1:
        listed = ", ".join(f"{name} {points:+.1f}" for name, points in means.items())
        return f"Points of {measure} above {baseline.name}, {averaged}: {listed}"
    ((name, points),) = means.items()
    place = "above" if points >= 0 else "below"
    return f"{measure.capitalize()}: {name} is {abs(points):.1f} points {place} {baseline.name} {averaged}"


def _differences(baseline: Arm, candidate: Arm) -> list[float]:
    first, second = baseline.accuracies(), candidate.accuracies()
    return [second[seed] - first[seed] for seed in first if seed in second]


def _average_words(counts: Sequence[int]) -> str:
    if max(counts) == 1:
        return "with one seed"
    few = f"{min(counts)} to " if min(counts) < max(counts) else ""
    return f"on average over {few}{max(counts)} seeds"


def _shortened(name: str, longest: int = LONGEST_CLASS_NAME) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"
