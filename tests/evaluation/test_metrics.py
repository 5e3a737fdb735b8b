"""Metrics against scikit-learn, and the descriptions of several seeds against closed forms."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from resjax.evaluation.comparison.statistics.describing import describe
from resjax.evaluation.metrics import accuracy_by_leak, confusion_matrix, loss_and_accuracy, per_class_scores
from resjax.records import Described, PartScores


@pytest.fixture
def logits_and_labels():
    rng = np.random.default_rng(0)
    return rng.normal(size=(57, 4)).astype(np.float32), rng.integers(0, 4, 57)


def test_loss_and_accuracy_are_scikit_learns(logits_and_labels):
    logits, labels = logits_and_labels
    probabilities = np.exp(logits.astype(np.float64))
    probabilities /= probabilities.sum(1, keepdims=True)
    loss, accuracy = loss_and_accuracy(logits, labels)
    assert loss == pytest.approx(metrics.log_loss(labels, probabilities), rel=1e-6)
    assert accuracy == metrics.accuracy_score(labels, logits.argmax(1))


def test_loss_stays_finite_for_huge_logits():
    loss, accuracy = loss_and_accuracy(np.array([[1e4, -1e4]], np.float32), np.array([1]))
    assert (loss, accuracy) == (2e4, 0.0)


def test_per_class_scores_are_scikit_learns(logits_and_labels):
    logits, labels = logits_and_labels
    predictions = np.where(logits.argmax(1) == 2, 1, logits.argmax(1))  # class 2 is never predicted
    scores = per_class_scores(confusion_matrix(predictions, labels, 4), "abcd")
    reference = metrics.precision_recall_fscore_support(labels, predictions, labels=range(4), zero_division=0)
    for index, name in enumerate("abcd"):
        ours = [getattr(scores[name], key) for key in ("precision", "recall", "f1", "support")]
        assert ours == pytest.approx([column[index] for column in reference])


def test_confusion_matrix_is_scikit_learns(logits_and_labels):
    logits, labels = logits_and_labels
    found = confusion_matrix(logits.argmax(1), labels.astype(np.uint8), 4)
    assert np.array_equal(found, metrics.confusion_matrix(labels, logits.argmax(1)))


def test_a_replica_is_scored_without_importing_scikit_learn():
    """The import takes over a second, as long as a small network trains for."""
    program = (
        "import sys, numpy as np; from resjax.evaluation.metrics import *; ones = np.ones(3, int); "
        "per_class_scores(confusion_matrix(ones, ones, 2), 'ab'), loss_and_accuracy(np.eye(3), ones); "
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_confusion_matrix_has_true_classes_in_rows_and_keeps_absent_ones():
    assert confusion_matrix(np.array([1, 1]), np.array([0, 1]), 3).tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_interval_of_the_mean_is_students():
    values = [0.5, 0.6, 0.55, 0.7]
    described = describe(values)
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert described.ci95 == pytest.approx([interval.low, interval.high])
    assert described.sd == pytest.approx(np.std(values, ddof=1))


def test_one_value_has_no_deviation_and_none_has_no_mean():
    assert describe([0.5]) == Described(values=[0.5], mean=0.5, sd=None, ci95=None)
    assert describe([]) == Described(values=[], mean=None, sd=None, ci95=None)


def test_leaked_and_clean_images_are_counted_apart():
    logits = np.eye(2)[[0, 0, 1, 1, 0]]
    labels = np.array([0, 1, 1, 0, 0])
    parts = accuracy_by_leak(logits, labels, np.array([True, True, True, False, False]))
    assert parts["leaked"] == PartScores(images=3, correct=2, accuracy=2 / 3)
    assert parts["clean"] == PartScores(images=2, correct=1, accuracy=0.5)
    assert accuracy_by_leak(logits, labels, np.zeros(5, bool))["leaked"].accuracy is None
