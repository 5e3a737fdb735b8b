"""The recall of each class by two networks and its difference, with intervals by the method of the verdict."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from resjax.evaluation.comparison.statistics.intervals import components_of_images, group_sums
from resjax.evaluation.diagnosis.answers import Answers
from resjax.records import ClassDifference, Interval

Confusions = Mapping[int, Int[np.ndarray, "class class"]]
"""The confusion matrix of each seed; rows are true classes, columns predicted ones."""

MIN_SEEDS = 3
"""The least number of seeds for an interval..."""
WIDEST = 1.0
"""...which is not shown if it is wider than this (100 points): for a recall it would say nothing."""
TOO_FEW_SEEDS, TOO_FEW_PICTURES = "too few seeds", "too few pictures"
NOTHING_VARIES = "all answers alike"
NOT_KNOWN = "the answers to single images are not known"
BOTH = "seeds and groups of copies"


def class_differences(
    baseline: Confusions,
    candidate: Confusions,
    classes: Sequence[str],
    answers: tuple[Answers, Answers] | None = None,
) -> dict[str, ClassDifference]:
    """The recalls of both networks and their difference for each class, over the seeds that both have.

    Every interval is that of the verdict (`components_of_images`: Student's t over seeds and groups of copies
    together), of the images of this class alone. The intervals of each column hold for all classes together with 95 %
    (Bonferroni). Where an interval says nothing, the record has the reason instead.

    Args:
      answers: of both networks on the same images; None if they are not known, then there are no intervals.
    """
    shared = [seed for seed in baseline if seed in candidate]
    if not shared:
        return {}
    first, second = (np.stack([each[seed] for seed in shared]).astype(float) for each in (baseline, candidate))
    of_pair = [each.of_seeds(shared) for each in answers] if answers else None
    level = 0.05 / len(classes)
    described = {}
    for label, name in enumerate(classes):
        images = float(first[0, label].sum())
        recalls = [counts[:, label, label] / images if images else np.zeros(0) for counts in (first, second)]
        means = [float(recall.mean()) if images else None for recall in recalls]
        one = other = between = None
        over = NOT_KNOWN
        if of_pair and images:
            groups = of_pair[0].groups[of_pair[0].labels == label]
            before, after = (each.right(label).astype(float) for each in of_pair)
            (one, _), (other, _) = (_interval(right, groups, level, 0.0) for right in (before, after))
            between, over = _interval(after - before, groups, level, -1.0)
        described[name] = ClassDifference(
            images=int(images),
            baseline=means[0],
            baseline_interval=one,
            candidate=means[1],
            candidate_interval=other,
            difference=float((recalls[1] - recalls[0]).mean()) if images else None,
            interval=between,
            interval_over=over,
            by_seed=(recalls[1] - recalls[0]).tolist(),
        )
    return described


def _interval(
    values: Float[np.ndarray, "seed image"], groups: Int[np.ndarray, " image"], level: float, lowest: float
) -> tuple[Interval | None, str]:
    """The interval of the mean of values between `lowest` and 1, and what it is over or why there is none."""
    if len(values) < MIN_SEEDS:
        return None, TOO_FEW_SEEDS
    sums, sizes = group_sums(values, groups)
    if len(sizes) < 2:
        return None, TOO_FEW_PICTURES
    found = components_of_images(sums, sizes)
    interval = found.interval(level)
    if interval is None:
        return None, NOTHING_VARIES
    low, high = interval
    if high - low > WIDEST:
        seeds_alone = found._replace(over_images=0.0).interval(level)
        images_alone = found._replace(over_seeds=0.0).interval(level)
        width = [each[1] - each[0] if each else 0.0 for each in (seeds_alone, images_alone)]
        return None, TOO_FEW_SEEDS if width[0] >= width[1] else TOO_FEW_PICTURES
    # A share lies between 0 and 1, but Student's t does not know this.
    return (max(lowest, low), min(1.0, high)), BOTH
