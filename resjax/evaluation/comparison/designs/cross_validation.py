"""What the folds of a data set say together: every image counts once, in the fold that did not train on it.

There is an interval and no verdict: folds share training images, and no unbiased estimate of the variance over data
sets exists (Bengio and Grandvalet 2004).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from resjax.evaluation.comparison.comparing import Results, finished
from resjax.evaluation.comparison.statistics.describing import describe
from resjax.records import CrossValidation, Done, MetricsLine, PooledDifference, PooledNetwork

METRICS: dict[str, Callable[[Done], MetricsLine]] = {
    "best_val_accuracy": lambda result: result.best,
    "final_val_accuracy": lambda result: result.last,
}
"""The epoch whose validation accuracy is pooled: the best one on the same images, which is a little too high, and the
last one."""


def cross_validate(folds: Sequence[Mapping[str, Results]], val_images: Sequence[int]) -> CrossValidation:
    """The cross-validated accuracy of every network and seed, and the paired differences of the networks.

    An accuracy is the fraction of right images among the validation images of all folds together. Seeds that are not
    done in every fold are left out.

    Args:
      folds: for each fold the results of the replicas by network and seed; None for a pending replica.
      val_images: how many validation images each fold has.
    """
    accuracies = {
        name: {metric: _pooled([fold[name] for fold in folds], val_images, epoch) for metric, epoch in METRICS.items()}
        for name in folds[0]
    }
    return CrossValidation(
        images=sum(val_images),
        architectures={
            name: PooledNetwork(
                seeds=list(by_metric["best_val_accuracy"]),
                best_val_accuracy=describe(list(by_metric["best_val_accuracy"].values())),
                final_val_accuracy=describe(list(by_metric["final_val_accuracy"].values())),
            )
            for name, by_metric in accuracies.items()
        },
        comparisons=[
            _difference(baseline, candidate, metric, accuracies[baseline][metric], accuracies[candidate][metric])
            for baseline, candidate in combinations(accuracies, 2)
            for metric in METRICS
        ],
    )


def _pooled(
    folds: Sequence[Results], val_images: Sequence[int], epoch: Callable[[Done], MetricsLine]
) -> dict[int, float]:
    done = [finished(results) for results in folds]
    shared = [seed for seed in done[0] if all(seed in results for results in done)]
    # A fold's accuracy times its images is its number of right images: the sum is divided once.
    return {
        seed: sum(epoch(results[seed]).val_accuracy * n for results, n in zip(done, val_images, strict=True))
        / sum(val_images)
        for seed in shared
    }


def _difference(
    baseline: str, candidate: str, metric: str, first: Mapping[int, float], second: Mapping[int, float]
) -> PooledDifference:
    seeds = [seed for seed in first if seed in second]
    described = describe([second[seed] - first[seed] for seed in seeds])
    # There is no verdict over all images: the folds' networks share training images, and no unbiased estimate exists of
    # how such accuracies vary (Bengio and Grandvalet 2004, JMLR 5, p. 1089).
    return PooledDifference(
        baseline=baseline,
        candidate=candidate,
        metric=metric,
        seeds=seeds,
        differences=described.values,
        mean=described.mean,
        sd=described.sd,
        ci95=described.ci95,
    )
