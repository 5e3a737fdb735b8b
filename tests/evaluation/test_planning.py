"""Plans against closed forms and simulated comparisons."""

import numpy as np
import pytest
from scipy import stats

from resjax.evaluation.comparison.statistics.intervals import Components, components_of_images, group_sums
from resjax.evaluation.comparison.statistics.planning import (
    DISAGREEMENT,
    LASTING,
    assumed_components,
    power_of,
    smallest_detectable,
    smallest_margin,
)


@pytest.mark.parametrize(("seeds", "effect"), [(8, 1.1), (12, 0.9), (20, 0.5), (30, 0.6)])
def test_the_power_over_seeds_alone_is_that_of_students_test(seeds, effect):
    # The noncentral t distribution (Cohen 1988, chapter 2), from whose lower tail nothing comes.
    noncentral = stats.nct(seeds - 1, effect * seeds**0.5)
    exact = noncentral.sf(stats.t.ppf(0.975, seeds - 1))
    assert power_of(Components(0.0, 0.5, 1), seeds, effect) == pytest.approx(exact, abs=0.02)


def test_six_seeds_need_the_same_sign_in_all():
    # With one standard deviation between seeds, all six differences are positive with probability 0.841^6.
    found = Components(0.0, 0.5, 1)
    assert power_of(found, 6, 1.0) == pytest.approx(min(stats.norm.cdf(1.0) ** 6, 0.5), abs=0.15)
    assert power_of(found, 6, 3.0) == pytest.approx(stats.norm.cdf(3.0) ** 6, abs=1e-6)
    assert power_of(found, 5, 3.0) == 0 and smallest_detectable(found, 5) is None


def test_power_and_detectable_difference_are_the_same_question():
    found = assumed_components(np.ones(230, int), 0.05, 0.6)
    for seeds in (6, 8, 20):
        assert power_of(found, seeds, smallest_detectable(found, seeds)) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize("seeds", [12, 20])
def test_equal_networks_are_equivalent_within_the_planned_margin_in_80_percent(seeds):
    margin = smallest_margin(Components(0.0, 0.5, 1), seeds)
    drawn = np.random.default_rng(0).standard_normal((4000, seeds))
    half = stats.t.ppf(0.95, seeds - 1) * drawn.std(1, ddof=1) / seeds**0.5
    assert np.mean(abs(drawn.mean(1)) + half <= margin) == pytest.approx(0.8, abs=0.03)


def test_four_seeds_cannot_show_equivalence_and_five_need_all_within_the_margin():
    found = Components(0.0, 0.5, 1)
    assert smallest_margin(found, 4) is None and smallest_margin(Components(0.0, 0.0, 1), 8) is None
    within = stats.norm.cdf(smallest_margin(found, 5)) - stats.norm.cdf(-smallest_margin(found, 5))
    assert within**5 >= 0.8 - 1e-9


def test_assumptions_by_hand():
    # Four pictures in two copies each: sum of squares 16, of 8^2 images, is a quarter.
    found = assumed_components(np.full(4, 2), 0.1, 0.5)
    disagree = DISAGREEMENT * 0.5
    assert found.over_images == pytest.approx(LASTING * disagree / 4) and found.image_degrees == 3
    assert 2 * found.over_seeds == pytest.approx(0.01 + (1 - LASTING) * disagree / 4)
    assert assumed_components(np.full(4, 2), 0.1, 0.5, disagree) == found


def test_assumptions_give_the_components_of_images_that_are_drawn_by_them():
    rng, sizes, spread, q = np.random.default_rng(0), np.tile([1, 3], 60), 0.05, 0.3
    groups = np.repeat(np.arange(120), sizes)
    found = []
    for _ in range(300):
        lasting = rng.normal(0, (LASTING * q) ** 0.5, 120)
        single = rng.normal(0, ((1 - LASTING) * q) ** 0.5, (8, 120))
        table = spread * rng.standard_normal((8, 1)) + (lasting + single)[:, groups]
        found.append(components_of_images(*group_sums(table, groups)))
    planned = assumed_components(sizes, spread, 0.5, q)
    between = 8 * np.mean([each.over_seeds for each in found])
    assert between == pytest.approx(2 * planned.over_seeds, rel=0.1)
    assert np.mean([each.over_images for each in found]) == pytest.approx(planned.over_images, rel=0.15)
