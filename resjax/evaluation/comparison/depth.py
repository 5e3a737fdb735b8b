"""What the shortcut does at each depth: plain networks degrade with depth in training, which validation may hide."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from resjax.evaluation.comparison.paired_tests import sign_flip_test
from resjax.evaluation.comparison.statistics import describe

Record = Mapping[str, Any]
MEASURES = {
    "train_accuracy": lambda last: last["train_accuracy"],
    "train_loss": lambda last: last["train_loss"],
    "val_accuracy": lambda last: last["val_accuracy"],
    "gap": lambda last: last["train_accuracy"] - last["val_accuracy"],
}
"""What is compared at each depth, all after the last epoch: nothing is chosen, and degradation is a claim about
training (He et al. 2015, figure 1). The gap is that of generalization: accuracy on train less that on val."""
LAYERS = 10
"""Slopes are per so many layers."""


def differences_by_depth(
    twins: Sequence[tuple[int, str, str]], arms: Mapping[str, Mapping[int, Record | None]]
) -> dict[str, object] | None:
    """The paired differences of twins of one family at each depth, and how they change with it.

    Each pair of twins is a depth with the names of the baseline and of the candidate.
    Each seed's differences (candidate minus baseline: fractions, and nats for the loss) have a least-squares slope over
    depth, per ten layers; the slope's mean and interval are those of the seeds' slopes (Student's t), and its p is that
    of their sign flips. Only seeds that all twins have finished are counted.

    None of fewer than two depths.
    """
    twins = sorted(twins)
    if len({depth for depth, _, _ in twins}) < 2:
        return None
    names = {name for _, *pair in twins for name in pair}
    done = {
        name: {seed: result["last"] for seed, result in arms[name].items() if result and result["status"] == "done"}
        for name in names
    }
    seeds = sorted(set.intersection(*(set(last) for last in done.values())))
    depths = np.array([depth for depth, _, _ in twins], float)
    measures = {}
    for measure, read in MEASURES.items():
        rows = [[read(done[residual][s]) - read(done[plain][s]) for s in seeds] for _, plain, residual in twins]
        table = np.array(rows).reshape(len(twins), len(seeds))
        centred = depths - depths.mean()
        slopes = (centred @ table / (centred @ centred) * LAYERS).tolist()
        measures[measure] = {
            "by_depth": [describe(row.tolist()) for row in table],
            "slope": describe(slopes) | {"p_value": sign_flip_test(slopes)},
        }
    named = [dict(zip(("depth", "baseline", "candidate"), pair, strict=True)) for pair in twins]
    return {"twins": named, "seeds": seeds, "measures": measures}
