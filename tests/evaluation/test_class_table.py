"""The class table: one method for all columns, and a reason where there is no interval."""

import numpy as np
import pytest
from scipy import stats

from resjax.evaluation.diagnosis.answers import Answers
from resjax.evaluation.diagnosis.class_rules import gains_and_losses
from resjax.evaluation.diagnosis.class_table import (
    NOT_KNOWN,
    NOTHING_VARIES,
    TOO_FEW_PICTURES,
    TOO_FEW_SEEDS,
    class_differences,
)
from resjax.evaluation.metrics import confusion_matrix

CLASSES = ["x", "y"]


def table(baseline, candidate, groups=None, known=True):
    """The table of a set of which only class x is of interest; whether each seed has each image of x right."""
    baseline, candidate = np.array(baseline, bool), np.array(candidate, bool)
    images = baseline.shape[1]
    labels = np.repeat([0, 1], images)
    groups = np.arange(images) if groups is None else np.array(groups)
    groups = np.concatenate([groups, 1000 + np.arange(images)])
    confusions, answers = [], []
    for right in (baseline, candidate):
        predicted = np.concatenate([1 - right.astype(int), np.ones_like(right, int)], axis=1)
        answers.append(Answers(range(len(right)), predicted, labels, groups))
        confusions.append({seed: confusion_matrix(each, labels, 2) for seed, each in enumerate(predicted)})
    return class_differences(*confusions, CLASSES, tuple(answers) if known else None)["x"]


def test_an_interval_is_that_of_the_verdict_on_the_images_of_the_class_for_all_classes_together():
    # Three seeds and four pictures. The candidate gains: seed 0 two of four, seeds 1 and 2 one of four.
    baseline, candidate = [[0, 0, 0, 0]] * 3, [[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]
    found = table(baseline, candidate)
    assert (found.images, found.baseline, found.by_seed) == (4, 0.0, [0.5, 0.25, 0.25])
    assert found.difference == found.candidate == pytest.approx(1 / 3)
    # By hand: the seeds' means 1/2, 1/4, 1/4 have the variance 1/48, a third of it is A = 1/144. The pictures' means
    # less 1/3 are 1/3, 1/3, -1/3, -1/3: B = 4/9 / (4 * 3) = 16/432. The rest e_sg has the sum of squares 7/6, so that
    # C = 7/6 / (4 * 3) / (3 * 2) = 7/432, and B - C = 1/48.
    t = -stats.t.ppf(0.05 / 2 / 2, [2, 3])
    half = np.array([1 / 144, 1 / 48]) @ t / np.sqrt(1 / 144 + 1 / 48)
    assert 2 * half > 1 and (found.interval, found.interval_over) == (None, TOO_FEW_PICTURES)
    # Twice the seeds and ten times the pictures: narrow enough, for the difference and for the same recall.
    many = table(*(np.tile(np.repeat(each, 10, axis=1), (2, 1)) for each in (baseline, candidate)))
    over_seeds = (2 / 36 + 4 / 144) / 5 / 6
    over_pictures = 4 / 9 * 10 / (40 * 39) - 2 * 7 / 6 * 10 / (40 * 39) / (6 * 5)
    t = -stats.t.ppf(0.05 / 2 / 2, [5, 39])
    half = np.array([over_seeds, over_pictures]) @ t / np.sqrt(over_seeds + over_pictures)
    assert many.interval == many.candidate_interval == pytest.approx((1 / 3 - half, 1 / 3 + half))
    assert many.baseline_interval is None


def test_copies_are_one_picture():
    rng = np.random.default_rng(0)
    baseline, candidate = rng.random((4, 30)) < 0.4, rng.random((4, 30)) < 0.6
    alone = table(baseline, candidate)
    copied = table(*(np.repeat(each, 3, axis=1) for each in (baseline, candidate)), np.repeat(np.arange(30), 3))
    for column in ("interval", "baseline_interval", "candidate_interval", "difference"):
        assert getattr(copied, column) == pytest.approx(getattr(alone, column))


def test_a_difference_of_16_points_that_could_be_anything_says_too_few_seeds():
    # Three seeds of 50 images: +80, -20 and -12 points, 16 on average; Student's t alone reaches from -76 to +100.
    right = np.arange(50)
    baseline = [right < count for count in (5, 40, 36)]
    candidate = [right < count for count in (45, 30, 30)]
    found = table(baseline, candidate)
    assert found.difference == pytest.approx(0.16)
    assert (found.interval, found.interval_over) == (None, TOO_FEW_SEEDS)
    assert gains_and_losses("a", "b", {"x": found}) == []


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_or_two_seeds_have_no_interval_in_any_column(seeds):
    rng = np.random.default_rng(0)
    found = table(rng.random((seeds, 40)) < 0.2, rng.random((seeds, 40)) < 0.9)
    assert found.interval is found.baseline_interval is found.candidate_interval is None
    assert found.interval_over == TOO_FEW_SEEDS and gains_and_losses("a", "b", {"x": found}) == []


def test_a_reason_stands_where_there_is_no_interval():
    rng = np.random.default_rng(0)
    right = rng.random((4, 20)) < 0.5
    assert table(right, right).interval_over == NOTHING_VARIES
    assert table(right, ~right, known=False).interval_over == NOT_KNOWN
    assert table(right, ~right, np.zeros(20, int)).interval_over == TOO_FEW_PICTURES


def test_classes_that_are_gained_and_lost_are_named():
    rng = np.random.default_rng(0)
    low, high = (rng.random((6, 60)) < share for share in (0.1, 0.8))
    (gained,) = gains_and_losses("a", "b", {"x": table(low, high)})
    (lost,) = gains_and_losses("a", "b", {"x": table(high, low)})
    assert (gained.kind, lost.kind) == ("class gained", "class lost")
    assert gained.evidence["interval"][0] > 0 > lost.evidence["interval"][1]
