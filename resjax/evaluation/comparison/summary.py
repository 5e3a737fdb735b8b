"""From the results of replicas to the summary of a network."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from msgspec import UNSET, UnsetType

from resjax.evaluation.comparison.comparing import Results, finished
from resjax.evaluation.comparison.measures import MEASURES
from resjax.evaluation.comparison.statistics.describing import describe
from resjax.evaluation.metrics import per_class_scores
from resjax.records import Done, NetworkCosts, NetworkSummary, Relation, Status


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
    results: Results,
    classes: Sequence[str],
    costs: NetworkCosts,
    *,
    relation: Relation | UnsetType = UNSET,
    problem: str | UnsetType = UNSET,
) -> NetworkSummary:
    """One network's part of `summary.json` from the results of its replicas.

    Diverged replicas keep their place in `status` and are left out of every mean. The confusion matrix is the sum over
    the finished seeds, so the shares of its rows are mean recalls.

    Args:
      relation: what the network is beside others.
      problem: why not all replicas were finished.
    """
    status: dict[int, Status] = {seed: "pending" if each is None else each.status for seed, each in results.items()}
    done = finished(results)
    described = {}
    for metric, read in METRICS.items():
        values = [value for each in done.values() if isinstance(value := read(each), float)]
        if values or metric not in OPTIONAL:
            described[metric] = describe(values)
    measures = {
        name: describe([measure.of_result(each) for each in done.values()]) for name, measure in MEASURES.items()
    }
    confusion = sum((np.asarray(each.confusion_matrix) for each in done.values()), np.zeros([len(classes)] * 2, int))
    return NetworkSummary(
        parameters=costs.parameters,
        forward_flops=costs.forward_flops,
        forward_flops_xla=costs.forward_flops_xla,
        activation_bytes=costs.activation_bytes,
        init_from=costs.init_from,
        own=costs.own,
        trained_as=_each_once(way for result in results.values() if result for way in result.trained_as),
        seeds=list(results),
        status=status,
        **described,
        best_updates={seed: result.best_updates for seed, result in done.items()},
        confusion_matrix=confusion.tolist(),
        per_class=per_class_scores(confusion, classes),
        measures=measures if done else UNSET,
        relation=relation,
        problem=problem,
    )


def _each_once(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))
