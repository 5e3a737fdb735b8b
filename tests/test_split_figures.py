"""Splits side by side, and the leaked and clean images of a run, are drawn from the records and can be read in full."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resjax.report.figures import style
from resjax.report.figures.run import Arm, Run, leak_warning
from resjax.report.figures.split_figures import draw_splits, leaks_figure
from resjax.report.records import write_json
from tests.made_records import splits_record


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    monkeypatch.setattr(style, "DPI", 60)


def words(path: Path) -> str:
    texts = [element for element in ElementTree.parse(path).iter() if element.tag.endswith("}text")]
    return "\n".join("".join(element.itertext()) for element in texts)


def assert_nothing_is_cut_off(path: Path) -> None:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    assert all((edge == 255).all() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])), path.name


def drawn(record: dict, folder: Path) -> str:
    write_json(folder / "splits.json", record)
    png, svg = draw_splits(folder)
    assert_nothing_is_cut_off(png)
    return words(svg)


def test_methods_show_all_images_and_beside_them_the_leaked_and_the_clean(tmp_path):
    text = drawn(splits_record(), tmp_path)
    title = "Points of validation accuracy of b18 above a18: overlapping +3.0, random +3.0, grouped +3.0"
    assert title in text.replace("\n", " ")
    for expected in ("All validation images", "Their clean and their leaked part", "validation accuracy (%)"):
        assert expected in text
    assert text.count("faulty\n") == 4 and "40 of 50 leak" in text and "50 images" in text
    assert "WARNING: split random (faulty: shown on purpose): 20 of 50 validation images (40 %)" in text


def test_folds_show_all_folds_together_and_no_parts(tmp_path):
    text = drawn(splits_record(folds=True), tmp_path)
    assert "Points of cross-validated accuracy of b18 above a18: all 150 images +3.0" in text.replace("\n", " ")
    assert "fold3" in text and "all folds" in text and "leaked part" not in text and "WARNING" not in text


def test_test_images_are_shown_where_there_are_any(tmp_path):
    text = drawn(splits_record(tested=True), tmp_path)
    assert "All test images" in text and "20 of 25 leak" in text


@pytest.mark.parametrize(("seeds", "arms"), [(1, ("a18",)), (2, tuple(f"arm{n}_project_all" for n in range(5)))])
def test_unusual_comparisons_are_drawn_whole(seeds, arms, tmp_path):
    text = drawn(splits_record(seeds=seeds, arms=arms), tmp_path)
    assert f"Validation accuracy of {' and '.join(arms)}: overlapping 90.0" in text.replace("\n", " ")


def test_without_a_finished_replica_there_is_no_picture(tmp_path):
    write_json(tmp_path / "splits.json", splits_record(seeds=0))
    assert draw_splits(tmp_path) == []


def test_a_run_with_leaks_shows_what_they_gain_each_arm(tmp_path):
    results = {seed: {"leaked": {"accuracy": 0.9}, "clean": {"accuracy": 0.5 + 0.1 * seed}} for seed in range(3)}
    arms = tuple(Arm(name, color, "o", {}, results, "") for name, color in (("plain18", "red"), ("resnet18", "blue")))
    warning = leak_warning({"label": "random (faulty)", "is_faulty": True, "sides": {"val": 8}, "leaked": {"val": 4}})
    run = Run(arms, ("bakso", "rendang"), "validation", "", warning, "")
    png, svg = style.save((("leaks", figure) for figure in [leaks_figure(run)]), tmp_path)
    assert_nothing_is_cut_off(png)
    text = words(svg).replace("\n", " ")
    assert "Validation accuracy on leaked images, points above clean ones: plain18 +30.0, resnet18 +30.0" in text
    assert "90.0" in text and "60.0" in text and "4 of 8 validation images (50 %)" in text


@pytest.mark.parametrize(
    ("is_faulty", "leaked", "expected"),
    [
        (False, {"val": 0, "test": 0}, ""),
        (True, {"val": 0, "test": 0}, "WARNING: split random: no image leaks"),
        (False, {"val": 1, "test": 2}, "WARNING: split random: 1 of 8 validation images (12 %) and 2 of 4 test images"),
    ],
)
def test_a_warning_is_given_where_there_is_a_leak_or_a_fault(is_faulty, leaked, expected):
    split = {"label": "random", "is_faulty": is_faulty, "sides": {"val": 8, "test": 4}, "leaked": leaked}
    warning = leak_warning(split)
    assert warning.startswith(expected) and bool(warning) == bool(expected)
