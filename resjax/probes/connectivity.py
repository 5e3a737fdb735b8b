"""Mode connectivity: the loss between two seeds' solutions."""

import jax
import numpy as np

from resjax.functional import Functional
from resjax.models.changes import Changes
from resjax.probes.common import Values, changed_logits, scores, statistics_of
from resjax.probes.matching import match, reordered
from resjax.types import Batch, Variables


def connectivity(
    functional: Functional,
    first: Variables,
    second: Variables,
    batch: Batch,
    training: Batch,
    shares: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0),
) -> Values:
    """The loss at (1 - a) first + a second, with the second's channels as they are, and matched to the first's.

    barrier = max over a of loss(a) - ((1 - a) loss(0) + a loss(1))  (Frankle et al. 2020, section 2), channels matched
    by `matching.match` (Ainsworth et al. 2023). Batch norm's statistics are estimated anew at each point from the
    images of `training`, at the ends too (Jordan et al. 2023: without that, the barrier is mostly collapsed variance).

    Returns:
      `shares`, `matched` and `as_they_are`, (share,): losses; `barrier` and `barrier_as_they_are`, (1,).
    """
    orders = match(functional.architecture, first, second)
    ends = {"matched": reordered(functional.architecture, second, orders), "as_they_are": second}
    found = {"shares": np.array(shares)}
    for name, end in ends.items():
        losses = np.array([_loss(functional, _between(first, end, share), batch, training) for share in shares])
        found[name] = losses
        straight = (1 - found["shares"]) * losses[0] + found["shares"] * losses[-1]
        found["barrier" if name == "matched" else f"barrier_{name}"] = np.array([(losses - straight).max()])
    return found


def _between(first: Variables, second: Variables, share: float) -> Variables:
    return jax.tree.map(lambda one, other: (1 - share) * one + share * other, first, second)


def _loss(functional: Functional, variables: Variables, batch: Batch, training: Batch) -> float:
    statistics = statistics_of(functional, variables, training.images, Changes())
    again = Variables(variables.parameters, statistics)
    return scores(changed_logits(functional, again, batch.images, Changes()), batch)[0]
