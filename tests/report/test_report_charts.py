"""Charts of the report: logarithmic axes that can be read, marks as large as what they stand for, panels that agree."""

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from resjax.records import Reliability, ReliabilityBin
from resjax.report.figures.curves import FEWEST_TICKS, MOST_TICKS, logarithmic, logarithmic_ticks
from resjax.report.figures.drawn_run import DrawnNetwork
from resjax.report.figures.probe_figures import probe_figures, probe_sheets
from resjax.report.figures.report_charts import reliability_chart
from resjax.report.figures.sheet import sheet_charts
from resjax.report.words import plain_number
from tests.made_records import probes_record


@pytest.mark.parametrize("ratio", [1.3, 2, 5, 9, 11, 90, 300, 1e4, 1e9, 1e20])
@pytest.mark.parametrize("low", [3.7e-5, 0.094, 0.8, 1.0, 6.2, 4e3])
def test_a_logarithmic_axis_has_enough_ticks_and_not_too_many(low, ratio):
    ticks = logarithmic_ticks(low, ratio * low)
    assert FEWEST_TICKS <= len(ticks) <= MOST_TICKS + 3
    assert all(low <= tick <= ratio * low for tick in ticks) and ticks == sorted(set(ticks))
    assert all(len(f"{tick:e}".split("e")[0].rstrip("0")) <= 5 for tick in ticks), "plain numbers"


@pytest.mark.parametrize("values", [[0.1, 0.1], [1.0, 6.0], [1e-6, 1e6]])
def test_a_logarithmic_axis_says_so_and_shows_its_ticks(values):
    panel = Figure().subplots()
    panel.plot(values)
    logarithmic(panel, "loss (nats)")
    low, high = panel.get_ylim()
    assert "log scale" in panel.get_ylabel() and panel.get_yscale() == "log"
    assert high > 1.1 * low and sum(low <= tick <= high for tick in panel.get_yticks()) >= FEWEST_TICKS


@pytest.mark.parametrize(
    ("value", "text"), [(0.02, "0.02"), (1.5, "1.5"), (20_000.0, "20,000"), (1e6, "1,000,000"), (1e-5, "1e-5")]
)
def test_a_number_at_an_axis_is_plain(value, text):
    assert plain_number(value) == text


def test_a_bin_of_a_reliability_chart_is_as_large_as_its_images_are_many():
    bins = [ReliabilityBin(images=count, confidence=0.1 * count**0.5, accuracy=0.5) for count in (1, 20, 40)]
    found = Reliability(expected_calibration_error=0.1, expected_by_chance=0.1, confidence=0.5, accuracy=0.5, bins=bins)
    figure = reliability_chart(found, DrawnNetwork("resnet18", "#0072B2", "s", {}, {}, ""))
    (marks,) = [each for each in figure.axes[0].collections if isinstance(each, PathCollection)]
    smallest, half, whole = marks.get_sizes()
    assert whole == pytest.approx(2 * half) and 0 < smallest < half
    assert "40 images" in str(figure.get_label())


def test_a_probe_has_the_same_panels_together_and_apart():
    record = probes_record()
    sheets = probe_sheets(record)
    for name, figure in probe_figures(record):
        sheet = sheets[name.removeprefix("probe_")]
        apart = dict(sheet_charts(name, sheet))
        together = [panel for panel in figure.axes if panel.get_title()]
        assert [panel.get_title() for panel in together] == list(sheet.panels)
        for place, panel in enumerate(together):
            alone = apart[f"{name}{place}"].axes[0]
            assert alone.get_ylabel() == panel.get_ylabel() and alone.get_legend() is None
            for one, other in zip(alone.lines, panel.lines, strict=True):
                np.testing.assert_array_equal(one.get_xydata(), other.get_xydata())
