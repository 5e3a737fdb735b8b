"""Every measure is what scikit-learn computes, and its images add up to it."""

import numpy as np
import pytest
from sklearn import metrics

from resjax.errors import BadInput
from resjax.evaluation.comparison.measures import MEASURES, measure_of, metric_name, require_classes
from tests.made_results import made_done

REFERENCES = {
    "accuracy": lambda labels, logits: metrics.accuracy_score(labels, logits.argmax(1)),
    "balanced_accuracy": lambda labels, logits: metrics.balanced_accuracy_score(labels, logits.argmax(1)),
    "macro_f1": lambda labels, logits: metrics.f1_score(labels, logits.argmax(1), average="macro"),
    "log_loss": lambda labels, logits: metrics.log_loss(
        labels, np.exp(logits) / np.exp(logits).sum(1, keepdims=True), labels=range(logits.shape[1])
    ),
}


def drawn(images=60, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, images, p=[0.6, 0.2, 0.1, 0.1])
    return labels, rng.normal(size=(images, classes)) + 1.5 * np.eye(classes)[labels]


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_of_a_result_and_the_mean_of_what_images_add_are_scikit_learns(name):
    labels, logits = drawn()
    wanted = REFERENCES[name](labels, logits)
    confusion = metrics.confusion_matrix(labels, logits.argmax(1))
    loss = REFERENCES["log_loss"](labels, logits)
    done = made_done(REFERENCES["accuracy"](labels, logits), matrix=confusion.tolist(), loss=loss)
    assert MEASURES[name].of_result(done) == pytest.approx(wanted)
    assert MEASURES[name].contributions(logits, labels).mean() == pytest.approx(wanted)


def test_what_an_image_adds_to_the_balanced_accuracy_is_the_jackknife_of_leaving_it_out():
    labels, logits = drawn(images=40)
    answers, contributions = logits.argmax(1), MEASURES["balanced_accuracy"].contributions(logits, labels)
    whole = metrics.balanced_accuracy_score(labels, answers)
    for image in range(0, 40, 7):
        without = metrics.balanced_accuracy_score(np.delete(labels, image), np.delete(answers, image))
        assert contributions[image] == pytest.approx(40 * whole - 39 * without)


def test_what_an_image_adds_to_the_macro_f1_is_its_change_when_the_image_weighs_a_little_more():
    labels, logits = drawn(images=40)
    answers, tiny = logits.argmax(1), 1e-6
    contributions = MEASURES["macro_f1"].contributions(logits, labels)

    def weighted(weights):
        return metrics.f1_score(labels, answers, average="macro", sample_weight=weights)

    even = np.ones(len(labels))
    for image in range(0, 40, 7):
        heavier = even.copy()
        heavier[image] += tiny
        # The infinitesimal jackknife: N times the derivative by the image's weight, above the measure itself.
        slope = (weighted(heavier) - weighted(even)) / tiny
        assert contributions[image] == pytest.approx(weighted(even) + len(labels) * slope, abs=1e-3)


def test_a_case_by_hand_two_classes_of_three_and_one_images():
    labels, answers = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    logits = np.eye(2)[answers]
    # Recalls are 2/3 and 1. An image of class 0 adds 5/6 + 3 (h - 2/3) / (2 * 2): 13/12 if right, 1/3 if wrong.
    added = MEASURES["balanced_accuracy"].contributions(logits, labels)
    assert added == pytest.approx([13 / 12, 13 / 12, 1 / 3, 5 / 6])
    # Both F1 are known: 2 * 2 / (3 + 2) and 2 * 1 / (1 + 2).
    assert MEASURES["macro_f1"].contributions(logits, labels).mean() == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_a_mean_over_classes_asks_for_images_of_every_class():
    labels = np.array([0, 0, 1])
    require_classes("accuracy", ["a", "b", "c"], labels, "val")
    with pytest.raises(BadInput, match="c; expected"):
        require_classes("macro_f1", ["a", "b", "c"], labels, "val")


def test_keys_of_metrics_lead_back_to_their_measures():
    for name, measure in MEASURES.items():
        assert all(measure_of(metric_name(name, tested=tested)) is measure for tested in (False, True))
