"""Each network's best setting, against cases made by hand."""

import numpy as np
import pytest

from resjax.evaluation.comparison.designs import tuning
from resjax.records import MeanAtPoint, Result
from tests.made_results import made_diverged, made_done


def result(val: float, test: float | None = None, status: str = "done") -> Result:
    return made_done(val, test=test) if status == "done" else made_diverged()


def by_seed(*values: float | None) -> dict:
    """A result with each validation accuracy, None for a seed that has not ended."""
    return {seed: None if value is None else result(value) for seed, value in enumerate(values)}


def test_the_best_mean_validation_accuracy_wins_whatever_test_says():
    candidates = {"low": {0: result(0.5, 0.9), 1: result(0.5, 0.9)}, "high": {0: result(0.4, 0.1), 1: result(0.7, 0.1)}}
    assert tuning.choose(candidates) == ("high", 2, pytest.approx(0.55))


def test_of_equals_the_first_wins_and_of_nothing_none():
    assert tuning.choose({"a": by_seed(0.5, 0.7), "b": by_seed(0.7, 0.5)}).name == "a"
    assert tuning.choose({"a": by_seed(None), "b": {0: result(0.9, status="diverged")}}) is None
    assert tuning.choose({}) is None


def test_a_setting_at_which_a_seed_diverged_loses_to_one_at_which_none_did():
    unsteady = {0: result(0.9), 1: result(0.0, status="diverged")}
    assert tuning.choose({"unsteady": unsteady, "steady": by_seed(0.3, 0.3)}).name == "steady"
    assert tuning.choose({"unsteady": unsteady, "worse": by_seed(0.3, None)}) == ("unsteady", 1, 0.9)


def test_a_seed_has_no_say_in_its_own_setting():
    # Seed 0 alone likes b, seed 1 alone likes a: each gets what the other likes.
    candidates = {"a": by_seed(0.2, 0.8), "b": by_seed(0.9, 0.1)}
    assert tuning.chosen_by_others(candidates) == {0: 0.2, 1: 0.1}
    assert tuning.chosen_by_others({"a": by_seed(0.5)}) == {}
    # What the others choose diverged for seed 2: it is left out, and not replaced by a luckier setting.
    lost = {"a": by_seed(0.8, 0.8) | {2: result(0, status="diverged")}, "b": by_seed(0.7, 0.7, 0.7)}
    assert tuning.chosen_by_others(lost).keys() == {0, 1}


def test_with_equal_settings_the_best_of_many_is_too_high_by_what_is_estimated():
    rng = np.random.default_rng(0)
    gains, estimates = [], []
    for _ in range(30):
        correct = {str(setting): {0: rng.random(200) < 0.5} for setting in range(8)}
        gains.append(max(answers[0].mean() for answers in correct.values()) - 0.5)
        estimates.append(tuning.optimism_of_choice(correct, np.arange(200)))
    assert np.mean(estimates) == pytest.approx(np.mean(gains), abs=0.012)
    assert tuning.optimism_of_choice({"only": {0: np.ones(9, bool)}}, np.arange(9)) == 0
    assert tuning.optimism_of_choice({"a": {}, "b": {}}, np.arange(9)) is None


def test_the_ends_of_what_was_tried_are_edges_but_no_decay_is_none():
    tried = {"learning_rate": [0.1, 0.01, 0.001], "weight_decay": [0.0, 1e-4]}
    assert tuning.edges({"learning_rate": 0.01, "weight_decay": 0.0}, tried) == []
    assert tuning.edges({"learning_rate": 0.001, "weight_decay": 1e-4}, tried) == ["learning_rate", "weight_decay"]
    assert tuning.edges({"learning_rate": 0.1}, {"learning_rate": [0.1]}) == []


def test_differences_at_equal_settings_are_paired_by_seed():
    plain = {"a": {0: result(0.5, 0.1), 1: result(0.5, 0.2), 2: None}, "b": by_seed(None)}
    residual = {"a": {0: result(0.5, 0.4), 1: result(0.9, 0.0, "diverged"), 2: result(0.5, 0.9)}, "b": by_seed(0.5)}
    found = tuning.paired_means(plain, residual)
    assert found["a"].seeds == 1 and found["a"].mean == pytest.approx(0.3)
    assert found["b"] == MeanAtPoint(seeds=0, mean=None)
