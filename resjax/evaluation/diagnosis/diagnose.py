"""The diagnosis of a run in sentences, each from a rule with a stated threshold; no sentence without evidence."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from msgspec import UNSET

from resjax.evaluation.diagnosis.class_rules import (
    class_differences,
    collapsed_classes,
    confused_pairs,
    gains_and_losses,
)
from resjax.evaluation.diagnosis.history_rules import History, divergence, instability, over_fitting, under_training
from resjax.evaluation.diagnosis.reliability import miscalibration, pooled_reliability
from resjax.evaluation.diagnosis.rules import KINDS, finding, percent
from resjax.records import ClassDifferences, Done, Finding, PooledReliability, Result, Side, SummaryDataset


class Replica(NamedTuple):
    """A replica that ended: its records, and its predictions on the side that its result is of."""

    result: Result
    history: History
    logits: Float[np.ndarray, "image class"] | None = None
    """None if they were not kept."""
    labels: Int[np.ndarray, " image"] | None = None


class Diagnosis(NamedTuple):
    """The parts of `summary.json` that explain its numbers."""

    diagnosis: list[Finding]
    class_differences: list[ClassDifferences]
    calibration: dict[str, PooledReliability | None]


def diagnose(
    networks: Mapping[str, Mapping[int, Replica]], classes: Sequence[str], dataset: SummaryDataset
) -> Diagnosis:
    """Applies every rule to the replicas that ended.

    Args:
      networks: the replicas by network and seed; the network named first is the baseline of each pair.
      classes: names in the order of the confusion matrices.
      dataset: that part of `summary.json`, for the leaks and the number of validation images.
    """
    done = {
        name: {seed: (replica, each) for seed, replica in replicas.items() if isinstance(each := replica.result, Done)}
        for name, replicas in networks.items()
    }
    confusions = {
        name: {seed: np.asarray(result.confusion_matrix) for seed, (_, result) in replicas.items()}
        for name, replicas in done.items()
    }
    calibration = {
        name: pooled_reliability(
            [(r.logits, r.labels) for r, _ in replicas.values() if r.logits is not None and r.labels is not None]
        )
        for name, replicas in done.items()
    }
    differences = [
        ClassDifferences(
            baseline=first,
            candidate=second,
            classes=class_differences(confusions[first], confusions[second], classes),
        )
        for first, second in combinations(done, 2)
    ]
    results = {name: [result for _, result in replicas.values()] for name, replicas in done.items()}
    found: list[Finding | None] = [leaks(dataset, results)]
    for name, replicas in done.items():
        histories = {seed: replica.history for seed, (replica, _) in replicas.items()}
        found.append(divergence(name, {seed: replica.result for seed, replica in networks[name].items()}))
        found.append(over_fitting(name, histories))
        found.append(under_training(name, histories))
        found.append(instability(name, histories, dataset.splits["val"]))
        found += collapsed_classes(name, confusions[name], classes)
        found.append(confused_pairs(name, confusions[name], classes))
        if (described := calibration[name]) is not None:
            found.append(miscalibration(name, described))
    for pair in differences:
        found += gains_and_losses(pair.baseline, pair.candidate, pair.classes)
    order = list(KINDS)
    findings = sorted((each for each in found if each), key=lambda each: order.index(each.kind))
    return Diagnosis(findings, differences, calibration)


def leaks(dataset: SummaryDataset, results: Mapping[str, Sequence[Done]]) -> Finding | None:
    """How many images leak, and how much better each network is on them than on the others, if both parts have any."""
    leaked: dict[Side, int] = {side: count for side, count in dataset.leaked.items() if count}
    if not leaked:
        return None
    counts = " and ".join(
        f"{count} of {dataset.splits[side]} {side} images ({percent(count / dataset.splits[side])})"
        for side, count in leaked.items()
    )
    gains = {}
    for name, finished in results.items():
        by_seed = [gain for result in finished if (gain := _gain_on_leaked(result)) is not None]
        if by_seed:
            gains[name] = float(np.mean(by_seed))
    words = ", ".join(f"{name} {100 * gain:+.0f}" for name, gain in gains.items())
    sentence = f"{counts} are on another side, too, themselves or as a copy: accuracies are too high."
    if words:
        sentence += f" Points of accuracy on leaked images above the others: {words}."
    return finding("leaks", None, sentence, {"leaked": leaked, "gain": gains})


def _gain_on_leaked(result: Done) -> float | None:
    """The accuracy on leaked images minus that on the others."""
    if result.leaked is UNSET or result.clean is UNSET:
        return None
    leaked, clean = result.leaked.accuracy, result.clean.accuracy
    return None if leaked is None or clean is None else leaked - clean
