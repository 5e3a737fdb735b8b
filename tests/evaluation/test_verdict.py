"""The rule, the sentence, the plan, and that nothing is claimed that does not exist."""

import json

import numpy as np
import pytest

from resjax.evaluation.comparison.comparing import Evidence, compare_networks
from resjax.evaluation.comparison.paired import Scores, paired_statistics
from resjax.evaluation.comparison.statistics.intervals import Components, components_of_seeds
from resjax.evaluation.comparison.statistics.planning import (
    level_of_looks,
    looks_until,
    seeds_to_settle,
    smallest_detectable,
)
from resjax.evaluation.comparison.verdict import judged
from resjax.records import plain
from tests.made_results import made_diverged, made_done


def comparison(differences, answers=None, **more):
    seeds = range(len(differences))
    return paired_statistics("plain34", "resnet34", "best_val_accuracy", seeds, differences, answers, **more)


def drawn(seeds, images, better, seed=0, copies=1):
    rng = np.random.default_rng(seed)
    ease = np.repeat(rng.random(images // copies), copies)
    baseline, candidate = (rng.random((seeds, images)) < 0.4 * ease + 0.3 + extra for extra in (0, better))
    return Scores(baseline, candidate, np.repeat(np.arange(images // copies), copies))


def record_of(answers, **more):
    differences = answers.candidate.mean(1) - answers.baseline.mean(1)
    (record,) = judged([comparison(differences.tolist(), answers)], **more)
    return record


def test_a_clear_difference_over_six_seeds_is_a_verdict_in_one_sentence():
    record = record_of(drawn(6, 200, 0.25))
    assert record.verdict == "candidate better" and record.p_value == 0.03125
    assert record.ci95[0] > 0 and record.seeds_to_settle is None and record.holm_p_value is None
    assert record.sentence.startswith("resnet34 is better than plain34: resnet34 minus plain34 is +2")
    assert "points of validation accuracy at the best epoch (95 % interval +" in record.sentence
    assert [each.seed for each in record.over_images] == [0, 1, 2, 3, 4, 5]


def test_the_other_way_round_the_baseline_is_better():
    record = record_of(drawn(8, 200, -0.25))
    assert record.verdict == "baseline better" and record.sentence.startswith("plain34 is better than resnet34")


def test_five_seeds_are_too_few_whatever_they_say():
    record = record_of(drawn(5, 200, 0.25))
    assert record.verdict == "inconclusive" and record.ci95[0] > 0
    assert record.sentence.endswith("No verdict is possible with fewer than 6 seeds.")
    assert record.smallest_detectable is None and record.detectable[6] > record.detectable[20]


def test_seeds_that_agree_on_few_images_say_nothing_of_other_images():
    # Every seed gains the same five of twelve images and loses the same two: all signs agree, the images do not.
    right = np.zeros((8, 12), bool)
    baseline, candidate = right.copy(), right.copy()
    candidate[:, :5], baseline[:, 5:7] = True, True
    candidate[::2, 11] = True
    record = record_of(Scores(baseline, candidate, np.arange(12)))
    assert record.over_seeds.p_value < 0.01 and record.over_both.p_value > 0.05
    assert record.verdict == "inconclusive" and record.ci95[0] < 0


def test_between_two_looks_there_is_no_verdict():
    record = record_of(drawn(9, 200, 0.3), next_looks=[12])
    assert record.verdict == "inconclusive" and record.sentence.endswith("It is judged after 12 seeds.")


def test_several_comparisons_take_holms_p():
    records = judged([comparison([0.2, 0.25, 0.22, 0.21, 0.18, 0.24]) for _ in range(3)])
    assert all(record.p_value == 0.03125 and record.holm_p_value == 3 * 0.03125 for record in records)
    assert all(record.verdict == "inconclusive" for record in records)
    assert "of 3 comparisons). No verdict is possible with fewer than 7 seeds" in records[0].sentence


@pytest.mark.parametrize(
    "differences", [[], [0.1], [0.1] * 3, [0.0] * 6, [0.1] * 7, [1.0] * 6, [0.1, -0.1], [0.1, 0.1 + 1e-15, 0.1]]
)
@pytest.mark.parametrize("known", [False, True])
def test_degenerate_differences_give_nulls_and_a_sentence(differences, known):
    images = 10
    answers = None
    if known and differences:
        hits = np.round(np.maximum(differences, 0) * images).astype(int)
        misses = np.round(np.maximum(np.negative(differences), 0) * images).astype(int)
        answers = Scores(np.arange(images) < misses[:, None], np.arange(images) < hits[:, None], np.arange(images))
    (record,) = judged([comparison(differences, answers)])
    text = json.dumps(plain(record), allow_nan=False)
    assert "nan" not in text.lower() and record.sentence
    assert (record.verdict is None) == (not differences)
    if len(differences) < 2:
        assert record.p_value is None and record.ci95 is None and record.over_seeds.ci95 is None


def test_networks_without_a_shared_seed_and_diverged_ones_are_compared_as_far_as_they_go():
    done = made_done(0.5)
    networks = {"a": {0: done, 1: None}, "b": {0: made_diverged(), 1: done}, "c": {0: done, 1: done}}
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    records = compare_networks(networks, pairs)
    assert [record.verdict for record in records] == [None, "inconclusive", "inconclusive"]
    assert records[0].mean is None and records[0].divergence.only_candidate == 1
    evidence = Evidence({name: {0: np.ones(4, bool)} for name in networks}, np.arange(4))
    assert compare_networks(networks, pairs, evidence)[1].over_images[0].p_value is None


def test_more_seeds_detect_less_and_images_set_a_limit():
    found = components_of_seeds([0.02, 0.08, -0.03, 0.05, 0.01, 0.06])
    sees = [smallest_detectable(found, seeds) for seeds in (6, 8, 12, 20)]
    assert sees == sorted(sees, reverse=True) and smallest_detectable(found, 5) is None
    assert seeds_to_settle(found) == next(n for n in range(6, 99) if smallest_detectable(found, n) <= found.mean)
    # The images alone leave 4 points of standard error: no number of seeds shows 3 points.
    assert seeds_to_settle(Components(0.03, 1e-4, 5, 16e-4, 99.0)) is None
    assert smallest_detectable(components_of_seeds([0.1] * 6), 6) is None


def test_the_smallest_detectable_difference_is_detected_in_about_80_percent():
    rng = np.random.default_rng(0)
    for seeds in (6, 12):
        # Components with the true variance, 1 between seeds.
        true = smallest_detectable(Components(0.0, 1 / seeds, seeds - 1), seeds)
        verdicts = [
            judged([comparison(rng.normal(true, 1, seeds))])[0].verdict == "candidate better" for _ in range(300)
        ]
        assert 0.7 < np.mean(verdicts) < 0.9


def test_looks_and_their_level():
    assert looks_until(20) == (8, 12, 16, 20) and looks_until(6) == (6,) and looks_until(30) == (8, 12, 16, 20, 30)
    assert level_of_looks(1) == 0.05 and level_of_looks(4) == 0.0182
