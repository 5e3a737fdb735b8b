"""The diagnosis of a run in sentences, each from a rule with a stated threshold; no sentence without evidence."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from msgspec import UNSET

from resjax.evaluation.comparison.chance import ChanceTest, against_chance
from resjax.evaluation.comparison.measures import MEASURES
from resjax.evaluation.diagnosis.answers import Answers
from resjax.evaluation.diagnosis.chance_rule import at_chance
from resjax.evaluation.diagnosis.class_rules import collapsed_classes, confused_pairs, gains_and_losses
from resjax.evaluation.diagnosis.class_table import class_differences
from resjax.evaluation.diagnosis.history_rules import History, divergence, instability, over_fitting, under_training
from resjax.evaluation.diagnosis.reliability import miscalibration, pooled_reliability
from resjax.evaluation.diagnosis.rules import KINDS, finding, percent
from resjax.records import ClassDifferences, Done, Finding, PooledReliability, Result, Side, SummaryDataset
from resjax.records.kinds.base import Config


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


class _Network(NamedTuple):
    """The finished replicas of a network, by seed."""

    replicas: Mapping[int, Replica]
    results: Mapping[int, Done]
    confusions: Mapping[int, np.ndarray]
    answers: Answers | None
    """None if the predictions of a replica were not kept."""


def diagnose(
    networks: Mapping[str, Mapping[int, Replica]],
    classes: Sequence[str],
    dataset: SummaryDataset,
    groups: Int[np.ndarray, " image"] | None = None,
    config: Config | None = None,
) -> Diagnosis:
    """Applies every rule to the replicas that ended.

    Args:
      networks: the replicas by network and seed; the network named first is the baseline of each pair.
      classes: names in the order of the confusion matrices.
      dataset: that part of `summary.json`, for the leaks and the validation images.
      groups: the duplicate group of each image that the predictions are of. None if they are not known: then nothing is
        said that depends on how many different pictures a class has.
      config: the flags of the run, for the metric that it is judged by and for the commands that are suggested.
    """
    config = config or {}
    measure = config.get("metric") or "accuracy"
    parts = {name: _finished(replicas, groups) for name, replicas in networks.items()}
    calibration = {
        name: pooled_reliability(
            [(r.logits, r.labels) for r in each.replicas.values() if r.logits is not None and r.labels is not None],
            groups,
        )
        for name, each in parts.items()
    }
    differences = [
        ClassDifferences(
            baseline=first,
            candidate=second,
            classes=class_differences(
                one.confusions,
                other.confusions,
                classes,
                (one.answers, other.answers) if one.answers and other.answers else None,
            ),
        )
        for (first, one), (second, other) in combinations(parts.items(), 2)
    ]
    tests = {name: _against_chance(each, measure, groups) for name, each in parts.items()}
    learned = {name for name, test in tests.items() if test and test.is_above}
    found: list[Finding | None] = [leaks(dataset, {name: [*each.results.values()] for name, each in parts.items()})]
    if (any_result := next((result for each in parts.values() for result in each.results.values()), None)) is not None:
        sizes = [sum(row) for row in any_result.confusion_matrix]
        found.append(at_chance(tests, measure, classes, sizes, any_result.evaluated_on, config))
    for name, each in parts.items():
        histories = {seed: replica.history for seed, replica in each.replicas.items()}
        found.append(divergence(name, {seed: replica.result for seed, replica in networks[name].items()}))
        found.append(over_fitting(name, histories))
        found.append(under_training(name, histories))
        found.append(instability(name, histories, _validation_pictures(dataset)))
        if name in learned and each.answers is not None:
            pictures = each.answers.pictures(len(classes))
            found += collapsed_classes(name, each.confusions, classes, pictures)
            found.append(confused_pairs(name, each.confusions, classes, pictures))
        if (described := calibration[name]) is not None:
            found.append(miscalibration(name, described))
    for pair in differences:
        if learned.issuperset((pair.baseline, pair.candidate)):
            found += gains_and_losses(pair.baseline, pair.candidate, pair.classes)
    order = list(KINDS)
    findings = sorted((each for each in found if each), key=lambda each: order.index(each.kind))
    return Diagnosis(findings, differences, calibration)


def _finished(replicas: Mapping[int, Replica], groups: np.ndarray | None) -> _Network:
    done = {seed: replica for seed, replica in replicas.items() if isinstance(replica.result, Done)}
    results = {seed: each.result for seed, each in done.items() if isinstance(each.result, Done)}
    confusions = {seed: np.asarray(result.confusion_matrix) for seed, result in results.items()}
    logits = [each.logits for each in done.values() if each.logits is not None]
    labels = next((each.labels for each in done.values() if each.labels is not None), None)
    answers = None
    if groups is not None and labels is not None and len(logits) == len(done):
        answers = Answers([*done], np.stack([each.argmax(-1) for each in logits]), labels, groups)
    return _Network(done, results, confusions, answers)


def _against_chance(network: _Network, measure: str, groups: np.ndarray | None) -> ChanceTest | None:
    of_images = {
        seed: MEASURES[measure].contributions(each.logits, each.labels)
        for seed, each in network.replicas.items()
        if each.logits is not None and each.labels is not None
    }
    return against_chance(network.results, measure, of_images, groups)


def _validation_pictures(dataset: SummaryDataset) -> float:
    """As how many validation images without copies they count, where that is known."""
    known = dataset.independent_images
    return dataset.splits["val"] if known is UNSET else known["val"]


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
