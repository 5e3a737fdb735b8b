"""The text, page and figures of a sweep, from cells made by hand."""

import re

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from resjax.report.figures.sweep_figures import sweep_figures
from resjax.report.figures.sweep_maps import sensitivity_maps
from resjax.report.page.sweep_page import sweep_page
from resjax.report.sweep_text import sweep_text
from tests.made_sweep import BEST, WORST, make_sweep
from tests.markup import text_of


def test_page_and_text_name_what_is_not_in_the_means_and_the_choice(uneven_sweep):
    _, record = uneven_sweep
    page, text = sweep_page(record), sweep_text(record)
    for words in (
        "124 of 128 cells done, 2 diverged, 1 failed, 1 pending",
        f"plain20 seeds 1, 4 at {WORST}: loss not finite in epoch 1, step 3",
        f"resnet8 seed 2 at {WORST}: out of memory: too small",
        "There is no test set",
        "resnet20 (learning rate, weight decay)",
    ):
        assert words in text_of(page) and words in text
    assert "resnet20 is better than plain20" in text_of(page)
    assert page.count('<svg class="figure"') == 2
    assert not re.search(r"(src|href)=.?(http|//|file)", page) and "<script" not in page


def test_the_maps_of_the_page_have_the_numbers_and_the_choices(uneven_sweep):
    _, record = uneven_sweep
    (found,) = sensitivity_maps(record).values()
    cells = re.findall(
        r'<td class="network\d( chosen)?" style="--share: ([\d.]+)">(.*?)</td>', sweep_page(record), re.S
    )
    values = [(each, value) for row in found.rows for each in row for line in each.values for value in line]
    assert [text_of(cell.split("<small>")[0]).strip() for _, _, cell in cells] == [
        each.text(value) for each, value in values
    ]
    shares = [float(share) for _, share, _ in cells]
    assert min(shares) == 0 and max(shares) == 1
    # One for each network, at the setting that is best for it.
    best = [text_of(cell) for chosen, _, cell in cells if chosen]
    assert len(best) == 4 and all("best" in cell for cell in best)
    networks = record.conditions[0].networks
    assert best[0].startswith(f"{100 * networks['plain8'].settings[BEST].best_val_accuracy.mean:.1f}")
    assert "<small>6 of 8</small>" in sweep_page(record)


def test_the_figures_show_the_numbers_on_one_scale_and_mark_the_choice(uneven_sweep):
    _, record = uneven_sweep
    figures = dict(sweep_figures(record))
    assert list(figures) == ["depth", "sensitivity"]
    train, val = figures["depth"].axes
    networks = record.conditions[0].networks
    drawn = {line.get_label(): line.get_ydata() for line in val.lines if not str(line.get_label()).startswith("_")}
    for family in ("plain", "resnet"):
        means = [
            100 * networks[f"{family}{depth}"].settings[networks[f"{family}{depth}"].chosen].best_val_accuracy.mean
            for depth in (8, 20)
        ]
        assert np.asarray(drawn[family]).tolist() == pytest.approx(means)
    assert train.get_title().startswith("Training") and val.get_title().startswith("Validation")
    maps = [axes.images[0] for axes in figures["sensitivity"].axes if axes.images]
    assert len(maps) == 6
    accuracies, differences = [maps[i] for i in (0, 1, 3, 4)], [maps[2], maps[5]]
    assert len({each.get_clim() for each in accuracies}) == 1 and len({each.get_clim() for each in differences}) == 1
    low, high = differences[0].get_clim()
    assert low == -high
    mean = 100 * networks["plain8"].settings[BEST].best_val_accuracy.mean
    assert np.asarray(accuracies[0].get_array())[0, 0] == pytest.approx(mean)
    patches = [axes.patches[0] for axes in figures["sensitivity"].axes if axes.images and axes.patches]
    framed = [patch.get_xy() for patch in patches if isinstance(patch, Rectangle)]
    assert framed == [(-0.5, -0.5), (0.5, -0.5), (-0.5, -0.5), (0.5, 0.5)]


def test_other_conditions_are_drawn_along_what_differs(tmp_path):
    grid = {"train_fraction": (0.25, 1.0)}
    record = make_sweep(tmp_path / "sweep", depths=(8,), grid=grid, seeds=(0, 1), leaked=3)
    assert list(dict(sweep_figures(record))) == ["along_train_fraction"]
    page = text_of(sweep_page(record))
    assert "Nothing was chosen" in page and "WARNING: split random (faulty" in page
    # Nor is there anything to say about the choice.
    assert "chosen by the other seeds" not in sweep_text(record)


def test_a_sweep_of_which_nothing_has_ended_has_a_page_without_pictures(tmp_path):
    cells = [(f"learning_rate{rate}", arm, 0) for rate in (0.1, 0.2) for arm in ("plain8", "resnet8")]
    record = make_sweep(
        tmp_path / "sweep",
        depths=(8,),
        grid={"learning_rate": (0.1, 0.2)},
        seeds=(0,),
        failed=cells[:1],
        pending=cells[1:],
    )
    assert dict(sweep_figures(record)) == {}
    assert "0 of 4 cells done, 1 failed, 3 pending" in text_of(sweep_page(record))
