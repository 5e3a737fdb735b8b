"""How much too high the accuracy of the best epoch is, being the highest of several on the same images."""

import numpy as np
from jaxtyping import Bool, Int

from resjax.evaluation.comparison.intervals import group_sums

LAST_EPOCHS = 3
"""The mean over the last epochs is of so many: less of one epoch's luck than the last, and nothing chosen."""


def optimism_of_best(
    correct: Bool[np.ndarray, "epoch image"], groups: Int[np.ndarray, " image"], *, resamples: int = 500
) -> float | None:
    r"""By how much (a fraction) the best epoch's accuracy exceeds what it would be on other images, estimated.

    Groups of copies are drawn with replacement; the epoch that is best on those drawn, the earliest of equals, is
    scored on those not drawn:

      mean over resamples of (a_b - a_b' - mean_e (a_e - a_e')) / sqrt(2),

    with a_e the accuracy of epoch e on the drawn images, a_e' on the others, and b the best on the drawn ones. Over all
    resamples the mean over epochs is zero; taking it out only steadies the estimate. A resample's accuracies err by
    sqrt(2) times what those of the images themselves do, since it inherits their error and adds as much, and what
    choosing gains grows in proportion; hence the root. It errs on the high side where one epoch is clearly the best.
    (Efron and Tibshirani 1997, JASA 92, p. 548, on scores out of the bag.)

    With one epoch there was no choice, and no optimism; with one group it cannot be said (None).
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
