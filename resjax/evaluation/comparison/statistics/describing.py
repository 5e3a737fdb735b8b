"""Means and shares with their intervals: values of several seeds, and shares."""

from collections.abc import Sequence

import numpy as np

from resjax.records import Described, Interval


def describe(values: Sequence[float]) -> Described:
    """The values, their mean, standard deviation and 95 % interval of the mean (Student's t over the values).

    The deviation and the interval are None with one value; with no values the mean is None, too.
    """
    count = len(values)
    mean = float(np.mean(values)) if count else None
    sd = float(np.std(values, ddof=1)) if count > 1 else None
    ci95 = None
    if mean is not None and sd is not None:
        # This is what scipy.stats.t.ppf calls; importing all of scipy.stats takes half a second.
        from scipy.special import stdtrit

        half = float(stdtrit(count - 1, 0.975)) * sd / count**0.5
        ci95 = (mean - half, mean + half)
    return Described(values=[float(value) for value in values], mean=mean, sd=sd, ci95=ci95)


def wilson(right: float, images: float, level: float = 0.95) -> Interval | None:
    """Wilson's score interval of a share of independent images, None for no images (Wilson 1927, JASA 22, p. 209).

    Copies are not independent: give numbers of pictures. These need not be integers.

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


def over_seeds(differences: Sequence[float], level: float = 0.95) -> Interval | None:
    """Student's t interval of the mean of paired differences, None for fewer than two differences."""
    from scipy.special import stdtrit

    count = len(differences)
    if count < 2:
        return None
    half = float(stdtrit(count - 1, 0.5 + level / 2)) * float(np.std(differences, ddof=1)) / count**0.5
    mean = float(np.mean(differences))
    return mean - half, mean + half


def clopper_pearson(events: int, trials: int, level: float = 0.95) -> Interval | None:
    """The exact interval of a share, None for no trials (Clopper and Pearson 1934, Biometrika 26, p. 404).

    >>> low, high = clopper_pearson(0, 6)
    >>> f"{low:.3f} {high:.3f}"
    '0.000 0.459'
    """
    from scipy.special import betaincinv

    if trials <= 0:
        return None
    tail = (1 - level) / 2
    low = float(betaincinv(events, trials - events + 1, tail)) if events else 0.0
    high = float(betaincinv(events + 1, trials - events, 1 - tail)) if events < trials else 1.0
    return low, high
