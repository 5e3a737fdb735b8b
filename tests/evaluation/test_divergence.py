"""Divergence is an outcome: counted, tested, counted at chance, and told; and what is pending is waited for."""

import numpy as np
import pytest
from msgspec import UNSET
from scipy import stats

from resjax.evaluation.comparison.comparing import Evidence, compare_networks
from tests.made_results import made_diverged, made_done

PAIR = [("plain", "residual")]


def networks(diverged=(0, 1, 2, 3), seeds=6):
    plain = {seed: made_diverged() if seed in diverged else made_done(0.6) for seed in range(seeds)}
    return {"plain": plain, "residual": {seed: made_done(0.7) for seed in range(seeds)}}


def test_a_case_by_hand_four_of_six_plain_replicas_diverge():
    (record,) = compare_networks(networks(), PAIR)
    found = record.divergence
    assert record.seeds == [4, 5] and record.verdict == "inconclusive"
    assert (found.baseline.diverged, found.baseline.seeds, found.candidate.diverged) == (4, 6, 0)
    # Four seeds of which only the plain replica diverged: 2 * (1/2)^4.
    assert (found.only_baseline, found.only_candidate, found.p_value) == (4, 0, 0.125)
    exact = stats.binomtest(4, 6).proportion_ci(method="exact")
    assert found.baseline.interval == pytest.approx((exact.low, exact.high))
    # Two classes: chance is one half, so four differences are 0.7 - 0.5 and two are 0.7 - 0.6.
    assert found.differences == pytest.approx([0.2] * 4 + [0.1] * 2) and found.mean == pytest.approx(1 / 6)
    assert found.p_value_at_chance == 2 / 64
    assert "4 of 6 replicas of plain" in record.sentence and "Counted at chance" in record.sentence
    assert found.ci95 is None


def test_replicas_at_chance_have_even_answers_on_every_image():
    answers = np.arange(10) < 7
    evidence = Evidence(
        {"plain": {seed: answers for seed in range(4, 12)}, "residual": {seed: answers for seed in range(12)}},
        np.arange(10),
    )
    (record,) = compare_networks(networks(seeds=12), PAIR, evidence)
    alone = compare_networks(networks(seeds=12), PAIR)[0].divergence
    # Images are known to differ, so the interval is wider than over seeds alone.
    width, narrow = (each.ci95[1] - each.ci95[0] for each in (record.divergence, alone))
    assert width > narrow


def test_all_replicas_of_a_network_can_diverge():
    (record,) = compare_networks(networks(range(6)), PAIR)
    assert record.verdict is None and record.divergence.mean == pytest.approx(0.2)
    assert record.divergence.p_value == 2 / 64 and "6 of 6 replicas of plain" in record.sentence


def test_without_divergence_nothing_is_said_of_it():
    (record,) = compare_networks(networks(()), PAIR)
    assert record.divergence is UNSET and "iverged" not in record.sentence


def test_a_pair_with_pending_seeds_is_not_judged_and_one_that_was_given_up_is():
    results = networks(())
    results["residual"] |= {seed: made_done(0.7 + 0.01 * seed) for seed in range(6)}
    results["residual"] |= {6: None}
    results["plain"] |= {6: made_done(0.6)}
    (record,) = compare_networks(results, PAIR)
    assert record.p_value == 2 / 64 and record.verdict == "inconclusive" and "after 7 seeds" in record.sentence
    (record,) = compare_networks(results, PAIR, given_up=["residual"])
    assert record.verdict == "candidate better"
