"""Splits side by side, and the leaked and clean images of a run, are drawn from the records and can be read in full."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from resjax.records import Done, PartScores, Splits, read_record, write_record
from resjax.records.run_records import read_run_records
from resjax.report.cautions import leak_warning
from resjax.report.figures import style
from resjax.report.figures.drawn_run import drawn_run
from resjax.report.figures.split_figures import draw_splits, leaks_figure
from tests.made_records import splits_record
from tests.made_run import make_run


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


def drawn(record: Splits, folder: Path) -> str:
    write_record(folder / "splits.json", record)
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


@pytest.mark.parametrize(("seeds", "networks"), [(1, ("a18",)), (2, tuple(f"net{n}_project_all" for n in range(5)))])
def test_unusual_comparisons_are_drawn_whole(seeds, networks, tmp_path):
    text = drawn(splits_record(seeds=seeds, networks=networks), tmp_path)
    assert f"Validation accuracy of {' and '.join(networks)}: overlapping 90.0" in text.replace("\n", " ")


def test_without_a_finished_replica_there_is_no_picture(tmp_path):
    write_record(tmp_path / "splits.json", splits_record(seeds=0))
    assert draw_splits(tmp_path) == []


def test_a_run_with_leaks_shows_what_they_gain_each_network(tmp_path):
    workdir = make_run(tmp_path / "run", {"plain18": 0.5, "resnet18": 0.8}, leaked=20)
    for path in workdir.rglob("result.json"):
        result = msgspec.structs.replace(
            read_record(path, Done),
            leaked=PartScores(images=20, correct=18, accuracy=0.9),
            clean=PartScores(images=40, correct=24, accuracy=0.6),
        )
        write_record(path, result)
    run = drawn_run(read_run_records(workdir))
    png, svg = style.save([("leaks", leaks_figure(run))], tmp_path)
    assert_nothing_is_cut_off(png)
    text = words(svg).replace("\n", " ")
    assert "Validation accuracy on leaked images, points above clean ones: plain18 +30.0, resnet18 +30.0" in text
    assert "90.0" in text and "60.0" in text and "20 of 60 validation images (33 %)" in text


@pytest.mark.parametrize(
    ("is_faulty", "leaked", "expected"),
    [
        (False, {"val": 0, "test": 0}, ""),
        (True, {"val": 0, "test": 0}, "WARNING: split random: no image leaks"),
        (False, {"val": 1, "test": 2}, "WARNING: split random: 1 of 8 validation images (12 %) and 2 of 4 test images"),
    ],
)
def test_a_warning_is_given_where_there_is_a_leak_or_a_fault(is_faulty, leaked, expected):
    split = splits_record().splits["random"]
    sides = {"train": 9, "val": 8, "test": 4}
    warning = leak_warning(
        msgspec.structs.replace(split, label="random", is_faulty=is_faulty, sides=sides, leaked=leaked)
    )
    assert warning.startswith(expected) and bool(warning) == bool(expected)
