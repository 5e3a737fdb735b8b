"""Exact tests of paired results: sign flips over seeds, McNemar's test over images, Holm's correction."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

EXACT_SEEDS = 16
"""Up to this many differences all 2^n flips are enumerated; above it `SAMPLED_FLIPS` random ones are drawn."""
SAMPLED_FLIPS = 20_000


@lru_cache(maxsize=32)
def _signs(count: int) -> Float[np.ndarray, "flip seed"]:
    # A flip and its opposite have the same absolute mean, so half of all flips, with the first sign fixed, are enough.
    if count > EXACT_SEEDS:
        return np.random.default_rng(0).choice([-1.0, 1.0], (SAMPLED_FLIPS, count))
    bits = np.arange(2 ** (count - 1))[:, None] >> np.arange(count) & 1
    return 1.0 - 2.0 * bits


def sign_flip_test(differences: Sequence[float]) -> float | None:
    """Two-sided p of a mean paired difference: the null hypothesis is that each sign is equally likely.

    p = fraction of the sign flips whose |mean| is at least the observed one; above 16 differences 20,000 flips are
    drawn from a fixed seed, and p = (1 + those) / (1 + 20,000) (Fisher 1935, The Design of Experiments, section 21; the
    correction of Phipson and Smyth 2010, SAGMB 9, 39). The smallest p of n differences is 2^(1 - n): five seeds
    cannot reach 5 %, six can. None for fewer than two differences.
    """
    values = np.asarray(differences, np.float64)
    if len(values) < 2:
        return None
    # Accuracies are multiples of 1 / images, so sums tie often; the tolerance restores ties that rounding broke.
    observed = abs(values.sum()) - 1e-9 * np.abs(values).sum()
    at_least = int((np.abs(_signs(len(values)) @ values) >= observed).sum())
    if len(values) <= EXACT_SEEDS:
        return at_least / 2 ** (len(values) - 1)
    return (1 + at_least) / (1 + SAMPLED_FLIPS)


def one_sided_sign_flip_test(differences: Sequence[float]) -> float | None:
    """p of a mean difference of at most zero: the fraction of the sign flips whose mean is at least the observed one.

    Above 16 differences flips are drawn, as in `sign_flip_test`. The smallest p of n differences is 2^-n. None for
    fewer than two differences.
    """
    values = np.asarray(differences, np.float64)
    if len(values) < 2:
        return None
    flipped = _signs(len(values)) @ values
    observed = values.sum() - 1e-9 * np.abs(values).sum()
    at_least = int((flipped >= observed).sum())
    if len(values) > EXACT_SEEDS:
        return (1 + at_least) / (1 + SAMPLED_FLIPS)
    # The flips with the other first sign are the same with all signs reversed.
    return (at_least + int((-flipped >= observed).sum())) / 2 ** len(values)


def fewest_seeds(level: float) -> int:
    """The smallest number of seeds with which a sign-flip test can reach `level`: 2^(1 - n) <= `level`.

    >>> fewest_seeds(0.05)
    6
    """
    return 1 + int(np.ceil(np.log2(1 / level) - 1e-9))


class McNemar(NamedTuple):
    """The images that only one of two networks has right, and McNemar's p value."""

    only_baseline_right: int
    only_candidate_right: int
    p_value: float | None


def mcnemar_test(baseline: Bool[np.ndarray, " image"], candidate: Bool[np.ndarray, " image"]) -> McNemar:
    """Counts the images that only one network has right, with the exact two-sided p that both are equally likely.

    p is that of a binomial with 1/2 over the images on which the networks differ (McNemar 1947, Psychometrika 12,
    p. 153; exact: Edwards 1948), None if they never differ. The networks are taken as given, and copies as independent
    images.
    """
    from scipy import stats

    only_baseline = int((baseline & ~candidate).sum())
    only_candidate = int((candidate & ~baseline).sum())
    differing = only_baseline + only_candidate
    p_value = float(stats.binomtest(only_candidate, differing).pvalue) if differing else None
    return McNemar(only_baseline, only_candidate, p_value)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p values of several comparisons, adjusted so that the chance of any false positive keeps its level.

    The i-th smallest of m becomes max over j <= i of min(1, (m - j + 1) p_j) (Holm 1979, Scand. J. Stat. 6, p. 65).
    A None stays None and does not count.

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = largest
    return adjusted


def bonferroni(p_values: Sequence[float | None]) -> list[float | None]:
    """p values of several comparisons, each times their number and at most 1. A None stays None and does not count.

    >>> bonferroni([0.01, None, 0.7])
    [0.02, None, 1.0]
    """
    count = sum(p is not None for p in p_values)
    return [None if p is None else min(1.0, count * p) for p in p_values]
