"""The differences of twins are followed over depth."""

import numpy as np
import pytest

from resjax.evaluation.comparison.depth import differences_by_depth
from resjax.models.twins import Twins
from resjax.report.figures.depth_figure import depth_figure
from resjax.report.figures.style import save
from resjax.report.page.tables import depth_lines

TWINS = [Twins(32, "plain32", "resnet32"), Twins(20, "plain20", "resnet20"), Twins(56, "plain56", "resnet56")]


def results(train, val, loss=1.0):
    return {"status": "done", "last": {"train_accuracy": train, "val_accuracy": val, "train_loss": loss}}


def arms(slopes=(0.002, 0.004, 0.003)):
    """Plain networks lose in training with depth, by another slope for each seed, and nothing in validation."""
    made = {}
    for depth, baseline, candidate in TWINS:
        made[baseline] = {seed: results(0.9 - slope * depth, 0.6) for seed, slope in enumerate(slopes)}
        made[candidate] = {seed: results(0.9, 0.6) for seed in range(len(slopes))}
    return made


def test_slopes_are_those_of_a_line_through_each_seeds_differences():
    record = differences_by_depth(TWINS, arms())
    assert [each["depth"] for each in record["twins"]] == [20, 32, 56] and record["seeds"] == [0, 1, 2]
    training = record["measures"]["train_accuracy"]
    assert training["slope"]["values"] == pytest.approx([0.02, 0.04, 0.03])
    reference = [np.polyfit([20, 32, 56], [each["values"][s] for each in training["by_depth"]], 1)[0] for s in range(3)]
    assert training["slope"]["values"] == pytest.approx(10 * np.array(reference))
    assert record["measures"]["val_accuracy"]["slope"]["mean"] == pytest.approx(0, abs=1e-12)
    assert record["measures"]["gap"]["by_depth"][0]["mean"] == pytest.approx(0.06)


def test_seeds_that_one_arm_lacks_are_left_out_and_one_depth_says_nothing():
    made = arms()
    made["plain56"][1] = {"status": "diverged"}
    made["resnet20"][2] = None
    assert differences_by_depth(TWINS, made)["seeds"] == [0]
    assert differences_by_depth(TWINS[:1], made) is None
    nothing = differences_by_depth(TWINS, {name: {0: None} for name in made})
    assert nothing["seeds"] == [] and nothing["measures"]["gap"]["slope"]["mean"] is None
    assert depth_lines(nothing) == []


@pytest.mark.parametrize("slopes", [(0.002, 0.004, 0.003), (0.002,), (0.0, 0.0)])
def test_the_table_and_the_picture_show_each_depth(slopes, tmp_path):
    record = differences_by_depth(TWINS, arms(slopes))
    text = "\n".join(depth_lines(record))
    assert "resnet56 minus plain56" in text and "per ten layers" in text and "nan" not in text.lower()
    paths = save([("depth", depth_figure(record))], tmp_path)
    drawn = paths[1].read_text()
    assert "Training loss" in drawn and "per ten layers" in drawn and "resnet20 minus plain20" in drawn
