"""From the results of replicas to the summary of a network, and to comparisons of networks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Int
from msgspec import UNSET, UnsetType

from resjax.evaluation.comparison.planning import LEVEL
from resjax.evaluation.comparison.statistics import describe
from resjax.evaluation.comparison.verdict import Answers, judged, paired_statistics
from resjax.evaluation.metrics import per_class_scores
from resjax.records import Comparison, Done, NetworkCosts, NetworkSummary, Result, Status

Results = Mapping[int, Result | None]
"""The results of a network's replicas by seed; None for a pending replica."""


def finished(results: Results) -> dict[int, Done]:
    """The results of the replicas that were trained to their end: neither pending nor diverged."""
    return {seed: result for seed, result in results.items() if isinstance(result, Done)}


def _test_accuracy(result: Done) -> float | None:
    return result.accuracy if result.evaluated_on == "test" else None


METRICS: dict[str, Callable[[Done], float | None | UnsetType]] = {
    "best_val_accuracy": lambda result: result.best.val_accuracy,
    "final_val_accuracy": lambda result: result.last.val_accuracy,
    "last_three_val_accuracy": lambda result: result.last_three_val_accuracy,
    "best_optimism": lambda result: result.best_optimism,
    "final_train_accuracy": lambda result: result.last.train_accuracy,
    "test_accuracy": _test_accuracy,
    "final_test_accuracy": lambda result: result.final_test_accuracy,
    "leaked_accuracy": lambda result: UNSET if result.leaked is UNSET else result.leaked.accuracy,
    "clean_accuracy": lambda result: UNSET if result.clean is UNSET else result.clean.accuracy,
}
"""Accuracies (fractions) of one replica's result, and the optimism of the best epoch's; None or UNSET if a replica does
not have the metric."""
OPTIONAL = (
    *("last_three_val_accuracy", "best_optimism", "test_accuracy", "final_test_accuracy"),
    *("leaked_accuracy", "clean_accuracy"),
)
"""Metrics that a summary lacks if no replica has them."""


def summarize_network(
    results: Results, classes: Sequence[str], costs: NetworkCosts, *, problem: str | UnsetType = UNSET
) -> NetworkSummary:
    """One network's part of `summary.json` from the results of its replicas.

    Diverged replicas keep their place in `status` and are left out of every mean. The confusion matrix is the sum over
    the finished seeds, so the shares of its rows are mean recalls.

    Args:
      problem: why not all replicas were finished.
    """
    status: dict[int, Status] = {seed: "pending" if each is None else each.status for seed, each in results.items()}
    done = finished(results)
    described = {}
    for metric, read in METRICS.items():
        values = [value for each in done.values() if isinstance(value := read(each), float)]
        if values or metric not in OPTIONAL:
            described[metric] = describe(values)
    confusion = sum((np.asarray(each.confusion_matrix) for each in done.values()), np.zeros([len(classes)] * 2, int))
    return NetworkSummary(
        parameters=costs.parameters,
        forward_flops=costs.forward_flops,
        forward_flops_xla=costs.forward_flops_xla,
        activation_bytes=costs.activation_bytes,
        init_from=costs.init_from,
        trained_as=_each_once(way for result in results.values() if result for way in result.trained_as),
        seeds=list(results),
        status=status,
        **described,
        best_updates={seed: result.best_updates for seed, result in done.items()},
        confusion_matrix=confusion.tolist(),
        per_class=per_class_scores(confusion, classes),
        problem=problem,
    )


def compare_networks(
    networks: Mapping[str, Results],
    correct: Mapping[str, Mapping[int, Bool[np.ndarray, " image"]]] | None = None,
    groups: Int[np.ndarray, " image"] | None = None,
    *,
    level: float = LEVEL,
    next_look: int | None = None,
) -> list[Comparison]:
    """Compares every pair of networks over the seeds that both have finished, candidate minus baseline, with a verdict.

    The network named first is the baseline of each pair. The metric is test accuracy if there is a test set, and the
    best validation accuracy otherwise.

    Args:
      correct: which images of the reported side each finished replica has right, with `groups` of copies among these
        images. Without them for every seed of a pair, its interval is over seeds alone.
      level: of the verdict; intervals cover with 1 - `level`.
      next_look: while seeds are still being added, the number of seeds at which the comparison is judged.
    """
    pairs = [*combinations(networks, 2)]
    return judged(differences_of_networks(networks, pairs, correct, groups, level=level), next_look)


def differences_of_networks(
    networks: Mapping[str, Results],
    pairs: Sequence[tuple[str, str]],
    correct: Mapping[str, Mapping[int, Bool[np.ndarray, " image"]]] | None = None,
    groups: Int[np.ndarray, " image"] | None = None,
    *,
    level: float = LEVEL,
    comparisons_in_all: int | None = None,
) -> list[Comparison]:
    """As `compare_networks`, for some pairs (baseline, candidate) and without verdicts.

    `judged` adds the verdicts to the comparisons of several calls together. There are `comparisons_in_all` of these, by
    default as many as `pairs`.
    """
    done = {name: finished(results) for name, results in networks.items()}
    planned_for = len(pairs) if comparisons_in_all is None else comparisons_in_all
    comparisons = []
    for baseline, candidate in pairs:
        shared = [seed for seed in done[baseline] if seed in done[candidate]]
        results = [(done[baseline][seed], done[candidate][seed]) for seed in shared]
        tested = bool(results) and all(each.evaluated_on == "test" for pair in results for each in pair)
        if tested:
            differences = [second.accuracy - first.accuracy for first, second in results]
        else:
            differences = [second.best.val_accuracy - first.best.val_accuracy for first, second in results]
        answers = None
        if (
            shared
            and correct
            and groups is not None
            and all(seed in correct[name] for name in (baseline, candidate) for seed in shared)
        ):
            first, second = (np.stack([correct[name][seed] for seed in shared]) for name in (baseline, candidate))
            answers = Answers(first, second, groups)
        metric = "test_accuracy" if tested else "best_val_accuracy"
        comparisons.append(
            paired_statistics(baseline, candidate, metric, shared, differences, answers, level, planned_for)
        )
    return comparisons


def _each_once(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))
