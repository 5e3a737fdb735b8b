"""From the records of replicas to those of arms and of their differences; records in, records out."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from resjax.evaluation.comparison.planning import LEVEL
from resjax.evaluation.comparison.statistics import describe
from resjax.evaluation.comparison.verdict import Answers, judged, paired_statistics
from resjax.evaluation.metrics import per_class_scores

Record = Mapping[str, Any]
METRICS = {
    "best_val_accuracy": lambda result: result["best"]["val_accuracy"],
    "final_val_accuracy": lambda result: result["last"]["val_accuracy"],
    "last_three_val_accuracy": lambda result: result.get("last_three_val_accuracy"),
    "best_optimism": lambda result: result.get("best_optimism"),
    "final_train_accuracy": lambda result: result["last"]["train_accuracy"],
    "test_accuracy": lambda result: result["accuracy"] if result["evaluated_on"] == "test" else None,
    "final_test_accuracy": lambda result: result.get("final_test_accuracy"),
    "leaked_accuracy": lambda result: result["leaked"]["accuracy"] if "leaked" in result else None,
    "clean_accuracy": lambda result: result["clean"]["accuracy"] if "clean" in result else None,
}
"""Accuracies (fractions) of one replica's result, and by how much the best epoch's is too high for having been chosen;
None where the run has no such set, or is older than the metric."""
OPTIONAL = (
    *("last_three_val_accuracy", "best_optimism", "test_accuracy", "final_test_accuracy"),
    *("leaked_accuracy", "clean_accuracy"),
)
"""Metrics that an arm does not have where none of its replicas has them."""


def summarize_arm(results: Mapping[int, Record | None], classes: Sequence[str]) -> dict[str, object]:
    """One arm's part of `summary.json` from its replicas' results by seed; None stands for a pending replica.

    Diverged replicas keep their place in `status` and are left out of every mean. The confusion matrix is the sum over
    the finished seeds, so that its row shares are mean recalls.
    """
    status = {str(seed): "pending" if result is None else result["status"] for seed, result in results.items()}
    done = _done(results)
    summary: dict[str, object] = {"seeds": list(results), "status": status}
    for metric, read in METRICS.items():
        values = [value for result in done.values() if (value := read(result)) is not None]
        if values or metric not in OPTIONAL:
            summary[metric] = describe(values)
    confusion = sum(
        (np.asarray(result["confusion_matrix"]) for result in done.values()), np.zeros([len(classes)] * 2, int)
    )
    summary["best_updates"] = {str(seed): result["best_updates"] for seed, result in done.items()}
    summary["confusion_matrix"] = confusion.tolist()
    summary["per_class"] = per_class_scores(confusion, classes)
    return summary


def compare_arms(
    arms: Mapping[str, Mapping[int, Record | None]],
    correct: Mapping[str, Mapping[int, Bool[np.ndarray, " image"]]] | None = None,
    groups: Int[np.ndarray, " image"] | None = None,
    *,
    level: float = LEVEL,
    next_look: int | None = None,
) -> list[dict[str, object]]:
    """Paired differences, candidate minus baseline, over the seeds that both arms have finished, with their verdicts.

    The arm named first is the baseline of each pair. The metric is test accuracy where there is a test set, the best
    validation accuracy otherwise.

    Args:
      correct: which images of the side that is reported on each finished replica has right, with `groups` of copies
        among these images; a pair of which these are not known for every seed has an interval over seeds alone.
      level: of the verdict, and of what is left out of the intervals.
      next_look: where seeds are still being added, how many there have to be for a verdict.
    """
    return judged(differences_of_arms(arms, [*combinations(arms, 2)], correct, groups, level=level), next_look)


def differences_of_arms(
    arms: Mapping[str, Mapping[int, Record | None]],
    pairs_of_arms: Sequence[tuple[str, str]],
    correct: Mapping[str, Mapping[int, Bool[np.ndarray, " image"]]] | None = None,
    groups: Int[np.ndarray, " image"] | None = None,
    *,
    level: float = LEVEL,
    comparisons_in_all: int | None = None,
) -> list[dict[str, Any]]:
    """The same for some pairs, (baseline, candidate), and without verdicts: `judged` takes those of several calls
    together, of which there are `comparisons_in_all`, by default these."""
    comparisons = []
    done = {name: _done(results) for name, results in arms.items()}
    planned_for = len(pairs_of_arms) if comparisons_in_all is None else comparisons_in_all
    for baseline, candidate in pairs_of_arms:
        shared = [seed for seed in done[baseline] if seed in done[candidate]]
        pairs = {seed: (done[baseline][seed], done[candidate][seed]) for seed in shared}
        tested = bool(pairs) and all(result["evaluated_on"] == "test" for pair in pairs.values() for result in pair)
        metric = "test_accuracy" if tested else "best_val_accuracy"
        read = METRICS[metric]
        differences = [read(second) - read(first) for first, second in pairs.values()]
        answers = None
        if (
            shared
            and correct
            and groups is not None
            and all(seed in correct[name] for name in (baseline, candidate) for seed in shared)
        ):
            first, second = (np.stack([correct[name][seed] for seed in shared]) for name in (baseline, candidate))
            answers = Answers(first, second, groups)
        names = {"baseline": baseline, "candidate": candidate, "metric": metric}
        comparisons.append(names | paired_statistics(shared, differences, answers, level, planned_for))
    return comparisons


def _done(results: Mapping[int, Record | None]) -> dict[int, Record]:
    return {seed: result for seed, result in results.items() if result is not None and result["status"] == "done"}
