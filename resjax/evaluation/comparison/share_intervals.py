"""Intervals of shares and of their differences that the diagnosis and the per-class table need."""

from collections.abc import Sequence
from math import isfinite

import numpy as np


def wilson(right: float, images: float, level: float = 0.95) -> tuple[float, float] | None:
    """Wilson's score interval of a share, None of no images (Wilson 1927).

    `right` need not be whole: over seeds it is the mean number of right ones, so that an image counts once.

    >>> low, high = wilson(2, 39)
    >>> f"{low:.3f} {high:.3f}"
    '0.014 0.169'
    """
    from scipy import stats

    if images <= 0:
        return None
    z = float(stats.norm.ppf(0.5 + level / 2))
    share = right / images
    middle = (share + z * z / (2 * images)) / (1 + z * z / images)
    half = z / (1 + z * z / images) * (share * (1 - share) / images + z * z / (4 * images * images)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def newcombe(
    first: tuple[float, float], second: tuple[float, float], level: float = 0.95
) -> tuple[float, float] | None:
    """Newcombe's hybrid score interval of the second share less the first, each `(right, images)`.

    Method 10 of Newcombe 1998, for independent samples. Two arms that look at the same images mostly agree more than
    that, and the interval is then too wide rather than too narrow. None where a share has no images.
    """
    one, other = wilson(*first, level), wilson(*second, level)
    if one is None or other is None:
        return None
    (low1, high1), (low2, high2) = one, other
    share1, share2 = first[0] / first[1], second[0] / second[1]
    difference = share2 - share1
    below = ((share2 - low2) ** 2 + (high1 - share1) ** 2) ** 0.5
    above = ((high2 - share2) ** 2 + (share1 - low1) ** 2) ** 0.5
    return difference - below, difference + above


def over_seeds(differences: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Student's t interval of the mean of paired differences, None of fewer than two."""
    from scipy import stats

    count = len(differences)
    if count < 2:
        return None
    half = float(stats.t.ppf(0.5 + level / 2, count - 1)) * float(np.std(differences, ddof=1)) / count**0.5
    mean = float(np.mean(differences))
    return (mean - half, mean + half) if isfinite(half) else None
