"""Temperature scaling: the optimum, what it is measured on, and the pooling of seeds."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from resjax.evaluation.diagnosis.reliability import (
    FEWEST_IMAGES,
    LARGEST_TEMPERATURE,
    cross_entropy,
    fitted_temperature,
    pooled_log_probabilities,
    reliability,
    temperature_scaling,
)


def drawn(images: int, true_temperature: float, seed: int = 0, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from softmax(logits / true_temperature)."""
    rng = np.random.default_rng(seed)
    logits = 4 * rng.standard_normal((images, classes))
    cumulated = softmax(logits / true_temperature, axis=-1).cumsum(-1)
    return logits, (rng.random((images, 1)) > cumulated).sum(-1).clip(0, classes - 1)


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.5])
def test_the_temperature_that_labels_were_drawn_at_is_found(truth):
    assert fitted_temperature(*drawn(40_000, truth)) == pytest.approx(truth, rel=0.03)


def test_at_the_optimum_the_mean_logit_is_the_expected_one():
    # d loss / d (1 / T) = 0: Guo et al. 2017, supplement, equation 5.
    logits, labels = drawn(300, 2.0)
    temperature = fitted_temperature(logits, labels)
    expected = (softmax(logits / temperature, axis=-1) * logits).sum(-1).mean()
    assert logits[np.arange(300), labels].mean() == pytest.approx(expected, abs=1e-4)


def test_labels_that_have_nothing_to_do_with_the_logits_end_at_the_largest_temperature():
    logits, _ = drawn(400, 1.0)
    worst = logits.argmin(-1)
    assert fitted_temperature(logits, worst) == pytest.approx(LARGEST_TEMPERATURE, rel=0.01)


def test_where_all_is_right_or_too_little_is_known_there_is_no_temperature_and_it_says_why():
    logits, labels = drawn(60, 1.0)
    right = temperature_scaling(logits, logits.argmax(-1), np.arange(60))
    assert right.temperature == 1 and "every validation image is right" in right.problem
    few = temperature_scaling(logits[:5], labels[:5], np.arange(5))
    assert few.temperature == 1 and few.problem == f"5 validation images; {FEWEST_IMAGES} are needed"
    logits[3, 1] = np.nan
    assert "not finite" in temperature_scaling(logits, labels, np.arange(60)).problem


def test_calibration_gets_better_where_it_was_bad_and_the_order_of_classes_stays():
    logits, labels = drawn(3000, 3.0)
    found = temperature_scaling(logits, labels, np.arange(3000))
    assert found.measured_on == "cross-fitted" and found.measured_images == 3000
    before, after = (each.expected_calibration_error for each in (found.before, found.after))
    assert before == pytest.approx(reliability(logits, labels).expected_calibration_error)
    assert after < 1.5 * found.after.expected_by_chance < before / 4
    assert found.after.loss < found.before.loss


def test_cross_fitting_is_not_flattered_by_the_images_that_it_was_fitted_on_nor_by_their_copies():
    # Few pictures, four copies of each: at the temperature of all, the loss is below what other images would have.
    losses = []
    for seed in range(40):
        logits, labels = drawn(12, 1.0, seed)
        logits, labels = logits.repeat(4, 0), labels.repeat(4)
        together = temperature_scaling(logits, labels, np.arange(12).repeat(4))
        # Copies dealt to different folds, as if they were pictures of their own.
        apart = temperature_scaling(logits, labels, np.arange(48))
        if together.problem is None:
            fitted = cross_entropy(logits / together.temperature, labels)
            losses.append([fitted, apart.after.loss, together.after.loss])
    fitted, apart, together = np.mean(losses, axis=0)
    assert len(losses) > 20 and fitted + 0.02 < together and apart + 0.01 < together


def test_images_that_were_held_out_are_scored_by_the_temperature_of_the_others():
    logits, labels = drawn(500, 3.0)
    other, truth = drawn(200, 3.0, seed=1)
    found = temperature_scaling(logits, labels, np.arange(500), (other, truth, np.arange(len(truth))))
    assert found.measured_on == "held out" and found.measured_images == 200
    assert found.after.loss == pytest.approx(cross_entropy(other / found.temperature, truth))


def test_seeds_are_pooled_by_their_probabilities():
    logits = np.random.default_rng(0).standard_normal((3, 50, 4)) * 5
    pooled = pooled_log_probabilities(logits)
    np.testing.assert_allclose(np.exp(pooled), softmax(logits, axis=-1).mean(0), rtol=1e-12)
    np.testing.assert_allclose(pooled_log_probabilities(logits[:1]), log_softmax(logits[0], axis=-1), rtol=1e-12)
    labels = np.arange(50) % 4
    assert cross_entropy(pooled, labels) <= np.mean([cross_entropy(each, labels) for each in logits])
    # A seed that is sure of its mistake does not make the sum of two infinite.
    sure = pooled_log_probabilities(np.array([[[500.0, 0.0]], [[0.0, 1.0]]]))
    assert sure[0, 1] == pytest.approx(np.log(softmax([0.0, 1.0])[1] / 2))
