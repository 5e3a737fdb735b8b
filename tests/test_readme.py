"""What README.md and the guides say can be done, is done: their commands, their Python, their links, their tables."""

import os
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import resjax
from resjax import ops
from resjax.report.data_shapes import validate_data_record
from resjax.report.page.reproduction_tables import markdown, sentences, tables
from resjax.report.page.tables import markdown_table, splits_markdown
from resjax.report.records import read_json, validate_splits, validate_summary

ROOT = Path(__file__).parents[1]
PLACES = ("README.md", "experiments/README.md", "experiments/README.id.md", "resjax/README.md")
TEXTS = {place: (ROOT / place).read_text() for place in PLACES}
README = TEXTS["README.md"]
NOTES = (ROOT / "BUILD_NOTES.md").read_text()
EXPERIMENT = "python -m experiments."
INSTALLS = r"pip install -e (\.|'\.\[\w+\]')|pytest|python3 -m venv \.venv|\. \.venv/bin/activate"
"""Commands that are not given here: what they need comes from the network, or is this."""
TINY = [
    *("--architectures=plain8,resnet8", "--width=2", "--image_size=16", "--stem=cifar"),
    *("--batch_size=16", "--augment=flip"),
]
SMALL = {
    "compare": ["--epochs=1", *TINY],
    "sweep": [
        *("--epochs=1", "--seeds=1", "--width=2", "--image_size=16", "--dataset=synthetic:60"),
        *("--grid=depth=8", "--grid=learning_rate=1e-3"),
    ],
    "audit": [],
    "probe": ["--probes=gradients"],
    "report": [],
    "predict": ["--nocompile_cache"],
    "benchmark": ["--width=2", "--image_size=32", "--batch_size=2", "--samples=5"],
}


def blocks(text: str, language: str) -> list[str]:
    """The blocks of a language, those inside of a list too."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", text, re.M | re.S)
    return [textwrap.dedent(block) for _, named, block in found if named == language]


def commands(text: str) -> list[str]:
    """Every command of the `sh` blocks, in order; those of `console` blocks are for other machines."""
    lines = [line for block in blocks(text, "sh") for line in block.replace("\\\n", " ").splitlines()]
    return [part.strip() for line in lines for part in line.split(" # ")[0].split("&&") if part.strip()]


def headings(text: str) -> set[str]:
    """The names by which a page's headings are linked to."""
    without_blocks = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.M | re.S)
    titles = re.findall(r"^#+ (.+)$", without_blocks, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def small(command: str) -> list[str]:
    """The words of an experiment's command with flags that shrink it; what the reader asked of it stays otherwise."""
    words = [re.sub(r"(?<==)experiments/", f"{ROOT}/experiments/", word) for word in shlex.split(command)]
    experiment = words[2].removeprefix("experiments.")
    flags = SMALL[experiment] + (["--against=none"] if "--against=torch" in command else [])
    if experiment == "compare":
        flags = flags + ([] if "folder:" in command else ["--dataset=synthetic:60"])
        flags = flags + ([] if "--seeds=" in command else ["--seeds=2"])
    return [sys.executable, *words[1:], *flags]


def test_the_two_commands_stand_there_as_promised():
    quickstart = "python -m experiments.compare --flagfile=experiments/flags/quickstart.flags"
    assert f"pip install -e . && {quickstart}" in README
    assert "pip install -e '.[test]' && pytest" in README
    assert "pip install --quiet -e '.[test]'" in (ROOT / ".ci" / "run").read_text()


def experiments_of(place: str) -> list[str]:
    """The commands of a page that run an experiment, each once and in order, without those of the pages before it."""
    before = [each for other in PLACES[: PLACES.index(place)] for each in commands(TEXTS[other])]
    own = dict.fromkeys(commands(TEXTS[place]))
    return [each for each in own if each.startswith(EXPERIMENT) and each not in before]


@pytest.mark.slow
@pytest.mark.parametrize("place", [place for place in PLACES if experiments_of(place)])
def test_the_commands_of_a_page_run_one_after_the_other_as_written_but_small(place, tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / "my_images" / label).mkdir(parents=True)
        for index in range(12):
            pixels = np.random.default_rng([index, *label.encode()]).integers(0, 255, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "my_images" / label / f"{index}.png")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for command in experiments_of(place):
        subprocess.run(small(command), cwd=tmp_path, env=environment, check=True)


@pytest.mark.parametrize("place", PLACES)
def test_every_other_command_installs_something(place):
    others = [each for each in commands(TEXTS[place]) if not each.startswith(EXPERIMENT)]
    assert [each for each in others if not re.fullmatch(INSTALLS, each)] == []


@pytest.mark.parametrize(
    ("place", "number"), [(place, number) for place in PLACES for number in range(len(blocks(TEXTS[place], "python")))]
)
def test_a_python_example_runs(place, number, tmp_path):
    text = blocks(TEXTS[place], "python")[number]
    subprocess.run([sys.executable, "-c", text], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)


@pytest.mark.parametrize("place", PLACES)
def test_what_a_page_names_exists(place):
    text, folder = TEXTS[place], (ROOT / place).parent
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {extra for extra in re.findall(r"'\.\[(\w+)\]'", text)} <= set(extras)
    for flagfile in re.findall(r"experiments/flags/\w+\.flags", text):
        assert (ROOT / flagfile).exists(), flagfile
    for link, anchor in re.findall(r"\]\(([^)#:\s]*)#?([^):]*)\)", text):
        target = folder / link if link else ROOT / place
        assert target.exists(), link
        assert not anchor or anchor in headings(target.read_text()), f"{link}#{anchor}"
    named = "|".join(re.findall(r"python -m experiments\.(\w+)", text))
    assert all((ROOT / "experiments" / f"{name}.py").exists() for name in named.split("|") if name)


@pytest.mark.parametrize("place", PLACES)
def test_every_flag_that_a_page_names_is_one_of_an_experiment(place):
    sources = [path.read_text() for path in (ROOT / "experiments").rglob("*.py")]
    defined = {name for source in sources for name in re.findall(r"flags\.DEFINE_\w+\(\s*\"(\w+)\"", source)}
    defined |= {f"no{name}" for name in defined} | {"flagfile", "help"}
    code = re.findall(r"`(--[^`]+)`", TEXTS[place])
    code += [line for line in TEXTS[place].splitlines() if "python -m experiments." in line]
    given = [line.rpartition("python -m experiments.")[2] for line in code]
    assert {flag for line in given for flag in re.findall(r"(?<![\w-])--(\w+)", line)} <= defined


def test_every_public_name_stands_in_the_guide_of_who_imports_it():
    public = TEXTS["resjax/README.md"].split("## Public names")[1]
    names = [*resjax.__all__, *(name for name in vars(ops) if callable(getattr(ops, name)))]
    assert len(names) > 20 and [name for name in names if not re.search(rf"`{name}\b", public)] == []


@pytest.mark.parametrize("name", ["quickstart", "indonesian_food"])
def test_its_results_are_those_of_the_committed_records(name):
    summary = read_json(ROOT / "experiments" / "results" / name / "summary.json")
    validate_summary(summary)
    assert markdown_table(summary) in (README if name == "quickstart" else README + NOTES)
    for place in ("README.md", "experiments/README.id.md"):
        assert f"> {summary['comparisons'][0]['sentence']}\n" in TEXTS[place]


def test_the_indonesian_page_has_the_numbers_of_the_committed_records():
    results, page = ROOT / "experiments" / "results", TEXTS["experiments/README.id.md"]
    (comparison,) = read_json(results / "quickstart" / "summary.json")["comparisons"]
    for difference in comparison["differences"]:
        assert f"{100 * difference:+.1f}".replace(".", ",") in page
    for split in ("overlapping", "random", "grouped"):
        arms = read_json(results / "leak_demo_indonesian_food" / split / "summary.json")["architectures"]
        (row,) = [line for line in page.splitlines() if f"`--split={split}`" in line]
        shown = [f"{100 * arms[name]['best_val_accuracy']['mean']:.0f} %" for name in ("plain18", "resnet18")]
        assert row.endswith(f"| {' | '.join(shown)} |")


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
