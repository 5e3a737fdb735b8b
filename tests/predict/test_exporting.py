"""What an export leaves: weights that read back, a program that gives the same numbers, and a card that says so."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import yaml
from jax import export
from msgspec.structs import replace
from PIL import Image

from resjax.data.decoding import decode_files
from resjax.errors import BadInput
from resjax.models.torch_weights import load_weights
from resjax.predict import exporting
from resjax.predict.exporting import PROGRAM, export_network, public_name
from resjax.predict.model_card import model_card, text
from resjax.predict.trained_network import TrainedNetwork, trained_network
from resjax.records import ExportConfig, read_record
from tests.made_networks import CLASSES, SIZE, make_networks

FORMATS = ("safetensors", "stablehlo")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A workdir in `run`, its images in `images`, and the ensemble of its better arm exported to `model`."""
    folder = tmp_path_factory.mktemp("export")
    # 16 channels: from there on a CPU has convolutions of its own, which a batch without a number does without.
    make_networks(folder, ("plain8", "resnet8"), width=16)
    export_network(trained_network(folder / "run", "resnet8", "ensemble"), folder / "model", FORMATS)
    return folder


@pytest.fixture(scope="module")
def arm(folder) -> TrainedNetwork:
    return trained_network(folder / "run", "resnet8", "ensemble")


def test_the_weights_of_each_seed_read_back_to_the_bit_and_can_be_started_from(folder, arm):
    for seed, variables in arm.variables.items():
        path = folder / "model" / f"seed{seed}.safetensors"
        loaded = load_weights(path, arm.functional.init(jax.random.key(9)))
        assert loaded.notes == ()
        jax.tree.map(np.testing.assert_array_equal, loaded.variables, variables)
        # As readable as every other file.
        assert path.stat().st_mode == (folder / "model" / "config.json").stat().st_mode


def test_the_program_gives_the_same_numbers_for_any_batch_and_is_there_for_every_platform(folder, arm):
    program = export.deserialize(bytearray((folder / "model" / PROGRAM).read_bytes()))
    assert program.platforms == ("cpu", "cuda", "tpu")
    pixels = np.stack(decode_files(sorted((folder / "images").iterdir())[:3], SIZE))
    logits = arm.logits(pixels)
    for images in (1, 3):
        found = program.call(pixels[:images])
        np.testing.assert_allclose(found["logits"], logits[:, :images], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found["probabilities"], arm.probabilities(logits)[:images], rtol=1e-3, atol=1e-5)


def test_the_config_says_all_that_a_reader_needs(folder, arm):
    config = read_record(folder / "model" / "config.json", ExportConfig)
    assert config.classes == list(CLASSES) and config.seeds == [0, 1] and config.width == 16
    assert config.temperature == arm.temperature == config.calibration.temperature != 1
    # The first four images of the made run are two pictures with a copy each.
    assert config.scores.pictures == config.scores.images - 2
    low, high = config.scores.accuracy_ci95
    assert low < config.scores.accuracy < high
    for name, described in config.files.items():
        assert (folder / "model" / name).stat().st_size == described.bytes


@pytest.mark.slow
def test_the_examples_of_the_card_run_and_the_first_needs_no_resjax(folder, arm, tmp_path):
    for path in (folder / "model").iterdir():
        shutil.copy(path, tmp_path)
    photo = sorted((folder / "images").iterdir())[1]
    with Image.open(photo) as image:
        image.save(tmp_path / "photo.jpg", "JPEG", quality=100, subsampling=0)
    without, within = re.findall(r"^```python\n(.*?)^```", (tmp_path / "README.md").read_text(), re.M | re.S)
    assert "resjax" not in without and "import resjax" in within
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    for code in (without, within):
        found = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        if code is without:
            said = dict(line.split(": ") for line in found.stdout.splitlines())
    pixels = np.stack(decode_files([tmp_path / "photo.jpg"], SIZE))
    for name, probability in zip(CLASSES, arm.probabilities(arm.logits(pixels))[0], strict=True):
        assert float(said[name].removesuffix(" %")) == pytest.approx(100 * probability, abs=0.11)


def test_another_export_takes_the_place_of_the_one_before_and_of_nothing_else(folder, tmp_path):
    shutil.copytree(folder / "model", tmp_path / "model")
    (tmp_path / "model" / "mine.txt").write_text("kept")
    one = trained_network(folder / "run", "plain8", "best")
    config = export_network(one, tmp_path / "model", ("safetensors",))
    there = {path.name for path in (tmp_path / "model").iterdir()}
    assert there == {"model.safetensors", "config.json", "README.md", "mine.txt"}
    assert list(config.files) == ["model.safetensors"] and config.architecture == "plain8"
    card = (tmp_path / "model" / "README.md").read_text()
    assert "model.stablehlo" not in card and "may have been chosen on these very images" in card
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "README.md").write_text("# My project")
    with pytest.raises(BadInput, match="it holds something else than an earlier export"):
        export_network(one, tmp_path / "project", ("safetensors",))
    assert (tmp_path / "project" / "README.md").read_text() == "# My project"


def test_an_export_that_was_broken_off_can_be_made_again(folder, tmp_path, monkeypatch):
    one = trained_network(folder / "run", "plain8", "best")

    def full(*_):
        raise BadInput("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(exporting, "save_weights", full)
        with pytest.raises(BadInput, match="the disk is full"):
            export_network(one, tmp_path / "model", ("safetensors",))
    assert read_record(tmp_path / "model" / "config.json", ExportConfig).files == {}
    assert export_network(one, tmp_path / "model", ("safetensors",)).files.keys() == {"model.safetensors"}


def test_a_program_that_cannot_be_serialized_is_refused_before_anything_is_written(arm, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "MOST_BYTES", 1000)
    with pytest.raises(BadInput, match=r"2 replicas .* --replica=best, or safetensors alone"):
        export_network(arm, tmp_path / "model", FORMATS)
    monkeypatch.setattr(exporting.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"stablehlo needs flatbuffers \(pip install flatbuffers\)"):
        export_network(arm, tmp_path / "model", FORMATS)
    assert not (tmp_path / "model").exists()


EVIL = ("- yes: [no", "a|b*c_d", "<script>alert(1)</script>", "1. `x`\nnext: line", "#\u202eé")


def test_no_name_becomes_markup_in_the_card_or_breaks_its_head(folder, arm):
    summary = arm.records.summary
    config = read_record(folder / "model" / "config.json", ExportConfig)
    scores = dict(zip(EVIL, [*config.scores.per_class.values()] * 2, strict=False))
    named = replace(config.dataset, name=EVIL[2] + "\n---\nevil: true")
    config = replace(config, classes=list(EVIL), dataset=named, scores=replace(config.scores, per_class=scores))
    card = model_card(config, summary)
    assert card.startswith("---\n")
    head, body = card[4:].split("\n---\n", 1)
    head = yaml.safe_load(head)
    assert head["pipeline_tag"] == "image-classification" and "evil" not in head
    (result,) = head["model-index"][0]["results"]
    assert result["dataset"]["name"] == named.name and result["metrics"][0]["type"] == "accuracy"
    assert "<script" not in body.replace("\\<script", "") and "\nevil" not in body
    rows = [line for line in body.splitlines() if line.startswith("|") and "%" in line]
    assert len(rows) == 5 and all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)
    assert "0. \\- yes: \\[no\n1. a\\|b\\*c\\_d\n" in body and "3. 1\\. \\`x\\` next: line\n" in body


def test_the_card_says_where_the_numbers_come_from(folder, arm):
    summary = arm.records.summary
    pair = replace(summary.comparisons[0], sentence="resnet8 is better than plain8.")
    other = replace(pair, baseline="plain20", candidate="resnet20", sentence="resnet20 is better.")
    config = read_record(folder / "model" / "config.json", ExportConfig)
    assert (folder / "model" / "README.md").read_text() == model_card(config, summary)
    card = model_card(config, replace(summary, comparisons=[pair, other]))
    assert "resnet20 is better" not in card
    for words in (
        *("# resnet8 on made", "An ensemble of 2 networks (seeds 0, 1)", "## Data and recipe", "## Limits"),
        *("## Calibration", "Cross-fitted: each fifth of the images", "| learning\\_rate | 0.0005 |"),
        *("> resnet8 is better than plain8.", "over 2 seeds", "`0123456789abcdef`"),
    ):
        assert words in card, words
    # A folder of the machine it was trained on is nobody's business.
    assert str(folder) not in card and public_name(f"csv:{folder}/food/train.csv") == "food/train.csv"
    assert text("0.0005") == "0.0005"
