"""What README.md says can be done, is done: its commands, its Python, its pictures, its flagfiles."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.tables import markdown_table, splits_markdown
from resjax.report.data_shapes import validate_data_record
from resjax.report.records import read_json, validate_splits, validate_summary
from resjax.report.reproduction import markdown, sentences, tables
from tests.made_run import make_run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
NOTES = (ROOT / "BUILD_NOTES.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.M | re.S)
COMMANDS = [
    part.strip()
    for language, text in BLOCKS
    if language == "sh"
    for line in text.replace("\\\n", " ").splitlines()
    for part in line.split("#")[0].split("&&")
    if part.strip()
]
EXPERIMENTS = [command for command in COMMANDS if command.startswith("python -m experiments.")]
SMALL = {
    "compare": ["--epochs=1", "--seeds=2", "--width=2", "--image_size=16", "--stem=cifar", "--batch_size=16"],
    "audit": [],
    "report": [],
    "benchmark": ["--width=2", "--image_size=32", "--batch_size=2", "--samples=5"],
}


def test_the_two_commands_stand_there_as_promised():
    quickstart = "python -m experiments.compare --flagfile=experiments/flags/quickstart.flags"
    assert f"pip install -e . && {quickstart}" in README
    assert "pip install -e '.[test]' && pytest" in README
    assert "pip install --quiet -e '.[test]'" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("command", EXPERIMENTS)
def test_an_experiments_command_runs_as_written_but_small(command, tmp_path):
    words = shlex.split(command)
    experiment = words[2].removeprefix("experiments.")
    for label in ("cat", "dog"):
        (tmp_path / "my_images" / label).mkdir(parents=True)
        for index in range(12):
            pixels = np.random.default_rng([index, *label.encode()]).integers(0, 255, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "my_images" / label / f"{index}.png")
    if experiment == "report":
        make_run(tmp_path / "runs" / "mine", {"plain18": 0.5, "resnet18": 0.8})
    words = [re.sub(r"(?<==)experiments/", f"{ROOT}/experiments/", word) for word in words]
    flags = SMALL[experiment] + (["--against=none"] if "--against=torch" in command else [])
    if experiment == "compare" and "folder:" not in command:
        flags.append("--dataset=synthetic:60")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, *words[1:], *flags], cwd=tmp_path, env=environment, check=True)


@pytest.mark.parametrize("text", [text for language, text in BLOCKS if language == "python"])
def test_a_python_example_runs(text, tmp_path):
    subprocess.run([sys.executable, "-c", text], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)


@pytest.mark.parametrize("name", ["quickstart", "indonesian_food"])
def test_its_results_are_those_of_the_committed_records(name):
    summary = read_json(ROOT / "experiments" / "results" / name / "summary.json")
    validate_summary(summary)
    assert markdown_table(summary) in (README if name == "quickstart" else README + NOTES)
    assert f"> {summary['comparisons'][0]['sentence']}\n" in README


@pytest.mark.parametrize("name", ["leak_demo", "leak_demo_indonesian_food"])
def test_what_leaks_cost_is_what_the_committed_records_say(name):
    record = read_json(ROOT / "experiments" / "results" / name / "splits.json")
    validate_splits(record)
    for split in record["splits"]:
        validate_summary(read_json(ROOT / "experiments" / "results" / name / split / "summary.json"))
    assert splits_markdown(record) in NOTES


@pytest.mark.parametrize("name", ["reproduce_cifar10_quick", "reproduce_first_exercise_quick"])
def test_what_came_out_again_is_what_the_committed_records_say(name):
    folder = ROOT / "experiments" / "results" / name
    record = read_json(folder / "reproduction.json")
    validate_data_record("reproduction", record)
    as_text = [markdown(table) for table in tables(record)]
    assert all(table in NOTES for table in as_text) and any(table in README for table in as_text)
    assert all(sentence in NOTES for sentence in sentences(record))
    for report in record["reports"]:
        validate_summary(read_json(folder / report.replace("report.html", "summary.json")))
    for own in record["own"]:
        for seed, loss in zip(own["seeds"], own["measures"]["train_loss"]["values"], strict=True):
            result = folder / "comparison" / own["split"] / "runs" / own["arm"] / f"seed{seed}" / "result.json"
            assert read_json(result)["last"]["train_loss"] == loss


def test_every_extra_and_every_file_that_is_named_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {extra for extra in re.findall(r"'\.\[(\w+)\]'", README)} <= set(extras)
    for path in re.findall(r"\]\(([^)#:]+)\)", README) + re.findall(r"experiments/flags/\w+\.flags", README):
        assert (ROOT / path).exists(), path
