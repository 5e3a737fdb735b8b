"""The statistics of a paired comparison: mean, interval, tests, equivalence, and what it could have detected."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from msgspec.structs import replace

from resjax.evaluation.comparison.statistics.describing import describe
from resjax.evaluation.comparison.statistics.intervals import (
    Components,
    bca_interval,
    components_of_images,
    components_of_seeds,
    group_sums,
    two_level_bootstrap,
)
from resjax.evaluation.comparison.statistics.paired_tests import mcnemar_test, one_sided_sign_flip_test, sign_flip_test
from resjax.evaluation.comparison.statistics.planning import LEVEL, seeds_to_settle, smallest_detectable
from resjax.records import Comparison, OverBoth, OverImages, OverSeeds
from resjax.records.kinds.comparison import Equivalence

TEST = "larger p of the exact sign-flip test over seeds and of the interval"
BOTH = "t over seeds and groups of images"
SEEDS_ALONE = "t over seeds: the answers to single images are not known"
PLANNED_SEEDS = (6, 8, 12, 20)


class Scores(NamedTuple):
    """What each image adds to the measure of two networks, seed by seed; see `measures.Measure.contributions`.

    For the accuracy: whether each seed has the image right.
    """

    baseline: Float[np.ndarray, "seed image"] | Bool[np.ndarray, "seed image"]
    candidate: Float[np.ndarray, "seed image"] | Bool[np.ndarray, "seed image"]
    groups: Int[np.ndarray, " image"]
    """Images with equal numbers are copies of one picture."""


def paired_statistics(
    baseline: str,
    candidate: str,
    metric: str,
    seeds: Sequence[int],
    differences: Sequence[float],
    scores: Scores | None,
    level: float = LEVEL,
    comparisons: int = 1,
    margin: float | None = None,
) -> Comparison:
    """The mean, interval and tests of paired differences, and what they can detect; without a verdict (see `judged`).

    `differences` are candidate minus baseline, in the unit of the metric (fractions, nats), one per seed. Without
    `scores` the interval is over seeds alone. Statistics that do not exist are None: the interval and p value of one
    seed, and the interval of differences without any variance. `ci95` covers with 1 - `level`. This is more than 95 %
    only if a comparison is looked at more than once: then it holds at all looks together (Jennison and Turnbull 1989,
    JRSS B 51, p. 305). What can be detected is planned at the level that Holm's first step leaves to one of
    `comparisons`.

    Args:
      margin: differences closer to zero than this count as equivalent, in the unit of the metric.
    """
    described = describe(differences)
    found, by_group = components(differences, scores)
    by_signs = sign_flip_test(differences)
    by_interval = found.p_value() if found else None
    ci95 = found.interval(level) if found else None
    planned = level / comparisons
    over_images = []
    if scores is not None and scores.baseline.dtype == scores.candidate.dtype == bool:
        over_images = [
            OverImages(seed=seed, **mcnemar_test(first, second)._asdict())
            for seed, first, second in zip(seeds, scores.baseline, scores.candidate, strict=True)
        ]
    record = Comparison(
        baseline=baseline,
        candidate=candidate,
        metric=metric,
        seeds=list(seeds),
        differences=described.values,
        mean=described.mean,
        sd=described.sd,
        ci95=ci95,
        interval=None if ci95 is None else BOTH if by_group else SEEDS_ALONE,
        p_value=at_both_levels(by_signs, by_interval),
        test=None if by_signs is None else TEST,
        level=level,
        over_seeds=OverSeeds(
            p_value=by_signs, test=None if by_signs is None else "sign flips", ci95=bca_interval(differences)
        ),
        over_images=over_images,
        over_both=OverBoth(
            p_value=by_interval, bootstrap_ci95=two_level_bootstrap(*by_group) if found and by_group else None
        ),
        smallest_detectable=smallest_detectable(found, len(differences), planned) if found else None,
        detectable={count: smallest_detectable(found, count, planned) if found else None for count in PLANNED_SEEDS},
        seeds_to_settle=seeds_to_settle(found, planned) if found else None,
        holm_p_value=None,
        verdict=None,
        sentence="",
    )
    if margin is None:
        return record
    return replace(record, equivalence=equivalence(record.differences, found, margin))


def at_both_levels(over_seeds: float | None, over_both: float | None) -> float | None:
    """The p value of a comparison: the larger of that over seeds and that over seeds and images; None for one seed."""
    return None if over_seeds is None else max(over_seeds, over_both or 0.0)


def components(
    differences: Sequence[float], scores: Scores | None
) -> tuple[Components | None, tuple[Float[np.ndarray, "seed group"], Int[np.ndarray, " group"]] | None]:
    """The parts of the variance of paired differences, and the sums over groups that they come from.

    The first is None for one seed, the second without scores or with one group: it says nothing about how groups vary.
    """
    by_group = None
    if scores is not None:
        between = scores.candidate.astype(np.float64) - scores.baseline.astype(np.float64)
        by_group = group_sums(between, scores.groups)
        by_group = by_group if len(by_group[1]) > 1 else None
    if len(differences) < 2:
        return None, by_group
    return components_of_images(*by_group) if by_group else components_of_seeds(differences), by_group


def equivalence(differences: Sequence[float], found: Components | None, margin: float) -> Equivalence:
    """Two one-sided tests of a true difference within the margin, at both levels as the test of a difference.

    (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15, p. 657.)
    """
    over_seeds = _largest(
        one_sided_sign_flip_test([margin + value for value in differences]),
        one_sided_sign_flip_test([margin - value for value in differences]),
    )
    over_both = None
    if found is not None:
        over_both = _largest(found.p_above(-margin), found._replace(mean=-found.mean).p_above(-margin))
    return Equivalence(
        margin=margin,
        over_seeds=over_seeds,
        over_both=over_both,
        p_value=at_both_levels(over_seeds, over_both),
        adjusted_p_value=None,
    )


def _largest(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None
