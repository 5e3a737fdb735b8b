"""Twins are found by what they are, and differences are followed over depth."""

import numpy as np
import pytest

from resjax.evaluation.comparison.designs.depth import differences_by_depth
from resjax.models.architecture import architecture
from resjax.models.twins import Twins, families_of_twins
from tests.made_results import made_diverged, made_done

TWINS = [Twins(32, "plain32", "resnet32"), Twins(20, "plain20", "resnet20"), Twins(56, "plain56", "resnet56")]


def results(train, val, loss=1.0):
    return made_done(val, train_accuracy=train, train_loss=loss)


def networks(slopes=(0.002, 0.004, 0.003)):
    """Plain networks lose in training with depth, by another slope for each seed, and nothing in validation."""
    made = {}
    for depth, baseline, candidate in TWINS:
        made[baseline] = {seed: results(0.9 - slope * depth, 0.6) for seed, slope in enumerate(slopes)}
        made[candidate] = {seed: results(0.9, 0.6) for seed in range(len(slopes))}
    return made


def test_slopes_are_those_of_a_line_through_each_seeds_differences():
    record = differences_by_depth(TWINS, networks())
    assert [each.depth for each in record.twins] == [20, 32, 56] and record.seeds == [0, 1, 2]
    training = record.measures["train_accuracy"]
    assert training.slope.values == pytest.approx([0.02, 0.04, 0.03])
    reference = [np.polyfit([20, 32, 56], [each.values[s] for each in training.by_depth], 1)[0] for s in range(3)]
    assert training.slope.values == pytest.approx(10 * np.array(reference))
    assert record.measures["val_accuracy"].slope.mean == pytest.approx(0, abs=1e-12)
    assert record.measures["gap"].by_depth[0].mean == pytest.approx(0.06)


def test_seeds_that_one_network_lacks_are_left_out_and_one_depth_says_nothing():
    made = networks()
    made["plain56"][1] = made_diverged()
    made["resnet20"][2] = None
    assert differences_by_depth(TWINS, made).seeds == [0]
    assert differences_by_depth(TWINS[:1], made) is None
    nothing = differences_by_depth(TWINS, {name: {0: None} for name in made})
    assert nothing.seeds == [] and nothing.measures["gap"].slope.mean is None


def test_twins_differ_in_the_shortcut_alone():
    names = ["plain20", "resnet20", "se_resnet32", "resnet32", "plain32", "resnet32_project", "plain34", "resnet34"]
    families = families_of_twins([architecture(name) for name in names])
    assert [("plain20", "resnet20"), ("plain32", "resnet32")] in [[each[1:] for each in f] for f in families]
    assert sorted(each.candidate for family in families for each in family) == [
        "resnet20",
        "resnet32",
        "resnet32_project",
        "resnet34",
    ]
