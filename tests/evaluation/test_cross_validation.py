"""Folds are pooled over images, not averaged over folds."""

import pytest

from resjax.evaluation.comparison.designs.cross_validation import cross_validate
from tests.made_results import made_diverged, made_done


def test_accuracies_are_pooled_over_the_images_of_all_folds():
    folds = [
        {"plain34": {0: made_done(0.5, 0.25), 1: made_done(1.0, 0.5)}, "resnet34": {0: made_done(1.0, 1.0), 1: None}},
        {"plain34": {0: made_done(0.0, 0.0), 1: made_done(0.5, 0.5)}, "resnet34": {0: made_done(0.5, 0.5), 1: None}},
    ]
    pooled = cross_validate(folds, [4, 6])
    assert pooled.images == 10
    plain, residual = pooled.architectures["plain34"], pooled.architectures["resnet34"]
    assert plain.seeds == [0, 1] and residual.seeds == [0]
    assert plain.best_val_accuracy.values == pytest.approx([0.2, 0.7])
    assert plain.final_val_accuracy.values == pytest.approx([0.1, 0.5])
    best, final = pooled.comparisons
    assert (best.metric, final.metric) == ("best_val_accuracy", "final_val_accuracy")
    assert best.seeds == [0] and best.differences == pytest.approx([0.7 - 0.2])
    assert final.mean == pytest.approx(0.7 - 0.1)
    assert best.p_value is None and best.test is None and best.verdict is None


def test_a_seed_that_is_not_done_in_every_fold_is_left_out():
    folds = [{"a": {0: made_done(0.5, 0.5), 1: made_done(0.5, 0.5)}}, {"a": {0: made_diverged(), 1: None}}]
    pooled = cross_validate(folds, [5, 5]).architectures["a"]
    assert pooled.seeds == [] and pooled.best_val_accuracy.mean is None
