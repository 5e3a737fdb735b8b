"""The optimism of the best epoch is about what it truly is, in made runs of which the truth is known."""

import numpy as np
import pytest

from resjax.evaluation.selection import optimism_of_best


def answers(rng, accuracies, images, copies=1):
    return np.repeat(rng.random((len(accuracies), images // copies)) < np.asarray(accuracies)[:, None], copies, 1)


@pytest.mark.parametrize(
    ("accuracies", "copies"), [([0.6] * 10, 1), ([0.6] * 10, 3), (np.linspace(0.5, 0.65, 8), 1), ([0.5, 0.9], 1)]
)
def test_it_is_about_the_true_one(accuracies, copies):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(120 // copies), copies)
    true, estimated = [], []
    for _ in range(80):
        correct = answers(rng, accuracies, 120, copies)
        observed = correct.mean(1)
        true.append(observed.max() - accuracies[observed.argmax()])
        estimated.append(optimism_of_best(correct, groups, resamples=60))
    assert np.mean(estimated) == pytest.approx(np.mean(true), abs=4 * np.std(true) / 80**0.5)
    if copies == 3:
        unaware = [optimism_of_best(answers(rng, accuracies, 120, 3), np.arange(120), resamples=60) for _ in range(20)]
        assert np.mean(unaware) < 0.8 * np.mean(estimated)


def test_where_nothing_was_chosen_there_is_none():
    rng = np.random.default_rng(1)
    assert optimism_of_best(rng.random((1, 50)) < 0.5, np.arange(50)) == 0.0
    assert optimism_of_best(np.ones((4, 50), bool), np.arange(50)) == 0.0
    assert optimism_of_best(rng.random((3, 5)) < 0.5, np.zeros(5, int)) is None
    assert optimism_of_best(rng.random((3, 2)) < 0.5, np.arange(2)) is not None
