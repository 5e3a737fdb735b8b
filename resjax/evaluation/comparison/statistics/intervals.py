"""Intervals of the mean paired difference: over seeds, and over seeds and images together."""

import math
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float, Int

from resjax.records import Interval

SMALLEST_P = 1e-9
"""The smallest p value that is given: no approximation by Student's t can be trusted further out."""


class Components(NamedTuple):
    """The mean paired difference (a fraction) with the two parts of its variance."""

    mean: float
    over_seeds: float
    """The part of the variance that more seeds reduce: the variance between the seeds, divided by their number."""
    seed_degrees: float
    over_images: float = 0.0
    """The part that only more images reduce: how much the mean difference varies from group to group."""
    image_degrees: float = 1.0

    @property
    def variance(self) -> float:
        return self.over_seeds + self.over_images

    def quantile(self, tail: float) -> float:
        """The quantile with `tail` above it: Student's t of each part, weighted by the parts.

        Cochran's t' (1964, Biometrics 20, p. 191). Satterthwaite's degrees of freedom would make the interval too short
        with three or four seeds: if the seeds happen to lie close together, they take over the many degrees of the
        images.
        """
        from scipy.special import stdtrit

        by_seeds, by_images = (-stdtrit(degrees, tail) for degrees in (self.seed_degrees, self.image_degrees))
        return float((self.over_seeds * by_seeds + self.over_images * by_images) / self.variance)

    def interval(self, level: float = 0.05) -> Interval | None:
        """The interval that covers the true difference with probability 1 - `level`; None if nothing varies."""
        if not self.variance:
            return None
        half = self.quantile(level / 2) * self.variance**0.5
        return self.mean - half, self.mean + half

    def p_value(self) -> float | None:
        """Two-sided p of no difference: the level at which the interval ends at zero; None if nothing varies."""
        if not self.variance:
            return None
        return max(SMALLEST_P, 2 * self.tail(abs(self.mean) / self.variance**0.5))

    def p_above(self, bound: float) -> float | None:
        """One-sided p of a true difference of at most `bound`; None if nothing varies."""
        if not self.variance:
            return None
        ratio = (self.mean - bound) / self.variance**0.5
        tail = self.tail(abs(ratio))
        return tail if ratio >= 0 else 1 - tail

    def tail(self, ratio: float) -> float:
        """The probability above `ratio` (0 or more) standard errors: `quantile` read backwards."""
        from scipy.optimize import brentq

        if ratio >= self.quantile(SMALLEST_P / 2):
            return SMALLEST_P / 2
        log_tail = brentq(
            lambda log_tail: self.quantile(math.exp(log_tail)) - ratio, math.log(SMALLEST_P / 2), math.log(0.5)
        )
        return math.exp(cast(float, log_tail))


def group_sums(
    differences: Float[np.ndarray, "seed image"] | Int[np.ndarray, "seed image"], groups: Int[np.ndarray, " image"]
) -> tuple[Float[np.ndarray, "seed group"], Int[np.ndarray, " group"]]:
    """The sums of the differences over each group of copies, and the number of images of each group."""
    _, number, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(number, kind="stable")
    starts = np.cumsum(sizes) - sizes
    return np.add.reduceat(np.asarray(differences, np.float64)[:, order], starts, axis=1), sizes


def components_of_images(sums: Float[np.ndarray, "seed group"], sizes: Int[np.ndarray, " group"]) -> Components:
    """Splits the variance of the mean difference into parts of seeds and of images; each seed sees each image.

    With d_sg the sum of the differences of seed s over the m_g images of group g, N images in all, and n seeds:

      V = A + max(B - C, 0),   A = sum_s (d_s - d)^2 / (n (n - 1)),   B = sum_g w_g r_g^2,
      C = sum_sg w_g e_sg^2 / (n (n - 1)),   w_g = 1 / (N^2 (1 - m_g / N)),

    where d_s and d are means over images, r_g = mean_s d_sg - m_g d, and e_sg = d_sg - m_g d_s - r_g is the rest. A
    and B both contain the noise of single answers; C subtracts it once. That is the two-way cluster-robust variance
    (Cameron, Gelbach and Miller 2011, J. Bus. Econ. Stat. 29, p. 238), and that of several readers on the same cases
    (Obuchowski and Rockette 1995, Commun. Stat. Simul. 24, p. 285). The weight 1 / (1 - m_g / N) is the leverage
    correction of Bell and McCaffrey (2002, Surv. Methodol. 28, p. 169). The images have as many degrees of freedom as
    groups of equal size would, less one: N^2 / sum_g m_g^2 - 1.

    Needs at least two seeds and two groups.
    """
    seeds, images = len(sums), sizes.sum()
    by_seed = sums.sum(1) / images
    mean = by_seed.mean()
    residual = sums.mean(0) - mean * sizes
    rest = sums - by_seed[:, None] * sizes - residual
    weights = 1 / (images * (images - sizes))
    between_groups = weights @ residual**2
    single_answers = (rest**2 @ weights).sum() / (seeds * (seeds - 1))
    return Components(
        mean=float(mean),
        over_seeds=_unrounded(by_seed.var(ddof=1) / seeds),
        seed_degrees=seeds - 1,
        over_images=_unrounded(between_groups - single_answers),
        image_degrees=equal_groups(sizes) - 1,
    )


def components_of_one_seed(sums: Float[np.ndarray, " group"], sizes: Int[np.ndarray, " group"]) -> Components:
    """The components of the mean of one seed as this seed's own: other images are other, the seed is not.

    B of `components_of_images` alone. Needs at least two groups.
    """
    images = sizes.sum()
    mean = sums.sum() / images
    between_groups = (sums - mean * sizes) ** 2 @ (1 / (images * (images - sizes)))
    return Components(float(mean), 0.0, 1, _unrounded(between_groups), equal_groups(sizes) - 1)


def equal_groups(sizes: Int[np.ndarray, " group"]) -> float:
    """How many groups of equal size would say as much: N^2 / sum_g m_g^2, with m_g the sizes and N their sum.

    >>> equal_groups(np.array([2, 2, 2])), round(equal_groups(np.array([4, 1, 1])), 6)
    (3.0, 2.0)
    """
    return float(sizes.sum() ** 2 / (sizes.astype(float) ** 2).sum())


def components_of_seeds(differences: Sequence[float]) -> Components:
    """The components if single answers are not known: all variance is between the seeds, of which two are needed."""
    count = len(differences)
    return Components(float(np.mean(differences)), _unrounded(float(np.var(differences, ddof=1)) / count), count - 1)


def _unrounded(variance: float) -> float:
    """The variance, or 0 if it is negative or nothing but rounding."""
    return float(variance) if variance > 1e-20 else 0.0


def bca_interval(values: Sequence[float], *, resamples: int = 10_000) -> Interval | None:
    """Bias-corrected and accelerated bootstrap 95 % interval of the mean over seeds (Efron 1987, JASA 82, p. 171).

    It describes these seeds; with few of them it is too short, as the calibration shows. None if it does not exist,
    with fewer than three values or without variance between them.
    """
    if len(values) < 3 or np.ptp(values) == 0:
        return None
    # The import takes half a second, and a run begins without values.
    from scipy import stats

    found = stats.bootstrap(
        (np.asarray(values, float),), np.mean, n_resamples=resamples, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    return (float(found.low), float(found.high)) if np.isfinite([found.low, found.high]).all() else None


def two_level_bootstrap(
    sums: Float[np.ndarray, "seed group"], sizes: Int[np.ndarray, " group"], *, resamples: int = 1_000
) -> Interval:
    """Percentile 95 % interval of a bootstrap that resamples seeds and groups of copies independently of each other.

    The pigeonhole bootstrap (Owen 2007, Ann. Appl. Stat. 1, p. 386).
    """
    rng = np.random.default_rng(0)
    seeds, groups = sums.shape
    seed_weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), resamples)
    means = np.empty(resamples)
    for index, weights in enumerate(seed_weights):
        drawn = np.bincount(rng.integers(groups, size=groups), minlength=groups)
        means[index] = (weights @ sums @ drawn) / (seeds * (sizes @ drawn))
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
