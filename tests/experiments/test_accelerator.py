"""The suite for a card: steps end in their time, failures are rows, a second start resumes, the rehearsal is whole."""

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from experiments.benchmarks.accelerator.exercise import exercise_measured
from experiments.benchmarks.accelerator.images import pack, unpacked
from experiments.benchmarks.accelerator.settings import Measured, Step, SuiteCase, SuiteRow, SuiteSettings
from experiments.benchmarks.accelerator.suite import describe_row, run_suite
from experiments.benchmarks.harness.machine import Device
from experiments.benchmarks.program import COMMAND
from resjax.errors import BadInput
from resjax.records import read_lines
from tests.commands import require_bad_input
from tests.made_run import make_run

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "experiments" / "results" / "benchmark" / "README.md"
BLOCK = """
import importlib.machinery
BLOCKED = ("tensorflow_datasets", "grain", "imagehash")
found = importlib.machinery.PathFinder.find_spec

def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in BLOCKED else found(name, path, target)

importlib.machinery.PathFinder.find_spec = find_spec
"""
"""As a `sitecustomize.py` it makes these packages look as if they were not installed, in every process."""


def measured(seconds: float, log: Path, text: str) -> Measured:
    with log.open("a") as file:
        file.write(f"{text}\n")
    return Measured(text, {"seconds": seconds})


def raises(seconds: float) -> Measured:
    raise RuntimeError("the card\nis gone")


def cases_that_go_wrong(settings: SuiteSettings) -> list[SuiteCase]:
    done = partial(measured, log=settings.workdir / "log")
    return [SuiteCase("raises", raises), SuiteCase("next", partial(done, text="next"))]


def cases_that_die(settings: SuiteSettings) -> list[SuiteCase]:
    return [SuiteCase("dies", lambda seconds: os._exit(3))]


def cases_that_hang(settings: SuiteSettings) -> list[SuiteCase]:
    return [SuiteCase("hangs", lambda seconds: time.sleep(60))]  # pyright: ignore[reportArgumentType]


def cases_with_more_to_come(settings: SuiteSettings) -> list[SuiteCase]:
    log = settings.workdir / "log"
    return [SuiteCase("last", lambda seconds: measured(seconds, log, "last")._replace(unfinished="more to come"))]


def cases_that_cannot_be_made(settings: SuiteSettings) -> list[SuiteCase]:
    raise BadInput("no cases")


def cpu(folder: Path) -> SuiteSettings:
    return SuiteSettings(Device("cpu", "a processor"), folder)


def test_what_fails_or_dies_is_a_row_and_the_next_step_begins(tmp_path):
    path = tmp_path / "rows.jsonl"
    steps = [
        Step("wrong", 0.4, cases_that_go_wrong),
        Step("dies", 0.0, cases_that_die),
        Step("unmade", 0.4, cases_that_cannot_be_made),
        Step("last", 0.2, cases_with_more_to_come),
    ]
    rows = run_suite(cpu(tmp_path), steps, 60.0, path)
    assert rows == read_lines(path, SuiteRow)
    assert [(row.step, row.case, row.status) for row in rows] == [
        ("wrong", "raises", "failed"),
        ("wrong", "next", "done"),
        ("dies", "dies", "failed"),
        ("unmade", "start", "failed"),
        ("last", "last", "unfinished"),
    ]
    assert rows[0].why == "RuntimeError: the card is gone"
    assert "3" in str(rows[2].why) and "no cases" in str(rows[3].why)
    assert rows[4].text == "last" and rows[4].why == "more to come" and all(row.rehearsal for row in rows)
    again = run_suite(cpu(tmp_path), [steps[0], steps[3]._replace(share=0.6)], 60.0, path)
    assert [(row.step, row.case) for row in again[5:]] == [("wrong", "raises"), ("last", "last")]
    assert (tmp_path / "log").read_text().split() == ["next", "last", "last"]


def test_what_hangs_is_ended_and_the_next_step_has_its_time(tmp_path):
    steps = [Step("hangs", 0.04, cases_that_hang), Step("last", 0.96, cases_with_more_to_come)]
    hung, last = run_suite(cpu(tmp_path), steps, 60.0)
    assert (hung.step, hung.status, last.text) == ("hangs", "unfinished", "last")


def test_a_step_without_time_is_not_begun_and_what_one_device_did_counts_for_no_other(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    step = Step("wrong", 1.0, cases_that_go_wrong)
    assert run_suite(cpu(tmp_path), [step], 0.5, path) == [] and not path.exists()
    assert "no time left" in capsys.readouterr().out
    run_suite(cpu(tmp_path), [step], 30.0, path)
    card = SuiteSettings(Device("gpu", "a card", 9.0), tmp_path)
    rows = run_suite(card, [step], 30.0, path)
    assert [(row.case, row.rehearsal) for row in rows[2:]] == [("raises", False), ("next", False)]


ROW = SuiteRow(
    step="seeds",
    case="resnet20",
    status="done",
    rehearsal=False,
    seconds=100.0,
    device="a card",
    versions={},
    text="vmap 2 | map 3",
    values={"seeds": 4, "step_flops": 1e10, "cost": {"vmap": 2.0, "map": 3.0}},
)


def test_the_table_shows_the_last_row_of_each_case_and_the_rule_that_follows():
    from experiments.benchmarks.accelerator.table import suite_markdown

    failed = replace(ROW, case="resnet34", status="failed", why="gone", text="", values={})
    large = replace(ROW, case="resnet34", values={"seeds": 4, "step_flops": 1e12, "cost": {"vmap": 5.0, "map": 4.5}})
    table = suite_markdown([failed, ROW, large])
    assert table.count("resnet34") == 1 and "| resnet20 | done | 2 min | vmap 2 \\| map 3 |" in table
    assert "at 1e+10 operations a step vmap is" in table and "at 1e+12 operations a step sequential is" in table
    assert table.endswith("fits.")
    wrong = replace(large, values={"seeds": 4, "step_flops": 1e12, "cost": {"vmap": 3.0, "map": 4.5}})
    assert suite_markdown([ROW, wrong]).endswith("not the cheapest at 1e+12 operations.")
    assert "failed: gone" in suite_markdown([failed]) and "FAILED (gone)" in describe_row(failed)
    assert "rule" not in suite_markdown([replace(ROW, rehearsal=True)])


def test_the_table_of_a_committed_record_is_that_of_its_page():
    from experiments.benchmarks.accelerator.table import suite_markdown

    record = PAGE.parent / "accelerator.jsonl"
    assert not record.exists() or suite_markdown(read_lines(record, SuiteRow)) in PAGE.read_text()


def test_packed_files_are_unpacked_as_they_were_and_copies_are_stored_once(tmp_path):
    files = {"train/bakso/a.jpg": b"x" * 5000, "train/rendang/b.jpg": b"y", "val/bakso/c.jpg": b"x" * 5000}
    pack(files, tmp_path / "images.npz")
    assert (tmp_path / "images.npz").stat().st_size < 8000
    spec = unpacked(f"npz:{tmp_path / 'images.npz'}", tmp_path / "work")
    folder = Path(spec.removeprefix("folder:"))
    assert {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.jpg")} == files
    assert unpacked(f"npz:{tmp_path / 'images.npz'}", tmp_path / "work") == spec
    np.savez(tmp_path / "arrays.npz", images=np.zeros((2, 8, 8, 3), np.uint8), labels=np.arange(2))
    for other in (f"npz:{tmp_path / 'arrays.npz'}", "synthetic:60", "folder:images"):
        assert unpacked(other, tmp_path / "work") == other


@pytest.mark.parametrize("name", ["../a.jpg", "/tmp/a.jpg", "train/../../a.jpg"])
def test_a_packed_path_that_leads_out_of_the_folder_is_refused(name, tmp_path):
    pack({name: b"x"}, tmp_path / "images.npz")
    with pytest.raises(BadInput, match="leads out"):
        unpacked(f"npz:{tmp_path / 'images.npz'}", tmp_path / "work")


def test_a_comparison_with_pending_replicas_is_unfinished_and_one_without_is_done(tmp_path):
    pending = exercise_measured(
        make_run(tmp_path / "one", {"plain34": 0.5, "resnet34": 0.6}, pending=[("plain34", 3)]), 9
    )
    assert pending.unfinished and pending.values["ended"] == {"plain34": 3, "resnet34": 4}
    done = exercise_measured(make_run(tmp_path / "two", {"plain34": 0.5, "resnet34": 0.6}), 9)
    assert not done.unfinished and done.values["images_per_second"] == {"plain34": 100.0, "resnet34": 100.0}


@pytest.mark.parametrize(
    "flags",
    [
        ("--suite=gpu",),
        ("--suite=accelerator", "--minutes=0"),
        ("--suite=accelerator", "--dataset=npz:/no/such/file.npz"),
        ("--suite=accelerator", "--cifar=npz:/no/such/file.npz"),
        ("--suite=accelerator", "--json=/no/such/folder/rows.jsonl"),
    ],
)
def test_bad_flags_are_named(flags):
    name, _, value = flags[-1].partition("=")
    require_bad_input(COMMAND, *flags, says=(name, value.removeprefix("npz:")))


@pytest.mark.slow
@pytest.mark.long
def test_the_rehearsal_runs_every_step_without_the_packages_that_a_card_may_lack(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    record = tmp_path / "rows.jsonl"
    command = [sys.executable, "-m", "experiments.benchmark", "--suite=accelerator", "--minutes=30"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(
        [*command, f"--json={record}", f"--workdir={tmp_path / 'work'}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rehearsal" in done.stdout
    rows = {row.step: row for row in read_lines(record, SuiteRow)}
    assert {name for name, row in rows.items() if row.status == "done" and row.rehearsal} == {
        *("devices", "exercise", "train_step", "seeds", "epoch", "interruption", "memory", "precision", "cifar20"),
    }
    machine, *_ = read_lines(record, SuiteRow)
    assert {"grain", "imagehash", "tensorflow_datasets"} <= set(machine.values["missing"])
    assert rows["exercise"].values["ended"] == {"plain8": 2, "resnet8": 2}
    assert rows["interruption"].values["equal"] is True
    assert rows["seeds"].values["cost"].keys() == {"map", "vmap"}
    precision = rows["precision"].values
    assert precision["float32"]["gradient_cosine"] == pytest.approx(1) and precision["float32"]["statistics"] == 0
    assert 0.9 < precision["bfloat16"]["gradient_cosine"] < 1 and precision["bfloat16"]["statistics"] > 0
    assert rows["cifar20"].values["epochs"] == 1
