"""What a comparison can detect, how many seeds would settle it, and when to look while seeds are added."""

import numpy as np
from jaxtyping import Int

from resjax.evaluation.comparison.statistics.intervals import Components
from resjax.evaluation.comparison.statistics.paired_tests import fewest_seeds

LEVEL = 0.05
POWER = 0.8
MOST_SEEDS = 200
"""The largest number of seeds that is planned with."""
DISAGREEMENT = 0.6
"""Two networks of accuracy p disagree about 2 p (1 - p) of the images if they answer independently, and about this part
of it if some images are hard for both, as they are in our runs and simulations."""
LASTING = 0.2
"""The part of the variance of single answers' differences that is the same for all seeds: one network is better at
some images, the other at others. 0 to 0.2 in our runs and simulations."""
LOOKS = (8, 12, 16, 20)
"""Seeds after which a comparison with --seeds=auto is judged. Six are too few: their smallest p of 0.031 is above every
level that leaves something for the later looks."""
POCOCK_LEVELS = (0.05, 0.0294, 0.0221, 0.0182, 0.0158)
"""The level of each of 1, 2, ... looks with which all of them together have 5 % false verdicts (Pocock 1977, Biometrika
64, p. 193). Pocock's looks are equally spaced; ours overlap more, so they err less."""


def smallest_detectable(found: Components, seeds: int, level: float = LEVEL) -> float | None:
    """The true difference that gives a verdict with 80 % probability, with `seeds` seeds on these images.

    (t_(1 - level/2) + t_0.8) sqrt(V), with the variance between seeds divided by `seeds` instead of the number of seeds
    that were run. If the sign-flip test needs all seeds to agree, as with six, it is at least the difference at which
    they agree in 80 %. None if so few seeds cannot give a verdict, or if nothing varies.
    """
    from scipy.special import ndtri

    if seeds < fewest_seeds(level) or not found.variance:
        return None
    planned, between = _with_seeds(found, seeds)
    by_interval = (planned.quantile(level / 2) + planned.quantile(1 - POWER)) * planned.variance**0.5
    all_the_same_way = 4 * 2.0**-seeds > level
    by_signs = float(ndtri(POWER ** (1 / seeds))) * between**0.5 if all_the_same_way else 0.0
    return max(by_interval, by_signs)


def power_of(found: Components, seeds: int, difference: float, level: float = LEVEL) -> float:
    """The probability that a true difference gives a verdict with `seeds` seeds: `smallest_detectable` read backwards.

    >>> found = Components(0.0, 0.04**2 / 8, 7)
    >>> f"{power_of(found, 12, smallest_detectable(found, 12)):.3f}"
    '0.800'
    """
    from scipy.special import ndtr

    if seeds < fewest_seeds(level) or not found.variance:
        return 0.0
    planned, between = _with_seeds(found, seeds)
    above = abs(difference) / planned.variance**0.5 - planned.quantile(level / 2)
    tail = planned.tail(abs(above))
    by_interval = 1 - tail if above >= 0 else tail
    all_the_same_way = 4 * 2.0**-seeds > level
    by_signs = float(ndtr(abs(difference) / between**0.5)) ** seeds if all_the_same_way and between else 1.0
    return min(by_interval, by_signs)


def smallest_margin(found: Components, seeds: int, level: float = LEVEL) -> float | None:
    """The margin within which equally good networks are called equivalent with 80 % probability.

    (t_(1 - level) + t_0.9) sqrt(V): each of the two one-sided tests may fail in 10 %. If the sign-flip tests need all
    seeds within the margin, as with five, it is at least the margin that holds all of them in 80 %. None if so few
    seeds cannot give a verdict, or if nothing varies.
    """
    from scipy.special import ndtri

    if 2.0**-seeds > level or not found.variance:
        return None
    planned, between = _with_seeds(found, seeds)
    by_interval = (planned.quantile(level) + planned.quantile((1 - POWER) / 2)) * planned.variance**0.5
    all_within = 2 * 2.0**-seeds > level
    by_signs = float(ndtri((1 + POWER ** (1 / seeds)) / 2)) * between**0.5 if all_within else 0.0
    return max(by_interval, by_signs)


def _with_seeds(found: Components, seeds: int) -> tuple[Components, float]:
    """The components with another number of seeds, and the variance of the difference between single seeds."""
    between = found.over_seeds * (found.seed_degrees + 1)
    return found._replace(over_seeds=between / seeds, seed_degrees=seeds - 1), between


def assumed_components(
    sizes: Int[np.ndarray, " group"], spread: float, accuracy: float, disagreement: float | None = None
) -> Components:
    """The components that a comparison would have, from assumptions, before anything is trained.

    With N images in groups of m_g copies, a pair of answers differs with probability q, by default 0.6 * 2 p (1 - p).
    A fifth of that variance is the same for all seeds (`LASTING`). Copies get the answers of their picture, so the
    variance of a mean over the images is that of one answer times sum_g m_g^2 / N^2.

    Args:
      sizes: how many images each duplicate group has.
      spread: the standard deviation between seeds of the difference as it would be on ever more images, a fraction.
      accuracy: p, of both networks.
      disagreement: q, the share of images that only one of the two networks of a pair has right.
    """
    if disagreement is None:
        disagreement = DISAGREEMENT * 2 * accuracy * (1 - accuracy)
    share = float((sizes.astype(float) ** 2).sum() / sizes.sum() ** 2)
    between = spread**2 + (1 - LASTING) * disagreement * share
    # Of two seeds, as each formula takes another number in its place.
    return Components(0.0, between / 2, 1, LASTING * disagreement * share, 1 / share - 1)


def seeds_to_settle(found: Components, level: float = LEVEL) -> int | None:
    """The number of seeds that detect a difference as large as the one found, None if `MOST_SEEDS` do not."""
    for seeds in range(fewest_seeds(level), MOST_SEEDS + 1):
        detectable = smallest_detectable(found, seeds, level)
        if detectable is not None and detectable <= abs(found.mean):
            return seeds
    return None


def looks_until(most_seeds: int) -> tuple[int, ...]:
    """The numbers of seeds after which a comparison of at most `most_seeds` is judged.

    >>> looks_until(14)
    (8, 12, 14)
    """
    return (*(look for look in LOOKS if look < most_seeds), most_seeds)


def level_of_looks(looks: int) -> float:
    """The level of each of `looks` looks that keeps the chance of a false verdict at any of them below 5 %."""
    return POCOCK_LEVELS[looks - 1]
