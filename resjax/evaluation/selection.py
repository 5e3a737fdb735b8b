"""The optimism of the best epoch's accuracy, which is the highest of several on the same images.

It is the out-of-bag gain over resampled groups, divided by the root of two: Efron's optimism would be too small by that
factor where all epochs are equally good.
"""

import numpy as np
from jaxtyping import Bool, Int

from resjax.evaluation.comparison.statistics.intervals import group_sums

LAST_EPOCHS = 3
"""How many last epochs are averaged. Their mean depends less on luck than the last epoch, and nothing is chosen."""


def optimism_of_best(
    correct: Bool[np.ndarray, "epoch image"], groups: Int[np.ndarray, " image"], *, resamples: int = 500
) -> float | None:
    r"""Estimates by how much (a fraction) the best epoch's accuracy exceeds its accuracy on other images.

    Groups of copies are drawn with replacement. The epoch that is best on the drawn groups (the earliest of equals) is
    scored on the groups that were not drawn:

      mean over resamples of (a_b - a_b' - mean_e (a_e - a_e')) / sqrt(2),

    with a_e the accuracy of epoch e on the drawn images, a_e' on the others, and b the best epoch on the drawn images.
    The mean over epochs is zero over all resamples; subtracting it only reduces the noise of the estimate. The
    accuracies of a resample err sqrt(2) times as much as those of the images themselves, because a resample inherits
    their error and adds as much. The gain of choosing grows in proportion, hence the division by sqrt(2). The estimate
    is too high if one epoch is clearly the best. (Efron and Tibshirani 1997, JASA 92, p. 548, on out-of-bag scores.)

    The optimism is 0 with one epoch, because nothing was chosen, and None with one group.
    """
    sums, sizes = group_sums(correct, groups)
    if len(sums) == 1:
        return 0.0
    if len(sizes) == 1:
        return None
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(resamples):
        drawn = np.bincount(rng.integers(len(sizes), size=len(sizes)), minlength=len(sizes))
        others = drawn == 0
        if not others.any():
            continue
        inside, outside = sums @ drawn / (sizes @ drawn), sums @ others / (sizes @ others)
        gain = inside - outside
        gains.append(gain[inside.argmax()] - gain.mean())
    return float(np.mean(gains)) / 2**0.5
