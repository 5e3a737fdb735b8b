"""Networks on labelled images from outside of their comparison, against cases worked by hand."""

import numpy as np
import pytest

from resjax.evaluation.comparison.comparing import Question
from resjax.evaluation.comparison.designs.labelled import compare_on_labelled, measures_of_seeds, scores_together
from resjax.records import Result
from tests.made_results import made_diverged, made_done

PAIR = [("plain8", "resnet8")]


def logits_of(answers: np.ndarray, classes: int = 2, sure: float = 2.0) -> np.ndarray:
    """Logits whose largest is that of these answers, by `sure`."""
    return sure * np.eye(classes)[answers]


def answers_of(right: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.where(right, labels, 1 - labels)


def test_the_interval_of_seeds_that_agree_is_that_of_the_images():
    """By hand: 8 of 16 images are right in all seeds, so seeds add no variance.

    Residuals are +-1/2; V = 16 / 4 / (16 * 15) = 1 / 60 and t of 15 degrees is 2.13145: 0.5 +- 0.27517. In groups of
    two copies they are +-1; V = 8 / (16 * 14) and t of 7 degrees is 2.36462: 0.5 +- 0.44687.
    """
    labels = np.arange(16) % 2
    logits = [logits_of(answers_of(np.arange(16) < 8, labels))] * 3
    alone = measures_of_seeds(logits, labels, np.arange(16))["accuracy"]
    assert alone.values == [0.5] * 3 and alone.mean == 0.5 and alone.interval
    np.testing.assert_allclose(alone.interval, (0.5 - 0.27517, 0.5 + 0.27517), atol=1e-5)
    copies = measures_of_seeds(logits, labels, np.arange(16) // 2)["accuracy"]
    assert copies.interval
    np.testing.assert_allclose(copies.interval, (0.5 - 0.44687, 0.5 + 0.44687), atol=1e-5)


def test_the_interval_holds_the_seeds_too_and_stays_a_share():
    """By hand: seeds with 3 and 2 of 4 right. A = 0.015625, B = 0.057292, C = 0.015625, so V = 0.057292.

    Cochran's t' is (0.015625 * 12.7062 + 0.041667 * 3.18245) / 0.057292 = 5.7798: 0.625 +- 1.383, cut at 0 and 1.
    """
    labels = np.array([0, 0, 1, 1])
    logits = [logits_of(answers_of(np.array(right, bool), labels)) for right in ([1, 1, 1, 0], [1, 1, 0, 0])]
    found = measures_of_seeds(logits, labels, np.arange(4))
    assert found["accuracy"].interval == (0.0, 1.0) and found["accuracy"].mean == 0.625
    np.testing.assert_allclose(found["balanced_accuracy"].values, [0.75, 0.5])
    np.testing.assert_allclose(found["macro_f1"].values, [(4 / 5 + 2 / 3) / 2, (4 / 6 + 0) / 2])
    wrong, right = np.log(1 + np.exp(2)), np.log(1 + np.exp(-2))
    np.testing.assert_allclose(found["log_loss"].values, [(3 * right + wrong) / 4, (right + wrong) / 2])


def test_one_seed_has_no_interval_and_a_class_without_images_no_means_over_classes():
    found = measures_of_seeds([logits_of(np.array([0, 0, 1]), 3)], np.array([0, 0, 0]), np.arange(3))
    assert found.keys() == {"accuracy", "log_loss"} and found["accuracy"].interval is None


def test_a_classifier_as_it_is_has_wilsons_interval_for_the_effective_number_of_pictures():
    """By hand: groups of 2, 1 and 1 images count as 16 / 6 images."""
    labels = np.array([0, 0, 1, 1])
    found = scores_together(logits_of(np.array([0, 0, 1, 0])), labels, np.array([5, 5, 6, 7]))
    n, z, share = 16 / 6, 1.959964, 0.75
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (share * 0.25 / n + z**2 / (4 * n * n)) ** 0.5
    np.testing.assert_allclose(found.interval, (middle - half, middle + half), atol=1e-6)
    assert found.accuracy == 0.75 and found.confusion_matrix == [[2, 0], [1, 1]]


@pytest.mark.parametrize(("seeds", "verdict"), [(6, "candidate better"), (5, "inconclusive"), (1, "inconclusive")])
def test_the_verdict_needs_six_seeds_that_agree(seeds, verdict):
    """By hand: 20 and 30 of 40 images right in every seed; p is 2^(1 - seeds), that of the interval is below 0.001."""
    labels = np.arange(40) % 2
    answers = {name: answers_of(np.arange(40) < right, labels) for name, right in (("plain8", 20), ("resnet8", 30))}
    logits = {name: dict.fromkeys(range(seeds), logits_of(each)) for name, each in answers.items()}
    results = {name: {seed: made_done(0.1) for seed in range(seeds)} for name in answers}
    (found,) = compare_on_labelled(results, logits, labels, np.arange(40), PAIR, Question())
    assert found.verdict == verdict and found.differences == [0.25] * seeds
    assert found.p_value == (2.0 ** (1 - seeds) if seeds > 1 else None)
    assert found.metric == "labelled_accuracy" and "labelled images" in found.sentence
    if seeds == 6:
        # V = 7.5 / (40 * 39) and t of 39 degrees is 2.02269.
        half = 2.02269 * (7.5 / 1560) ** 0.5
        assert found.ci95
        np.testing.assert_allclose(found.ci95, (0.25 - half, 0.25 + half), atol=1e-5)
    (by_loss,) = compare_on_labelled(results, logits, labels, np.arange(40), PAIR, Question("log_loss"))
    assert by_loss.verdict == verdict and by_loss.mean is not None and by_loss.mean < 0


def test_replicas_that_diverged_or_are_pending_count_as_in_the_comparison():
    labels = np.arange(20) % 2
    logits = {name: {seed: logits_of(labels) for seed in (0, 1)} for name in PAIR[0]}
    results: dict[str, dict[int, Result | None]] = {name: {seed: made_done(0.5) for seed in (0, 1)} for name in PAIR[0]}
    results["plain8"] |= {2: made_diverged()}
    results["resnet8"] |= {2: made_done(0.5)}
    logits["resnet8"] |= {2: logits_of(labels)}
    (found,) = compare_on_labelled(results, logits, labels, np.arange(20), PAIR, Question())
    # By hand: all answers are right, so the replica at chance costs half an accuracy.
    assert found.seeds == [0, 1] and found.divergence and found.divergence.differences == [0.0, 0.0, 0.5]
    (waiting,) = compare_on_labelled(
        results | {"plain8": results["plain8"] | {2: None}}, logits, labels, np.arange(20), PAIR, Question()
    )
    assert waiting.verdict == "inconclusive" and "3 seeds" in waiting.sentence
