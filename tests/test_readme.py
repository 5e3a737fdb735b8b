"""The pages hold what they say: their commands and Python run, their links resolve, their tables equal the records."""

import inspect
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
import warnings
from contextlib import chdir
from functools import cache
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import resjax
from experiments.benchmarks.harness.rows import TrainStepRow
from experiments.studies.committed_results import COMMITTED, committed_markdown, older_folders, trained_records
from resjax.api.comparing import compare
from resjax.api.inputs import networks_of
from resjax.cli.console import COMMANDS
from resjax.evaluation.comparison.statistics.planning import smallest_detectable
from resjax.evaluation.diagnosis.explanations import explain
from resjax.functional import Functional
from resjax.records import (
    Done,
    Probes,
    ReproductionRecord,
    Splits,
    Summary,
    Sweep,
    read_lines,
    read_record,
    read_result,
)
from resjax.report.comparison_text import comparison_markdown, splits_markdown
from resjax.report.page.glossary import COMMON, RARE
from resjax.report.reproduction_text import sentences, tables
from resjax.report.sweep_text import choice_table
from resjax.report.tables import markdown
from resjax.run.planning import ground_of_images
from resjax.run.setup.networks import require_trainable
from tests.commands import require_understood, run_program
from tests.made_run import make_run

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
GUIDES = ("README.md", "experiments/README.md", "experiments/README.id.md", "resjax/README.md")
"""Pages whose commands and Python are run."""
RESULT_PAGES = tuple(sorted(str(path.relative_to(ROOT)) for path in RESULTS.rglob("README.md")))
CLUSTERS, REPRODUCTIONS = "experiments/CLUSTERS.md", "experiments/REPRODUCTIONS.md"
OTHERS = ("BUILD_NOTES.md", "tests/README.md", "experiments/examples/README.md")
PAGES = (*GUIDES, CLUSTERS, REPRODUCTIONS, *OTHERS, *RESULT_PAGES)
TEXTS = {page: (ROOT / page).read_text() for page in PAGES}
README = TEXTS["README.md"]
EXPERIMENT = re.compile(r"(?:python -m experiments\.|resjax )(\w+)")
INSTALLS = r"cd resjax|pip install -e (\.|'\.\[\w+\]')|pytest|python3 -m venv \.venv|\. \.venv/bin/activate"
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
    "plan": [],
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


def written(command: str) -> tuple[str, list[str]]:
    """The name and the arguments of an experiment's command."""
    words = [re.sub(r"(?<==)experiments/", f"{ROOT}/experiments/", word) for word in shlex.split(command)]
    return (words[1], words[2:]) if words[0] == "resjax" else (words[2].removeprefix("experiments."), words[3:])


def small(command: str) -> tuple[str, list[str]]:
    """The name and the arguments of an experiment's command, with flags that shrink it; the rest stays as it is."""
    experiment, given = written(command)
    flags = SMALL[experiment] + (["--against=none"] if "--against=torch" in command else [])
    if experiment == "compare":
        flags = flags + ([] if "folder:" in command else ["--dataset=synthetic:60"])
        flags = flags + ([] if "--seeds=" in command else ["--seeds=2"])
    return experiment, [*given, *flags]


def page_of(record: str) -> str:
    """The page beside a record."""
    return (RESULTS / record / "README.md").read_text()


@cache
def known_flags() -> frozenset[str]:
    """The flags of every command and study, as their help lists them."""
    modules = [f"experiments.{name}" for name in COMMANDS]
    studies = ("calibration", "committed_results", "near_duplicates", "near_duplicate_kinds", "references")
    studies += ("self_comparison",)
    modules += [f"experiments.studies.{name}" for name in studies]
    modules.append("experiments.benchmarks.accelerator.images")
    programs = [
        subprocess.Popen([sys.executable, "-m", module, "--helpfull"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for module in modules
    ]
    listed = {name for program in programs for name in re.findall(r"^ +--(\w+)", program.communicate()[0], re.M)}
    return frozenset(listed | {f"no{name}" for name in listed} | {"flagfile", "help", "helpfull"})


def test_the_two_commands_stand_there_as_promised():
    quickstart = "python -m experiments.compare --flagfile=experiments/flags/quickstart.flags"
    assert f"pip install -e . && {quickstart}" in README
    assert "pip install -e '.[test]' && pytest" in README
    ci = (ROOT / ".ci" / "run").read_text()
    assert "install --quiet -e '.[test]'" in ci and re.search(r"^pytest\b", ci, re.M)
    # What `pytest` leaves out.
    assert re.search(r"^pytest\b.* -m long$", ci, re.M)


def experiments_of(page: str) -> list[str]:
    """The commands of a guide that run an experiment, each once and in order, without those of the guides before it."""
    before = [each for other in GUIDES[: GUIDES.index(page)] for each in commands(TEXTS[other])]
    own = dict.fromkeys(commands(TEXTS[page]))
    return [each for each in own if EXPERIMENT.match(each) and each not in before]


@pytest.mark.parametrize("page", [page for page in GUIDES if experiments_of(page)])
def test_every_command_of_a_page_is_understood_as_written(page, tmp_path):
    for command in experiments_of(page):
        name, arguments = written(command)
        require_understood(name, *arguments, cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[] if page == "README.md" else pytest.mark.long)
        for page in GUIDES
        if experiments_of(page)
    ],
)
def test_the_commands_of_a_page_run_one_after_the_other_as_written_but_small(page, tmp_path, unrendered):
    for label in ("cat", "dog"):
        (tmp_path / "my_images" / label).mkdir(parents=True)
        for index in range(12):
            pixels = np.random.default_rng([index, *label.encode()]).integers(0, 255, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "my_images" / label / f"{index}.png")
    for command in experiments_of(page):
        name, arguments = small(command)
        done = run_program(name, *arguments, cwd=tmp_path)
        assert done.returncode == 0, f"{command}: {done.stderr}"


@pytest.mark.parametrize("page", GUIDES)
def test_every_other_command_installs_something(page):
    others = [each for each in commands(TEXTS[page]) if not EXPERIMENT.match(each)]
    assert [each for each in others if not re.fullmatch(INSTALLS, each)] == []


@pytest.mark.parametrize(
    ("page", "number"), [(page, number) for page in GUIDES for number in range(len(blocks(TEXTS[page], "python")))]
)
def test_a_python_example_runs(page, number, tmp_path):
    text = blocks(TEXTS[page], "python")[number]
    if "runs/mine" in text:
        make_run(tmp_path / "runs" / "mine", {"plain34": 0.4, "resnet34": 0.6})
    # As a user's program has it, and not as the tests are stricter.
    with chdir(tmp_path), jax.numpy_rank_promotion("allow"), warnings.catch_warnings():
        warnings.simplefilter("default")
        exec(compile(text, f"{page} {number}", "exec"), {"__name__": "__main__"})


def test_the_network_of_readme_is_one_that_a_comparison_trains(monkeypatch):
    (text,) = blocks(README, "py")
    asked = {}
    call = inspect.signature(compare)
    monkeypatch.setattr(resjax, "compare", lambda *given, **more: asked.update(call.bind(*given, **more).arguments))
    exec(compile(text, "my_network.py", "exec"), {"__name__": "__main__"})
    baseline, own = networks_of(asked["networks"])
    require_trainable(Functional(own, classes=3), asked["image_size"], seeds=(0, 1))
    assert f"--architectures={baseline.name},my_network:{own.name}" in README


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_exists(page):
    text, folder = TEXTS[page], (ROOT / page).parent
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {extra for extra in re.findall(r"'\.\[(\w+)\]'", text)} <= set(extras)
    for flagfile in re.findall(r"experiments/flags/\w+\.flags", text):
        assert (ROOT / flagfile).exists(), flagfile
    for link, anchor in re.findall(r"\]\(([^)#:\s]*)#?([^):]*)\)", text):
        target = folder / link if link else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in headings(target.read_text()), f"{link}#{anchor}"
    for path in re.findall(r"`((?:resjax|experiments|tests)/[\w./]+\.(?:py|c|md))`", text):
        assert (ROOT / path).exists(), path
    for module in re.findall(r"python -m (experiments\.[a-z][\w.]*\w)", text):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists(), module
    assert set(re.findall(r"^ *resjax (\w+)", "\n".join(blocks(text, "sh")), re.M)) <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_that_a_page_names_is_one_of_an_experiment(page):
    code = [each for each in re.findall(r"`([^`]+)`", TEXTS[page]) if each.startswith(("--", "python -m experiments."))]
    code += [line for line in TEXTS[page].splitlines() if "python -m experiments." in line]
    given = [line.rpartition("python -m experiments.")[2] for line in code]
    assert {flag for line in given for flag in re.findall(r"(?<![\w-])--(\w+)", line)} <= known_flags()


def test_committed_records_are_of_todays_numerics():
    # Take them again: python -m experiments.studies.committed_results
    assert older_folders() == set()


def test_the_table_of_committed_records_is_the_one_that_the_command_takes_them_again_by():
    assert committed_markdown() in page_of("")
    folders = {path.relative_to(RESULTS).parts[0] for path in trained_records(RESULTS)}
    assert folders == {each.name for each in COMMITTED}


@pytest.mark.parametrize(("name", "guide"), [("quickstart", "README.md"), ("indonesian_food", "experiments/README.md")])
def test_the_results_are_those_of_the_committed_records(name, guide):
    summary = read_record(RESULTS / name / "summary.json", Summary)
    assert comparison_markdown(summary) in page_of(name)
    for page in (guide, "experiments/README.id.md"):
        assert f"> {summary.comparisons[0].sentence}\n" in TEXTS[page]


def test_the_page_of_the_larger_photographs_has_every_verdict_of_its_record():
    name = "indonesian_food_96px"
    summary = read_record(RESULTS / name / "summary.json", Summary)
    assert comparison_markdown(summary).strip() in page_of(name)
    assert all(f"> {each.sentence}\n" in page_of(name) for each in summary.comparisons)
    verdict = summary.comparisons[0].sentence
    assert f"> {verdict}\n" in page_of("indonesian_food") and f"> {verdict}\n" in TEXTS["experiments/README.md"]


def test_the_inconclusive_answer_of_the_guides_is_that_of_a_committed_record():
    summary = read_record(RESULTS / "leak_demo_indonesian_food" / "grouped" / "summary.json", Summary)
    for page in ("experiments/README.md", "experiments/README.id.md"):
        assert f"> {summary.comparisons[0].sentence}\n" in TEXTS[page]


def test_the_readmes_have_the_numbers_of_the_committed_records():
    page = TEXTS["experiments/README.id.md"]
    summary = read_record(RESULTS / "quickstart" / "summary.json", Summary)
    (comparison,) = summary.comparisons
    for difference in comparison.differences:
        assert f"{100 * difference:+.1f}".replace(".", ",") in page
    for network in summary.architectures.values():
        accuracy = f"{100 * network.best_val_accuracy.mean:.1f} %"
        assert accuracy in README and accuracy.replace(".", ",") in page
    for split in ("overlapping", "random", "grouped"):
        summary = read_record(RESULTS / "leak_demo_indonesian_food" / split / "summary.json", Summary)
        means = [summary.architectures[name].best_val_accuracy.mean for name in ("plain18", "resnet18")]
        (row,) = [line for line in page.splitlines() if f"`--split={split}`" in line]
        assert row.endswith("| " + " | ".join(f"{100 * mean:.0f} %" for mean in means) + " |")


def test_readme_says_what_a_plan_says():
    found = ground_of_images("", np.ones(230, int), 0.05, 0.6, None).found
    six, twenty = (f"{100 * (smallest_detectable(found, seeds) or 0):.0f}" for seeds in (6, 20))
    text = " ".join(README.split())
    assert f"Six seeds on 230 validation images find a difference of about {six} points" in text
    assert f"20 seeds one of about {twenty}." in text


def test_the_guide_has_the_words_of_the_reports():
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", TEXTS["experiments/README.md"].split("\n## ")[1], re.M))
    assert {word.name for word in COMMON} <= set(rows)
    assert all(rows.get(word.name, word.meaning) == word.meaning for word in (*COMMON, *RARE))


def test_the_guide_has_the_speeds_of_the_committed_record():
    rows = read_lines(RESULTS / "benchmark" / "cpu_train_step.jsonl", TrainStepRow)
    by_size = {row.image_size: row.ratio for row in rows if (row.architecture, row.width) == ("resnet34", 64)}
    first, second, third = (f"{ratio:.2f}" for _, ratio in sorted(by_size.items()))
    speeds = f"{first}, {second} and {third} of PyTorch's speed at {', '.join(map(str, sorted(by_size)[:2]))} and"
    assert speeds in " ".join(TEXTS["experiments/README.md"].split())


def test_the_explanations_of_the_guide_are_those_that_the_committed_record_supports():
    record = read_record(RESULTS / "probes_indonesian_food" / "probes.json", Probes)
    assert explain(record) == record
    _, section = TEXTS["experiments/README.md"].split("\n## Why the shortcut helps\n")
    listed = re.findall(r"^- ", section.split("\n## ")[0], re.M)
    assert len(listed) == sum(each.verdict == "supported" for each in record.explanations)


def test_what_the_probes_of_the_larger_photographs_measured_is_what_their_record_says():
    record = read_record(RESULTS / "indonesian_food_96px" / "probes.json", Probes)
    assert explain(record) == record
    said = [probe.sentence for probe in record.probes.values()]
    _, section = page_of("indonesian_food_96px").split("\n## Why\n")
    (_, *networks), _, *rows = (
        [cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"^\|.*", section, re.M)
    )
    for _, *cells in rows:
        row = [f"{cell} in {network}" for cell, network in zip(cells, networks, strict=True)]
        assert any(all(each in sentence for each in row) for sentence in said), row


def test_what_the_leaks_of_the_first_exercise_add_is_what_the_committed_record_says():
    folder = RESULTS / "reproduce_first_exercise_quick" / "comparison"
    pairs = {
        split: read_record(folder / split / "summary.json", Summary).comparisons[0]
        for split in ("overlapping", "grouped")
    }
    leaky, clean = (f"{100 * (pairs[split].mean or 0):.1f}" for split in ("overlapping", "grouped"))
    for page in (page_of(folder.parent.name), TEXTS[REPRODUCTIONS]):
        text = " ".join(page.split())
        assert f"ResNet-34 is {leaky} points" in text and f" {clean} " in text
    assert f"{leaky} points apart" in " ".join(TEXTS["experiments/README.md"].split())
    assert f"berselisih {leaky} poin".replace(".", ",") in " ".join(TEXTS["experiments/README.id.md"].split())


@pytest.mark.parametrize("name", ["leak_demo", "leak_demo_indonesian_food"])
def test_the_effect_of_leaks_is_what_the_committed_records_say(name):
    record = read_record(RESULTS / name / "splits.json", Splits)
    for split in record.splits:
        read_record(RESULTS / name / split / "summary.json", Summary)
    assert splits_markdown(record) in page_of(name)


@pytest.mark.parametrize("name", ["sweep_demo", "indonesian_food_rates"])
def test_the_sweeps_are_what_the_committed_records_say(name):
    record = read_record(RESULTS / name / "sweep.json", Sweep)
    for condition in record.conditions:
        assert markdown(choice_table(record, condition)) in page_of(name)
        assert all(f"> {each.sentence}\n" in page_of(name) for each in condition.comparisons)


@pytest.mark.parametrize("name", ["reproduce_cifar10_quick", "reproduce_first_exercise_quick"])
def test_the_reproductions_are_what_the_committed_records_say(name):
    folder, page = RESULTS / name, page_of(name)
    record = read_record(folder / "reproduction.json", ReproductionRecord)
    as_text = [markdown(table) for table in tables(record)]
    assert all(table in page for table in as_text) and any(table in TEXTS[REPRODUCTIONS] for table in as_text)
    assert all(sentence in page for sentence in sentences(record))
    for report in record.reports:
        read_record(folder / report.replace("report.html", "summary.json"), Summary)
    for own in record.own:
        for seed, loss in zip(own.seeds, own.measures["train_loss"].values, strict=True):
            replica = folder / "comparison" / own.split / "runs" / own.network / f"seed{seed}"
            result = read_result(replica / "result.json")
            assert isinstance(result, Done) and result.last.train_loss == loss
