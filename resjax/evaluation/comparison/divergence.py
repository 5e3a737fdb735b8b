"""Divergence as an outcome: which network's replicas diverge, and the comparison with them counted at chance."""

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import UNSET, UnsetType

from resjax.evaluation.comparison.measures import MEASURES, Contributions
from resjax.evaluation.comparison.paired import Scores, at_both_levels, components
from resjax.evaluation.comparison.statistics.describing import clopper_pearson
from resjax.evaluation.comparison.statistics.paired_tests import mcnemar_test, sign_flip_test
from resjax.records import Diverged, Done, Result
from resjax.records.kinds.comparison import DivergedShare, Divergence

FEWEST_FOR_INTERVAL = 12
"""With fewer seeds the interval at chance covered 87 to 94 % where 30 % of one network's replicas diverged: their
differences are of two kinds, far from normal. The p value is sound with any number."""


def divergence(
    baseline: Mapping[int, Result | None],
    candidate: Mapping[int, Result | None],
    measure: str,
    classes: int,
    contributions: Sequence[Mapping[int, Contributions]] | None,
    groups: np.ndarray | None,
    level: float,
) -> Divergence | UnsetType:
    """Which replicas of two networks diverged, with a paired test, and the comparison with those counted at chance.

    A diverged replica answers nothing of use, so it gets what even draws from the `classes` would get. Leaving it out
    would compare the lucky seeds alone. UNSET where no replica diverged.

    Args:
      baseline, candidate: the results by seed; None for a pending replica.
      contributions: for both networks, what each image adds to the measure, by seed; None if it is not known.
      groups: the duplicate group of each image.
      level: the interval covers with 1 - `level`.
    """
    ended = [[seed for seed, each in results.items() if each is not None] for results in (baseline, candidate)]
    seeds = [seed for seed in ended[0] if seed in ended[1]]
    failed = [
        np.array([isinstance(results[seed], Diverged) for seed in seeds], bool) for results in (baseline, candidate)
    ]
    if not any(isinstance(each, Diverged) for results in (baseline, candidate) for each in results.values()):
        return UNSET
    chance = MEASURES[measure].at_chance(classes)

    def value(result: Result | None) -> float:
        return MEASURES[measure].of_result(result) if isinstance(result, Done) else chance

    differences = [value(candidate[seed]) - value(baseline[seed]) for seed in seeds]
    by_signs = sign_flip_test(differences)
    found, _ = components(differences, _scores(seeds, failed, contributions, groups, chance))
    by_interval = found.p_value() if found else None
    # A "right" answer of McNemar's test is here a replica that diverged.
    apart = mcnemar_test(*failed)
    return Divergence(
        baseline=_share(baseline),
        candidate=_share(candidate),
        only_baseline=apart.only_baseline_right,
        only_candidate=apart.only_candidate_right,
        p_value=apart.p_value,
        value_at_chance=chance,
        seeds=seeds,
        differences=differences,
        mean=float(np.mean(differences)) if seeds else None,
        ci95=found.interval(level) if found and len(seeds) >= FEWEST_FOR_INTERVAL else None,
        p_value_at_chance=at_both_levels(by_signs, by_interval),
    )


def _share(results: Mapping[int, Result | None]) -> DivergedShare:
    ended = [each for each in results.values() if each is not None]
    diverged = sum(isinstance(each, Diverged) for each in ended)
    return DivergedShare(diverged=diverged, seeds=len(ended), interval=clopper_pearson(diverged, len(ended)))


def _scores(
    seeds: Sequence[int],
    failed: Sequence[np.ndarray],
    contributions: Sequence[Mapping[int, Contributions]] | None,
    groups: np.ndarray | None,
    chance: float,
) -> Scores | None:
    """The contributions of every seed, even ones for a replica that diverged; None if one is not known."""
    if contributions is None or groups is None or not seeds:
        return None
    rows: list[list[np.ndarray]] = []
    for known, of_network in zip(contributions, failed, strict=True):
        if any(seed not in known and not lost for seed, lost in zip(seeds, of_network, strict=True)):
            return None
        even = np.full(len(groups), chance)
        rows.append([even if lost else known[seed] for seed, lost in zip(seeds, of_network, strict=True)])
    first, second = (np.stack([np.asarray(row, float) for row in of_network]) for of_network in rows)
    return Scores(first, second, groups)
