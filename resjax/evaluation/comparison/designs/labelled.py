"""Networks on labelled images from outside of their comparison: scores with intervals, and verdicts as in a run."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from msgspec.structs import replace

from resjax.evaluation.comparison.comparing import Evidence, Question, Results, differences_of_networks, next_look
from resjax.evaluation.comparison.measures import LABELLED, MEASURES, Contributions
from resjax.evaluation.comparison.statistics.describing import wilson
from resjax.evaluation.comparison.statistics.intervals import components_of_images, group_sums
from resjax.evaluation.comparison.statistics.planning import LEVEL
from resjax.evaluation.comparison.verdict import judged
from resjax.evaluation.metrics import confusion_matrix, loss_and_accuracy
from resjax.records import Comparison, Diverged, Done, Interval, MeasureOfSeeds, TogetherScores

Logits = Float[np.ndarray, "image class"]


def measures_of_seeds(
    logits: Sequence[Logits], labels: Int[np.ndarray, " image"], groups: Int[np.ndarray, " image"]
) -> dict[str, MeasureOfSeeds]:
    """Every measure of the seeds' own answers, with its 95 % interval over seeds and groups of copies.

    Means over classes are left out where a class has no image.
    """
    every_class = len(np.unique(labels)) == logits[0].shape[1]
    found = {}
    for name, measure in MEASURES.items():
        if every_class or name in ("accuracy", "log_loss"):
            added = np.stack([measure.contributions(each, labels).astype(float) for each in logits])
            values = added.mean(1).tolist()
            interval = _interval(added, groups, 1.0 if measure.is_share else np.inf)
            found[name] = MeasureOfSeeds(values=values, mean=float(added.mean()), interval=interval)
    return found


def _interval(
    added: Float[np.ndarray, "seed image"], groups: Int[np.ndarray, " image"], most: float
) -> Interval | None:
    """Of the mean over seeds and images, between 0 and `most`; None for one seed or group, or where nothing varies."""
    sums, sizes = group_sums(added, groups)
    ends = components_of_images(sums, sizes).interval(LEVEL) if min(sums.shape) > 1 else None
    return ends and (max(0.0, ends[0]), min(most, ends[1]))


def scores_together(
    log_probabilities: Logits, labels: Int[np.ndarray, " image"], groups: Int[np.ndarray, " image"]
) -> TogetherScores:
    """The scores of one classifier, taken as it is.

    The interval of the accuracy is Wilson's for N^2 / sum m^2 images, with m the images of a group of N in all: as many
    groups of equal size would vary as much (Kish 1965, Survey Sampling).
    """
    sizes = np.unique(groups, return_counts=True)[1].astype(float)
    effective = float(sizes.sum() ** 2 / (sizes**2).sum())
    loss, accuracy = loss_and_accuracy(log_probabilities, labels)
    interval = wilson(accuracy * effective, effective)
    assert interval is not None
    confusion = confusion_matrix(log_probabilities.argmax(-1), labels, log_probabilities.shape[1])
    return TogetherScores(accuracy=accuracy, interval=interval, log_loss=loss, confusion_matrix=confusion.tolist())


def compare_on_labelled(
    results: Mapping[str, Results],
    logits: Mapping[str, Mapping[int, Logits]],
    labels: Int[np.ndarray, " image"],
    groups: Int[np.ndarray, " image"],
    pairs: Sequence[tuple[str, str]],
    question: Question,
    given_up: Collection[str] = (),
) -> list[Comparison]:
    """Compares pairs of networks as `compare_networks` does, on labelled images instead of those of the comparison.

    Args:
      results: of the comparison, by network and seed. Replicas that diverged or are pending count as they do there;
        those that are done and have no logits are left out.
      logits: of the labelled images, by network and seed.
      labels, groups: the class and the group of copies of each labelled image.
    """
    here: dict[str, Results] = {
        name: {
            seed: _scored(result, logits[name][seed], labels) if isinstance(result, Done) else result
            for seed, result in by_seed.items()
            if result is None or isinstance(result, Diverged) or seed in logits.get(name, {})
        }
        for name, by_seed in results.items()
    }
    contributions: dict[str, dict[int, Contributions]] = {
        name: {seed: MEASURES[question.measure].contributions(each, labels) for seed, each in by_seed.items()}
        for name, by_seed in logits.items()
    }
    found = differences_of_networks(here, pairs, Evidence(contributions, groups), question)
    renamed = [replace(each, metric=f"{LABELLED}{question.measure}") for each in found]
    return judged(renamed, [next_look(here, pair, given_up) for pair in pairs])


def _scored(result: Done, logits: Logits, labels: Int[np.ndarray, " image"]) -> Done:
    """The result of a replica as if the labelled images were its test set."""
    loss, accuracy = loss_and_accuracy(logits, labels)
    confusion = confusion_matrix(logits.argmax(-1), labels, logits.shape[1])
    return replace(result, evaluated_on="test", loss=loss, accuracy=accuracy, confusion_matrix=confusion.tolist())
