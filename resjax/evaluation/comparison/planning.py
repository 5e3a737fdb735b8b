"""What a comparison can detect, how many seeds would settle it, and when to look while seeds are added."""

from resjax.evaluation.comparison.intervals import Components
from resjax.evaluation.comparison.paired_tests import fewest_seeds

LEVEL = 0.05
POWER = 0.8
MOST_SEEDS = 200
"""The largest number of seeds that is planned with."""
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
    between = found.over_seeds * (found.seed_degrees + 1)
    planned = found._replace(over_seeds=between / seeds, seed_degrees=seeds - 1)
    if not planned.variance:
        return None
    by_interval = (planned.quantile(level / 2) + planned.quantile(1 - POWER)) * planned.variance**0.5
    all_the_same_way = level * 2**seeds < 4
    by_signs = float(ndtri(POWER ** (1 / seeds))) * between**0.5 if all_the_same_way else 0.0
    return max(by_interval, by_signs)


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
