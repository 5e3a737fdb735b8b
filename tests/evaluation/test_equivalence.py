"""Two networks are equivalent within a margin where both one-sided tests say so, over seeds and over images."""

import numpy as np
import pytest
from scipy import stats

from resjax.evaluation.comparison.paired import Scores, paired_statistics
from resjax.evaluation.comparison.statistics.intervals import components_of_seeds
from resjax.evaluation.comparison.statistics.paired_tests import one_sided_sign_flip_test
from resjax.evaluation.comparison.verdict import judged


def record_of(differences, margin, scores=None, metric="best_val_accuracy"):
    seeds = range(len(differences))
    return paired_statistics("plain34", "resnet34", metric, seeds, differences, scores, margin=margin)


def test_the_tests_of_the_interval_are_schuirmanns_where_images_are_not_known():
    differences = [0.004, -0.002, 0.009, 0.001, -0.004, 0.006]
    found = record_of(differences, 0.015).equivalence
    above = stats.ttest_1samp(np.array(differences) + 0.015, 0, alternative="greater").pvalue
    below = stats.ttest_1samp(np.array(differences) - 0.015, 0, alternative="less").pvalue
    assert found.over_both == pytest.approx(max(above, below), rel=1e-6)


def test_a_case_by_hand_six_seeds_within_the_margin():
    # Every difference lies within the margin, so both sign-flip tests reach their smallest p, 1 of 64.
    (record,) = judged([record_of([0.001, -0.001, 0.002, -0.002, 0.001, -0.001], 0.015)])
    assert record.equivalence.over_seeds == 1 / 64 and record.equivalence.p_value == 1 / 64
    assert record.verdict == "equivalent" and "equivalent within 1.5 points" in record.sentence


def test_one_seed_far_outside_is_no_equivalence():
    (record,) = judged([record_of([0.001, -0.001, 0.002, -0.002, 0.001, -0.06], 0.015)])
    assert record.verdict == "inconclusive" and "equivalence within 1.5 points" in record.sentence


def test_a_sure_difference_within_the_margin_is_called_a_difference():
    (record,) = judged([record_of([0.004, 0.005, 0.006, 0.005, 0.004, 0.006], 0.015)])
    assert record.verdict == "candidate better" and record.equivalence.p_value == 1 / 64


def test_the_images_keep_seeds_that_agree_from_equivalence():
    # All seeds agree on twelve images: other twelve could differ by far more than the margin.
    right = np.tile(np.arange(12) % 2 == 0, (8, 1))
    other = np.tile((np.arange(12) + 1) % 2 == 0, (8, 1))
    (record,) = judged([record_of([0.0] * 8, 0.015, Scores(right, other, np.arange(12)))])
    assert record.equivalence.over_seeds == 1 / 256 and record.equivalence.over_both > 0.05
    assert record.verdict == "inconclusive"


def test_with_a_margin_p_is_multiplied_by_the_number_of_comparisons():
    near, far = [0.001, -0.001, 0.002, -0.002, 0.001, -0.001, 0.002], [0.1, 0.12, 0.11, 0.13, 0.1, 0.12, 0.1]
    records = judged([record_of(near, 0.015), record_of(far, 0.015)])
    assert [record.verdict for record in records] == ["equivalent", "candidate better"]
    assert records[0].equivalence.adjusted_p_value == 2 / 128 and records[1].holm_p_value == 2 * 2 / 128


def test_a_smaller_loss_is_better_and_is_told_in_nats():
    (record,) = judged([record_of([-0.2, -0.3, -0.25, -0.22, -0.21, -0.24], None, metric="best_val_log_loss")])
    assert record.verdict == "candidate better" and "-0.237 nats of validation log loss" in record.sentence


def test_one_sided_flips_by_hand():
    # Of the eight flips of 1, 2 and 3 only the observed one has a sum of 6, and four have a positive sum.
    assert one_sided_sign_flip_test([1, 2, 3]) == 1 / 8
    assert one_sided_sign_flip_test([-1, -2, -3]) == 1
    assert one_sided_sign_flip_test([1.0]) is None
    many = np.random.default_rng(0).normal(0.3, 1, 30)
    assert one_sided_sign_flip_test(many) == pytest.approx(
        stats.ttest_1samp(many, 0, alternative="greater").pvalue, abs=0.02
    )


def test_one_sided_p_of_the_interval_is_half_the_two_sided_one():
    found = components_of_seeds([0.02, 0.08, -0.03, 0.05, 0.01, 0.06])
    assert found.p_above(0) == pytest.approx(found.p_value() / 2)
    assert found._replace(mean=-found.mean).p_above(0) == pytest.approx(1 - found.p_value() / 2)
