"""A run's records as its figures need them, and what they say in a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from resjax.records import Done, MetricsLine
from resjax.records.run_records import RunRecords
from resjax.report.cautions import warnings_of
from resjax.report.figures.style import COLORS, MARKERS
from resjax.report.words import SIDES, known, listed

LONGEST_CLASS_NAME = 24


@dataclass(frozen=True)
class DrawnNetwork:
    """The finished replicas of one network; `histories` and `results` are by seed."""

    name: str
    color: str
    marker: str
    histories: dict[int, list[MetricsLine]]
    results: dict[int, Done]
    left_out: str
    """Which replicas are not in the figures, and why; empty where all are."""

    @property
    def seeds(self) -> str:
        """How many seeds: `1 seed`, `2 seeds`."""
        return "1 seed" if len(self.results) == 1 else f"{len(self.results)} seeds"

    def curves(self, side: str, quantity: str) -> np.ndarray:
        """Loss (nats per image) or accuracy (%) over epochs, (seed, epoch), as far as all seeds went.

        A loss that is not finite is NaN; a seed without a history is left out.
        """
        histories = [lines for lines in self.histories.values() if lines]
        epochs = min(map(len, histories), default=0)
        key, scale = f"{side}_{quantity}", 100 if quantity == "accuracy" else 1
        return scale * np.array([[getattr(line, key) for line in lines[:epochs]] for lines in histories], float)

    def accuracies(self) -> dict[int, float]:
        """Accuracy (%) of each seed's best epoch on the images that the run reports on."""
        return {seed: 100 * result.accuracy for seed, result in self.results.items()}

    def accuracies_on(self, part: Literal["leaked", "clean"]) -> dict[int, float]:
        """Accuracy (%) of each seed's best epoch on the leaked or the clean part, where it has images."""
        parts = {seed: known(getattr(result, part)) for seed, result in self.results.items()}
        return {seed: 100 * each.accuracy for seed, each in parts.items() if each and each.accuracy is not None}

    def recalls(self) -> np.ndarray:
        """Recall as a fraction, (seed, class)."""
        return np.array([[scores.recall for scores in each.per_class.values()] for each in self.results.values()])

    def confusion(self) -> np.ndarray:
        """Counts over all seeds, (true class, predicted class)."""
        return np.sum([result.confusion_matrix for result in self.results.values()], axis=0)


@dataclass(frozen=True)
class DrawnRun:
    """What the figures show of a run: its networks that have a finished replica, and the words around them."""

    networks: tuple[DrawnNetwork, ...]
    classes: tuple[str, ...]
    side: str
    """The images that accuracies, recalls and confusion matrices are of: `validation` or `test`."""
    images: str
    warning: str
    """What is special about the data and wrong with the split; empty where nothing is."""
    left_out: str


def drawn_run(records: RunRecords) -> DrawnRun:
    """Reads the results and histories that the figures need.

    Raises:
      RecordError: names the record that cannot be read.
    """
    networks = []
    for place, (name, results) in enumerate(records.results().items()):
        done = {seed: result for seed, result in results.items() if isinstance(result, Done)}
        others = [
            f"seed {seed} {'diverged' if result else 'pending'}"
            for seed, result in results.items()
            if not isinstance(result, Done)
        ]
        networks.append(
            DrawnNetwork(
                name,
                color=COLORS[place % len(COLORS)],
                marker=MARKERS[place % len(MARKERS)],
                histories={seed: records.history(name, seed) for seed in done},
                results=done,
                left_out=f"{name}: {', '.join(others)}" if others else "",
            )
        )
    dataset = records.summary.dataset
    sides = {result.evaluated_on for network in networks for result in network.results.values()}
    splits = ", ".join(f"{count} {SIDES[side]}" for side, count in dataset.splits.items() if count)
    return DrawnRun(
        networks=tuple(network for network in networks if network.results),
        classes=tuple(shortened(name) for name in dataset.classes),
        side=listed([SIDES[side] for side in sorted(sides)]),
        images=f"Images: {shortened(dataset.name, 60)}, {splits}, {len(dataset.classes)} classes.",
        warning="\n".join(warnings_of(dataset)),
        left_out="; ".join(network.left_out for network in networks if network.left_out),
    )


def conclusion(run: DrawnRun) -> str:
    """What the accuracies of a run say, in a sentence: a description, not a test."""
    baseline, *candidates = run.networks
    measure = f"{run.side} accuracy"
    if not candidates:
        mean = np.mean(list(baseline.accuracies().values()))
        return f"{baseline.name} has a {measure} of {mean:.1f} % {_average_words([len(baseline.results)])}"
    differences = {network.name: _differences(baseline, network) for network in candidates}
    differences = {name: values for name, values in differences.items() if values}
    if not differences:
        return f"No other network has finished a seed that {baseline.name} has finished"
    means = {name: float(np.mean(values)) for name, values in differences.items()}
    averaged = _average_words([len(values) for values in differences.values()])
    if len(means) > 1:
        each = ", ".join(f"{name} {points:+.1f}" for name, points in means.items())
        return f"Points of {measure} above {baseline.name}, {averaged}: {each}"
    ((name, points),) = means.items()
    place = "above" if points >= 0 else "below"
    return f"{measure.capitalize()}: {name} is {abs(points):.1f} points {place} {baseline.name} {averaged}"


def _differences(baseline: DrawnNetwork, candidate: DrawnNetwork) -> list[float]:
    first, second = baseline.accuracies(), candidate.accuracies()
    return [second[seed] - first[seed] for seed in first if seed in second]


def _average_words(counts: Sequence[int]) -> str:
    if max(counts) == 1:
        return "with one seed"
    few = f"{min(counts)} to " if min(counts) < max(counts) else ""
    return f"on average over {few}{max(counts)} seeds"


def shortened(name: str, longest: int = LONGEST_CLASS_NAME) -> str:
    """The name, cut with an ellipsis if it is longer."""
    return name if len(name) <= longest else name[: longest - 1] + "…"
