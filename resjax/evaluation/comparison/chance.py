"""Whether a network is better than the best answer that does not look at the image."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from resjax.evaluation.comparison.measures import MEASURES, Contributions
from resjax.evaluation.comparison.statistics.intervals import (
    Components,
    components_of_images,
    components_of_one_seed,
    components_of_seeds,
    group_sums,
)
from resjax.records import Done

LEVEL = 0.05
"""A network is better than chance if the one-sided p is at most this."""


class ChanceTest(NamedTuple):
    """A network's measure against that of the best answer that does not look at the image."""

    mean: float
    """Over the finished seeds."""
    optimism: float
    """By how much the mean is too high, as estimated, because the epoch was chosen on the same images."""
    blind: float
    """The measure of the best answer that does not look at the image."""
    p_value: float | None
    """One-sided p of a measure that is no better; None if nothing varies or nothing is known of one seed's images."""
    seeds: int
    is_above: bool
    """Whether p is at most 5 %. Without p: whether the mean is better."""


def blind_value(measure: str, sizes: Int[np.ndarray, " class"]) -> float:
    """The value of a measure for the best answer that is the same for all images.

    It is the share of the largest class for the accuracy, the entropy of the class shares for the log loss, and one
    over the number of classes for the balanced accuracy. The macro F1 of answers at chance is at most that.

    >>> blind_value("accuracy", np.array([86, 14])), blind_value("balanced_accuracy", np.array([86, 14]))
    (0.86, 0.5)
    """
    shares = sizes / sizes.sum()
    if measure == "accuracy":
        return float(shares.max())
    if measure == "log_loss":
        return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
    return MEASURES[measure].at_chance(len(sizes))


def against_chance(
    results: Mapping[int, Done],
    measure: str,
    contributions: Mapping[int, Contributions] | None = None,
    groups: Int[np.ndarray, " image"] | None = None,
) -> ChanceTest | None:
    """Tests one-sidedly whether a network is better than the best answer that does not look at the image.

    The test is that of the interval over seeds and groups of copies together (see `components_of_images`); the class
    shares are taken as given, as the split fixes them. One seed is tested over groups of copies alone, which says
    nothing about other seeds. From the mean of a validation measure the estimated optimism of the best epoch is
    subtracted: the best of many epochs at chance is above chance. None without results.

    Args:
      results: of the finished replicas, by seed.
      measure: one of `MEASURES`.
      contributions: what each image adds to the measure, by seed; None if that is not known.
      groups: the duplicate group of each image.
    """
    sizes = next((np.asarray(result.confusion_matrix).sum(1) for result in results.values()), None)
    if sizes is None or not sizes.sum():
        return None
    its = MEASURES[measure]
    values = [its.of_result(result) for result in results.values()]
    known = [result.best_optimism or 0.0 for result in results.values() if result.evaluated_on == "val"]
    # The epoch is chosen by accuracy, of which the other shares are relatives; the loss has no part in it.
    optimism = float(np.mean(known)) if known and its.is_share else 0.0
    mean, blind, sign = float(np.mean(values)), blind_value(measure, sizes), 1 if its.higher_is_better else -1
    found = _components(values, results, contributions, groups)
    p_value = None
    if found is not None:
        p_value = found._replace(mean=sign * (found.mean - optimism)).p_above(sign * blind)
    is_above = sign * (mean - optimism - blind) > 1e-12 if p_value is None else p_value <= LEVEL
    return ChanceTest(mean, optimism, blind, p_value, len(values), is_above)


def _components(
    values: list[float],
    results: Mapping[int, Done],
    contributions: Mapping[int, Contributions] | None,
    groups: Int[np.ndarray, " image"] | None,
) -> Components | None:
    """The parts of the variance of the mean, as far as they are known; None for one seed of which no image is known."""
    if contributions is not None and groups is not None and all(seed in contributions for seed in results):
        sums, sizes = group_sums(np.stack([np.asarray(contributions[seed], float) for seed in results]), groups)
        if len(sizes) > 1:
            found = components_of_images(sums, sizes) if len(sums) > 1 else None
            # Where seeds agree by luck, at least the images say how far the mean may be off.
            return found if found and found.variance else components_of_one_seed(sums.mean(0), sizes)
    return components_of_seeds(values) if len(values) > 1 else None
