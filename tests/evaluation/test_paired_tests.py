"""Exact tests against brute force, scipy, closed forms and examples worked by hand."""

from itertools import product
from math import comb

import numpy as np
import pytest
from scipy import stats

from resjax.evaluation.comparison.statistics.paired_tests import (
    SAMPLED_FLIPS,
    McNemar,
    fewest_seeds,
    holm,
    mcnemar_test,
    sign_flip_test,
)


@pytest.mark.parametrize("count", [2, 3, 6, 9])
def test_sign_flips_agree_with_brute_force_and_scipy(count):
    values = np.random.default_rng(count).normal(0.5, 1, count)
    means = [abs(np.mean(values * signs)) for signs in product([-1, 1], repeat=count)]
    p_value = sign_flip_test(values)
    assert p_value == pytest.approx(np.mean(np.array(means) >= abs(values.mean()) - 1e-12))
    reference = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert p_value == pytest.approx(reference.pvalue)


def test_sums_that_tie_but_for_rounding_tie():
    # 0.1 + 0.2 is not 0.3 in binary: without a tolerance the flip of both halves would be missed.
    assert sign_flip_test([0.1, 0.2, -0.3]) == 1.0
    assert sign_flip_test([0.3, 0.1, 0.2, 0.3, 0.1, 0.2]) == 2 / 64


@pytest.mark.parametrize(("count", "least"), [(2, 0.5), (5, 0.0625), (6, 0.03125)])
def test_the_least_p_of_a_few_seeds(count, least):
    assert sign_flip_test([0.1] * count) == least


def test_many_seeds_are_sampled_with_one_added_and_close_to_the_exact_p():
    values = np.random.default_rng(1).normal(0.4, 1, 17)
    sampled = sign_flip_test(values)
    halves = values[0] + (1 - 2 * (np.arange(2**16)[:, None] >> np.arange(16) & 1)) @ values[1:]
    exact = np.mean(np.abs(halves) >= abs(values.sum()) - 1e-12)
    assert sampled == pytest.approx(exact, abs=4 * (exact * (1 - exact) / SAMPLED_FLIPS) ** 0.5)
    assert sign_flip_test([1.0] * 40) == 1 / (1 + SAMPLED_FLIPS)


def test_no_difference_at_all_has_p_1_and_one_seed_has_none():
    assert sign_flip_test([0.0] * 6) == 1.0
    assert sign_flip_test([0.3]) is None and sign_flip_test([]) is None


@pytest.mark.parametrize(("level", "seeds"), [(0.05, 6), (0.0625, 5), (0.0182, 7), (0.05 / 6, 8)])
def test_how_many_seeds_reach_a_level(level, seeds):
    assert fewest_seeds(level) == seeds
    assert sign_flip_test([0.1] * seeds) <= level < sign_flip_test([0.1] * (seeds - 1))


def test_mcnemar_is_the_binomial_of_the_images_that_part_the_arms():
    rng = np.random.default_rng(0)
    baseline, candidate = rng.random((2, 60)) < 0.6
    found = mcnemar_test(baseline, candidate)
    low, parted = (
        sorted((found.only_baseline_right, found.only_candidate_right))[0],
        (baseline != candidate).sum(),
    )
    closed = min(1.0, 2 * sum(comb(parted, k) for k in range(low + 1)) / 2**parted)
    assert found.only_candidate_right == np.sum(candidate & ~baseline) and found.p_value == pytest.approx(closed)


def test_mcnemar_of_one_sided_and_of_equal_networks():
    yes, no = np.ones(6, bool), np.zeros(6, bool)
    assert mcnemar_test(no, yes) == McNemar(only_baseline_right=0, only_candidate_right=6, p_value=2 / 64)
    assert mcnemar_test(yes, yes) == McNemar(only_baseline_right=0, only_candidate_right=0, p_value=None)


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        # Holm 1979's procedure by hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, 1 x 0.04 (held up by the one before).
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.6, 0.7], [1.0, 1.0]),
        ([None, 0.02, None], [None, 0.02, None]),
        ([], []),
    ],
)
def test_holm_by_hand(p_values, adjusted):
    assert holm(p_values) == pytest.approx(adjusted)
