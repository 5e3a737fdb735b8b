"""What a sweep's record says, and its page and pictures: from cells made by hand."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from resjax.cli import report
from resjax.report.figures.sweep_figures import sweep_figures
from resjax.report.page.sweep_page import sweep_page
from resjax.report.page.sweep_tables import sweep_text
from resjax.report.records import read_json, validate_sweep
from tests.made_sweep import make_sweep

BEST, WORST = "learning_rate0.001_weight_decay0.0", "learning_rate0.01_weight_decay0.0001"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[object, dict]:
    """A sweep at two depths in which cells diverged, failed and are pending."""
    workdir = tmp_path_factory.mktemp("made") / "sweep"
    record = make_sweep(
        workdir,
        diverged=[(WORST, "plain20", 1), (WORST, "plain20", 4)],
        failed=[(WORST, "resnet8", 2)],
        pending=[(BEST, "resnet20", 5)],
    )
    return workdir, record


def test_the_record_has_its_shape_and_counts_every_cell(made):
    workdir, record = made
    validate_sweep(record)
    assert read_json(workdir / "sweep.json") == record
    assert record["counts"] == {"done": 124, "diverged": 2, "failed": 1, "pending": 1}
    reasons = {(cell["architecture"], cell["status"]): cell["reason"] for cell in record["cells"]}
    assert reasons["plain20", "diverged"] == "loss not finite in epoch 1, step 3"
    assert reasons["resnet8", "failed"] == "out of memory: too small"


def test_each_arm_is_at_its_own_best_and_twins_are_compared_depth_by_depth(made):
    _, record = made
    (condition,) = record["conditions"]
    arms = condition["arms"]
    assert (arms["plain8"]["chosen"], arms["plain20"]["chosen"], arms["resnet20"]["chosen"]) == (BEST, BEST, WORST)
    # resnet8 lacks a seed where it would be best: the best of those that have all is taken.
    assert arms["resnet8"]["chosen"] == "learning_rate0.01_weight_decay0.0"
    assert arms["resnet20"]["edges"] == ["learning_rate", "weight_decay"] and arms["plain8"]["edges"] == [
        "learning_rate"
    ]
    assert (arms["plain20"]["depth"], arms["plain20"]["family"], arms["resnet8"]["family"]) == (20, "plain", "resnet")
    assert abs(arms["plain8"]["optimism_of_choice"]) < 0.1
    shallow, deep = condition["comparisons"]
    assert (shallow["baseline"], deep["candidate"]) == ("plain8", "resnet20")
    assert deep["verdict"] == "candidate better" and deep["metric"] == "best_val_accuracy"
    assert deep["p_value"] < deep["holm_p_value"] <= 2 * deep["p_value"]
    expected = [
        arms["resnet20"]["settings"][WORST]["best_val_accuracy"]["values"][seed]
        - arms["plain20"]["settings"][BEST]["best_val_accuracy"]["values"][seed]
        for seed in range(8)
    ]
    assert deep["differences"] == pytest.approx(expected)
    # Images and seeds together, as in a comparison: the predictions of the chosen cells are there.
    assert deep["interval"] == "t over seeds and groups of images"
    assert condition["depth"][0]["measures"]["val_accuracy"]["slope"]["mean"] > 0


def test_page_and_text_name_what_is_not_in_the_means_and_the_choice(made):
    _, record = made
    page, text = sweep_page(record), sweep_text(record)
    for words in (
        "124 of 128 cells done, 2 diverged, 1 failed, 1 pending",
        f"plain20 seeds 1, 4 at {WORST}: loss not finite in epoch 1, step 3",
        f"resnet8 seed 2 at {WORST}: out of memory: too small",
        "There is no test set",
        "resnet20 (learning_rate, weight_decay)",
    ):
        assert words in page and words in text
    assert "resnet20 is better than plain20" in page
    assert page.count("data:image/png;base64,") == 2
    assert not re.search(r"(src|href)=.?(http|//|file)", page) and "<script" not in page


def test_the_report_can_be_made_again_from_the_record_alone(made, monkeypatch):
    workdir, record = made
    monkeypatch.setattr(report, "FLAGS", SimpleNamespace(workdir=str(workdir), output=None))
    report.main()
    assert (workdir / "report.html").read_text() == sweep_page(record)


def test_the_pictures_show_the_numbers_on_one_scale_and_mark_the_choice(made):
    _, record = made
    figures = dict(sweep_figures(record))
    assert list(figures) == ["depth", "sensitivity"]
    train, val = figures["depth"].axes
    arms = record["conditions"][0]["arms"]
    drawn = {line.get_label(): line.get_ydata() for line in val.lines if not line.get_label().startswith("_")}
    for family in ("plain", "resnet"):
        means = [
            100 * arms[f"{family}{depth}"]["settings"][arms[f"{family}{depth}"]["chosen"]]["best_val_accuracy"]["mean"]
            for depth in (8, 20)
        ]
        assert list(drawn[family]) == pytest.approx(means)
    assert train.get_title().startswith("Training") and val.get_title().startswith("Validation")
    maps = [axes.images[0] for axes in figures["sensitivity"].axes if axes.images]
    assert len(maps) == 6
    accuracies, differences = [maps[i] for i in (0, 1, 3, 4)], [maps[2], maps[5]]
    assert len({each.get_clim() for each in accuracies}) == 1 and len({each.get_clim() for each in differences}) == 1
    low, high = differences[0].get_clim()
    assert low == -high
    mean = 100 * arms["plain8"]["settings"][BEST]["best_val_accuracy"]["mean"]
    assert np.asarray(accuracies[0].get_array())[0, 0] == pytest.approx(mean)
    framed = [axes.patches[0].get_xy() for axes in figures["sensitivity"].axes if axes.images and axes.patches]
    assert framed == [(-0.5, -0.5), (0.5, -0.5), (-0.5, -0.5), (0.5, 0.5)]


def test_other_conditions_are_drawn_along_what_differs_and_compared_with_holms_correction_over_all(tmp_path):
    grid = {"train_fraction": (0.25, 1.0)}
    record = make_sweep(tmp_path / "sweep", depths=(8,), grid=grid, seeds=(0, 1), leaked=3)
    validate_sweep(record)
    assert [condition["label"] for condition in record["conditions"]] == ["train fraction 0.25", "train fraction 1.0"]
    assert all(pair["holm_p_value"] is not None for each in record["conditions"] for pair in each["comparisons"])
    assert list(dict(sweep_figures(record))) == ["along_train_fraction"]
    page = sweep_page(record)
    assert "Nothing was chosen" in page and "WARNING: split random (faulty" in page


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
    validate_sweep(record)
    assert dict(sweep_figures(record)) == {}
    assert "0 of 4 cells done, 1 failed, 3 pending" in sweep_page(record)
