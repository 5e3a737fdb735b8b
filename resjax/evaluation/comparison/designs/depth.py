"""What the shortcut does at each depth. Plain networks degrade with depth in training, which validation may hide."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from resjax.evaluation.comparison.comparing import Results, finished
from resjax.evaluation.comparison.statistics.describing import describe
from resjax.evaluation.comparison.statistics.paired_tests import sign_flip_test
from resjax.records import Depth, DepthMeasure, Slope, Twins

MEASURES = {
    "train_accuracy": lambda last: last.train_accuracy,
    "train_loss": lambda last: last.train_loss,
    "val_accuracy": lambda last: last.val_accuracy,
    "gap": lambda last: last.train_accuracy - last.val_accuracy,
}
"""What is compared at each depth, all after the last epoch: nothing is chosen, and degradation is a claim about
training (He et al. 2015, figure 1). The gap is the generalization gap: training accuracy minus validation accuracy."""
LAYERS = 10
"""Slopes are per this many layers."""


class TwinNames(Protocol):
    """The names of a plain network and of its residual twin, with their depth."""

    @property
    def depth(self) -> int: ...

    @property
    def baseline(self) -> str: ...

    @property
    def candidate(self) -> str: ...


def differences_by_depth(twins: Sequence[TwinNames], networks: Mapping[str, Results]) -> Depth | None:
    """The paired differences of twins of one family at each depth, and how they change with depth.

    Each seed's differences (candidate minus baseline: fractions, and nats for the loss) have a least-squares slope over
    depth, per ten layers. The slope's mean and interval are those of the seeds' slopes (Student's t), and its p value
    is that of their sign flips. Only seeds that all twins have finished are counted.

    None for fewer than two depths.
    """
    pairs = sorted(Twins(depth=each.depth, baseline=each.baseline, candidate=each.candidate) for each in twins)
    if len({pair.depth for pair in pairs}) < 2:
        return None
    names = {name for pair in pairs for name in (pair.baseline, pair.candidate)}
    last = {name: {seed: result.last for seed, result in finished(networks[name]).items()} for name in names}
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in last.values())))
    depths = np.array([pair.depth for pair in pairs], float)
    measures = {}
    for measure, read in MEASURES.items():
        rows = [[read(last[pair.candidate][s]) - read(last[pair.baseline][s]) for s in seeds] for pair in pairs]
        table = np.array(rows).reshape(len(pairs), len(seeds))
        centred = depths - depths.mean()
        slopes = (centred @ table / (centred @ centred) * LAYERS).tolist()
        described = describe(slopes)
        measures[measure] = DepthMeasure(
            by_depth=[describe(row.tolist()) for row in table],
            slope=Slope(
                values=described.values,
                mean=described.mean,
                sd=described.sd,
                ci95=described.ci95,
                p_value=sign_flip_test(slopes),
            ),
        )
    return Depth(twins=pairs, seeds=seeds, measures=measures)
