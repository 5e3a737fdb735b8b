"""What the folds of a data set say together: every image counts once, in the fold that did not train on it."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from resjax.evaluation.comparison.statistics import describe

Record = Mapping[str, Any]
METRICS = {"best_val_accuracy": "best", "final_val_accuracy": "last"}
"""Accuracy on val after the epoch that was best on the same val, so a little too high, and after the last epoch."""


def cross_validate(
    folds: Sequence[Mapping[str, Mapping[int, Record | None]]], val_images: Sequence[int]
) -> dict[str, object]:
    """The cross-validated accuracy of every arm and seed, and the paired differences of the arms.

    An accuracy is the share of right images among the val images of all folds together. Seeds that are not done in
    every fold are left out.

    Args:
      folds: for each fold the results of the replicas by arm and seed; None stands for a pending one.
      val_images: how many images each fold has in val.
    """
    arms = {
        name: {metric: _pooled([fold[name] for fold in folds], val_images, line) for metric, line in METRICS.items()}
        for name in folds[0]
    }
    return {
        "images": sum(val_images),
        "architectures": {
            name: {
                "seeds": list(values["best_val_accuracy"]),
                **{metric: describe(list(by_seed.values())) for metric, by_seed in values.items()},
            }
            for name, values in arms.items()
        },
        "comparisons": [
            _difference(baseline, candidate, metric, arms[baseline][metric], arms[candidate][metric])
            for baseline, candidate in combinations(arms, 2)
            for metric in METRICS
        ],
    }


def _pooled(folds: Sequence[Mapping[int, Record | None]], val_images: Sequence[int], line: str) -> dict[int, float]:
    done = [{seed: r for seed, r in results.items() if r is not None and r["status"] == "done"} for results in folds]
    shared = [seed for seed in done[0] if all(seed in results for results in done)]
    # A fold's accuracy times its images are its right ones: the sum is divided once.
    return {
        seed: sum(results[seed][line]["val_accuracy"] * n for results, n in zip(done, val_images, strict=True))
        / sum(val_images)
        for seed in shared
    }


def _difference(
    baseline: str, candidate: str, metric: str, first: Mapping[int, float], second: Mapping[int, float]
) -> dict[str, object]:
    seeds = [seed for seed in first if seed in second]
    described = describe([second[seed] - first[seed] for seed in seeds])
    names = {"baseline": baseline, "candidate": candidate, "metric": metric, "seeds": seeds}
    # No verdict over all images: the folds' networks share training images, and no estimate without bias exists of how
    # such accuracies vary (Bengio and Grandvalet 2004, JMLR 5, p. 1089).
    untested = dict.fromkeys(("p_value", "test", "verdict"))
    described_keys = {key: described[key] for key in ("mean", "sd", "ci95")}
    return names | {"differences": described["values"]} | described_keys | untested
