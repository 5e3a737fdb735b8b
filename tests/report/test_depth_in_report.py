"""The table and the picture of differences by depth."""

import pytest

from resjax.evaluation.comparison.depth import differences_by_depth
from resjax.report.figures.depth_figure import depth_figure
from resjax.report.figures.style import save
from resjax.report.page.tables import depth_lines
from tests.evaluation.test_depth import TWINS, networks


def test_without_a_finished_seed_there_is_no_table():
    nothing = differences_by_depth(TWINS, {name: {0: None} for name in networks()})
    assert depth_lines(nothing) == []


@pytest.mark.parametrize("slopes", [(0.002, 0.004, 0.003), (0.002,), (0.0, 0.0)])
def test_the_table_and_the_picture_show_each_depth(slopes, tmp_path):
    record = differences_by_depth(TWINS, networks(slopes))
    text = "\n".join(depth_lines(record))
    assert "resnet56 minus plain56" in text and "per ten layers" in text and "nan" not in text.lower()
    paths = save([("depth", depth_figure(record))], tmp_path)
    drawn = paths[1].read_text()
    assert "Training loss" in drawn and "per ten layers" in drawn and "resnet20 minus plain20" in drawn
