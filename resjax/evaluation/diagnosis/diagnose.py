"""The diagnosis of a run in sentences, each from a rule with a stated threshold; no sentence where evidence lacks."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from resjax.evaluation.diagnosis.class_rules import (
    class_differences,
    collapsed_classes,
    confused_pairs,
    gains_and_losses,
)
from resjax.evaluation.diagnosis.finding import Finding, percent
from resjax.evaluation.diagnosis.history_rules import History, divergence, instability, over_fitting, under_training
from resjax.evaluation.diagnosis.reliability import miscalibration, pooled_reliability

KINDS = {
    "leaks": "images of validation or test that lie on another side too, themselves or as a copy: from one on",
    "divergence": "replicas whose loss was no longer finite: from one on",
    "collapsed class": "recall at most 10 %, Wilson's 95 % interval below 25 %, in half of the seeds or more",
    "class gained": "interval of the difference in recall above 0, at 95 % for all classes together",
    "class lost": "interval of the difference in recall below 0, at 95 % for all classes together",
    "over-fitting": "validation loss ends 10 % or more above its lowest, training loss 10 % or more below, 3 epochs or "
    "more later, in half of the seeds or more",
    "under-training": "the last quarter of the epochs is 2 points or more above the quarter before, in accuracy on "
    "validation and on training, in half of the seeds or more",
    "instability": "a quarter or more of the later epochs lose more than 5 points, and more than counting the images "
    "explains (2 standard deviations), in half of the seeds or more",
    "confused pairs": "20 % or more of a class, and 5 images or more, taken for one other; the three largest",
    "calibration": "expected calibration error of 5 points or more, and twice that of chance or more (Guo et al. 2017)",
}
"""The rules in the order of their sentences, with their thresholds."""


class Replica(NamedTuple):
    """A replica that ended: its records, and its predictions on the images that its result is of."""

    result: Mapping[str, Any]
    history: History
    logits: np.ndarray | None = None
    """(image, class), None where they are not at hand."""
    labels: np.ndarray | None = None


def diagnose(
    arms: Mapping[str, Mapping[int, Replica]], classes: Sequence[str], dataset: Mapping[str, Any]
) -> dict[str, Any]:
    """The parts of `summary.json` that explain: `diagnosis`, `class_differences` and `calibration`.

    Each record of `diagnosis` has the fields of `Finding`, and under `rule` what it takes to be said.

    Args:
      arms: the replicas that ended, by arm and seed; the arm named first is the baseline of each pair.
      classes: names in the order of the confusion matrices.
      dataset: that part of `summary.json`, for the leaks and the number of validation images.
    """
    done = {
        name: {seed: replica for seed, replica in replicas.items() if replica.result["status"] == "done"}
        for name, replicas in arms.items()
    }
    confusions = {
        name: {seed: np.asarray(replica.result["confusion_matrix"]) for seed, replica in replicas.items()}
        for name, replicas in done.items()
    }
    calibration = {
        name: pooled_reliability(
            [(r.logits, r.labels) for r in replicas.values() if r.logits is not None and r.labels is not None]
        )
        for name, replicas in done.items()
    }
    differences = [
        {
            "baseline": first,
            "candidate": second,
            "classes": class_differences(confusions[first], confusions[second], classes),
        }
        for first, second in combinations(done, 2)
    ]
    found: list[Finding | None] = [leaks(dataset, {name: list(replicas.values()) for name, replicas in done.items()})]
    for name, replicas in done.items():
        histories = {seed: replica.history for seed, replica in replicas.items()}
        found.append(divergence(name, {seed: replica.result for seed, replica in arms[name].items()}))
        found.append(over_fitting(name, histories))
        found.append(under_training(name, histories))
        found.append(instability(name, histories, dataset["splits"]["val"]))
        found += collapsed_classes(name, confusions[name], classes)
        found.append(confused_pairs(name, confusions[name], classes))
        if (described := calibration[name]) is not None:
            found.append(miscalibration(name, described))
    for pair in differences:
        found += gains_and_losses(pair["baseline"], pair["candidate"], pair["classes"])
    order = list(KINDS)
    findings = sorted((finding for finding in found if finding), key=lambda finding: order.index(finding.kind))
    return {
        "diagnosis": [finding._asdict() | {"rule": f"{finding.kind}: {KINDS[finding.kind]}"} for finding in findings],
        "class_differences": differences,
        "calibration": calibration,
    }


def leaks(dataset: Mapping[str, Any], replicas: Mapping[str, Sequence[Replica]]) -> Finding | None:
    """How many images leak, and how much better each arm is on them than on the others, where both are there."""
    leaked = {side: count for side, count in dataset.get("leaked", {}).items() if count}
    if not leaked:
        return None
    counts = " and ".join(
        f"{count} of {dataset['splits'][side]} {side} images ({percent(count / dataset['splits'][side])})"
        for side, count in leaked.items()
    )
    gains = {}
    for arm, finished in replicas.items():
        pairs = [
            (r.result.get("leaked", {}).get("accuracy"), r.result.get("clean", {}).get("accuracy")) for r in finished
        ]
        by_seed = [leaked - clean for leaked, clean in pairs if leaked is not None and clean is not None]
        if by_seed:
            gains[arm] = float(np.mean(by_seed))
    words = ", ".join(f"{arm} {100 * gain:+.0f}" for arm, gain in gains.items())
    sentence = f"{counts} have a copy on another side, or are there themselves: accuracies are too high."
    if words:
        sentence += f" Points of accuracy on leaked images above the others: {words}."
    return Finding("leaks", None, sentence, {"leaked": leaked, "gain": gains})
