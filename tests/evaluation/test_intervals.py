"""Intervals against closed forms and scipy, and where they do not exist."""

import numpy as np
import pytest
from scipy import stats

from resjax.evaluation.comparison.statistics.intervals import (
    Components,
    bca_interval,
    components_of_images,
    components_of_seeds,
    group_sums,
    two_level_bootstrap,
)


def test_sums_over_groups_are_those_of_their_images():
    sums, sizes = group_sums(np.array([[1, 0, -1, 1], [0, 1, 1, 1]]), np.array([7, 3, 7, 9]))
    assert sizes.tolist() == [1, 2, 1] and sums.tolist() == [[0, 0, 1], [1, 1, 1]]


def test_without_images_it_is_students_t_over_seeds():
    values = [0.19, 0.08, 0.33, 0.17]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    found = components_of_seeds(values)
    assert found.interval() == pytest.approx([low, high])
    assert found.p_value() == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_the_parts_are_those_of_an_analysis_of_variance_of_seeds_and_images():
    rng = np.random.default_rng(0)
    seeds, images = 5, 40
    table = rng.normal(0, 1, (seeds, 1)) + rng.normal(0, 2, images) + rng.normal(0, 1, (seeds, images))
    found = components_of_images(table, np.ones(images, int))
    rest = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    mean_square_images = seeds * table.mean(0).var(ddof=1)
    mean_square_rest = (rest**2).sum() / ((seeds - 1) * (images - 1))
    assert found.mean == pytest.approx(table.mean())
    assert found.over_seeds == pytest.approx(table.mean(1).var(ddof=1) / seeds)
    assert found.over_images == pytest.approx((mean_square_images - mean_square_rest) / (seeds * images))
    assert (found.seed_degrees, found.image_degrees) == (4, pytest.approx(39))


def test_copies_count_as_one_picture():
    rng = np.random.default_rng(1)
    pictures = rng.integers(-1, 2, (6, 50)) + (rng.random(50) < 0.3)
    once = components_of_images(*group_sums(pictures, np.arange(50)))
    thrice = components_of_images(*group_sums(np.repeat(pictures, 3, 1), np.repeat(np.arange(50), 3)))
    assert thrice == pytest.approx(once)
    unaware = components_of_images(*group_sums(np.repeat(pictures, 3, 1), np.arange(150)))
    assert unaware.over_images < once.over_images


def test_the_p_value_is_the_level_at_which_the_interval_ends_at_zero():
    found = Components(0.05, 4e-4, 2, 2e-4, 120.0)
    level = found.p_value()
    assert min(abs(edge) for edge in found.interval(level)) == pytest.approx(0, abs=1e-9)
    assert found._replace(mean=0.0).p_value() == 1.0 and found._replace(mean=1e6).p_value() == 1e-9


def test_nothing_that_varies_has_no_interval():
    for found in (
        components_of_seeds([0.1, 0.1, 0.1]),
        components_of_images(*group_sums(np.ones((3, 7), int), np.arange(7))),
        components_of_images(*group_sums(np.zeros((3, 7), int), np.arange(7))),
    ):
        assert found.variance == 0 and found.interval() is None and found.p_value() is None


def test_bca_is_scipys_and_is_absent_where_it_cannot_be():
    values = np.random.default_rng(2).normal(0.1, 0.05, 8)
    reference = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="BCa", rng=np.random.default_rng(0))
    assert bca_interval(values) == pytest.approx(list(reference.confidence_interval))
    assert bca_interval([0.1]) is None and bca_interval([0.1, 0.2]) is None and bca_interval([0.1] * 6) is None


def test_the_two_level_bootstrap_spreads_as_the_parts_of_the_variance_say():
    rng = np.random.default_rng(3)
    table = rng.normal(0, 0.3, (20, 1)) + rng.normal(0, 2, 200) + rng.normal(0, 1, (20, 200))
    found = components_of_images(table, np.ones(200, int))
    low, high = two_level_bootstrap(table, np.ones(200, int))
    assert (high - low) / (2 * 1.96) == pytest.approx(found.variance**0.5, rel=0.15)
