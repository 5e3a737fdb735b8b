"""What a reproduction's record says in tables and sentences, and that its page holds all of it."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.reproductions.page import reproduction_text
from resjax.report.figures.run import data_note
from resjax.report.page.reproduction_page import reproduction_page
from resjax.report.page.reproduction_tables import depth_sentence, markdown, sentences, tables
from resjax.report.records import write_json
from tests.made_records import reproduction_record


@pytest.fixture(scope="module")
def record() -> dict:
    return reproduction_record()


def test_published_and_own_numbers_stand_in_rows_of_their_own(record):
    values, changes, recalls = tables(record)
    rows = {row[0]: row[1:] for row in values.rows}
    assert values.header == ["", "plain20", "resnet20", "plain56", "resnet56"]
    assert rows["Somebody: test error"] == ["10", "9", "8", "7"]
    assert rows["Others: lowest to highest"] == ["about 9 to 12.5", "–", "–", "–"]
    mean = record["own"][0]["measures"]["final_val_accuracy"]["mean"]
    # An error, where the record has accuracies; the loss is a loss.
    assert rows["ours: validation, last epoch"][0].startswith(f"{100 * (1 - mean):.1f} ± ")
    assert rows["ours: training loss, last epoch (nats)"][1].startswith("1.2")
    assert recalls.rows == [["published: plain20", "50", "100"]]


def test_differences_have_the_sign_of_what_is_listed(record):
    changes = {row[0]: row[1:] for row in tables(record)[1].rows}
    assert changes["Somebody: test error"] == ["−1.00", "−1.00"]
    assert "Others: lowest to highest" not in changes
    # One point more of accuracy is one point less of error.
    described = record["pairs"][0]["own"][0]["measures"]["final_val_accuracy"]
    assert described["mean"] > 0 and changes["ours: validation, last epoch"][0].startswith("−")
    low, high = described["ci95"]
    assert (
        f"({-100 * high:+.1f} to {-100 * low:+.1f})".replace("-", "−").replace("+", "+")
        in (changes["ours: validation, last epoch"][0])
    )
    accurate = tables(record | {"quantity": "accuracy"})[1]
    assert accurate.rows[-2][1].startswith("+")


def test_each_split_has_its_own_rows():
    values = tables(reproduction_record(splits=("overlapping", "grouped")))[0]
    labels = [row[0] for row in values.rows]
    assert "ours, split overlapping: validation, last epoch" in labels
    assert "ours, split grouped: training loss, last epoch (nats)" in labels


@pytest.mark.parametrize(
    ("slope", "words"),
    [
        ([-0.2, -0.1], "the gap grows with depth, as the paper reports"),
        ([0.1, 0.2], "the gap does not grow with depth"),
        ([-0.2, 0.1], "so many seeds do not show whether the gap grows with depth"),
        (None, "so many seeds do not show whether the gap grows with depth"),
    ],
)
def test_the_sentence_on_depth_claims_growth_where_the_interval_leaves_out_zero(slope, words, record):
    family = copy.deepcopy(record["depth"][0])
    family["measures"]["train_loss"]["slope"]["mean"] = sum(slope) / 2 if slope else -0.1
    family["measures"]["train_loss"]["slope"]["ci95"] = slope
    said = depth_sentence(family)
    assert said.endswith(f": {words}.") and "at 20 layers" in said and "lower in 3 of 3 seeds" in said
    assert sentences(record)[-1] == "Inconclusive: made."


def test_the_page_holds_every_cell_and_says_what_the_numbers_are_not(record):
    broken = copy.deepcopy(record)
    broken["own"][1]["status"]["2"] = "diverged"
    page = reproduction_page(broken)
    for table in tables(record):
        for row in table.rows:
            assert all(f">{cell}<" in page for cell in row)
    for text in ("Twins &amp; &lt;others&gt;", "made: no images at all.", "--epochs=3: the recipe has 182", "table 1"):
        assert text in page
    assert "resnet20: seed 2 diverged" in page and "A small version (--quick)" in page
    assert page.count("data:image/png;base64,") == 1 and "<script" not in page
    assert "A small version" not in reproduction_page(record | {"quick": False})


def test_the_terminal_and_a_text_have_the_same_cells(record):
    said = reproduction_text(record)
    for table in tables(record):
        for row in table.rows:
            assert all(cell in said for cell in row)
        assert all(f"| {cell} |" in markdown(table) for cell in table.rows[0][1:])
    assert "NOTE: made: no images at all" in said and "in 1 ways" in said


def test_the_page_is_made_again_from_the_record_alone(record, tmp_path):
    write_json(tmp_path / "reproduction.json", record)
    command = [sys.executable, "-m", "experiments.report", f"--workdir={tmp_path}"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1]).stdout
    assert said == f"{tmp_path / 'reproduction.html'}\n"
    assert (tmp_path / "reproduction.html").read_text() == reproduction_page(record)


@pytest.mark.parametrize("name", ["tfds:cifar10_jpeg", "tfds:cifar10_jpeg@train[:20%]", "tfds:cifar10_jpeg:1.0.0"])
def test_lossy_copies_are_known_by_every_name(name):
    assert "no error rate on CIFAR-10" in data_note(name)


@pytest.mark.parametrize("name", ["tfds:cifar10", "tfds:cifar10@train[:20%]", "folder:cifar10_jpeg", "synthetic"])
def test_other_images_need_no_note(name):
    assert data_note(name) == ""
