"""Committed records are taken again by one command: which are older, which are skipped, and which files are copied."""

import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from experiments.studies import committed_results
from experiments.studies.committed_results import (
    COMMAND,
    COMMITTED,
    RESULTS,
    chosen,
    copy_small_files,
    numerics_of,
    older_folders,
    take_again,
)
from resjax.records import NUMERICS_VERSION, Summary, read_record, write_record
from tests.commands import require_bad_input
from tests.made_run import make_run

BY_NAME = {each.name: each for each in COMMITTED}


def test_the_oldest_environment_of_a_record_counts_and_one_that_does_not_say_is_older_than_all(tmp_path):
    path = tmp_path / "quickstart" / "summary.json"
    path.parent.mkdir()
    summary = read_record(RESULTS / "quickstart" / "summary.json", Summary)
    shutil.copyfile(RESULTS / "quickstart" / "summary.json", path)
    assert numerics_of(path) == summary.environment.numerics_version
    newer = replace(summary.environment, numerics_version=NUMERICS_VERSION)
    groups = [replace(each, environment=newer) for each in summary.environments]
    write_record(path, replace(summary, environment=newer, environments=groups))
    assert numerics_of(path) == NUMERICS_VERSION and older_folders(tmp_path) == set()
    older = replace(newer, numerics_version=NUMERICS_VERSION - 1)
    write_record(path, replace(summary, environment=newer, environments=[replace(groups[0], environment=older)]))
    assert numerics_of(path) == NUMERICS_VERSION - 1 and older_folders(tmp_path) == {"quickstart"}
    make_run(tmp_path / "made", {"plain34": 0.5}, seeds=[0])
    assert numerics_of(tmp_path / "made" / "summary.json") == 0


def test_the_small_files_of_a_workdir_replace_the_committed_ones(tmp_path):
    folder, workdir = tmp_path / "results" / "quickstart", tmp_path / "run"
    (folder / "runs" / "plain34" / "seed9").mkdir(parents=True)
    for name in ("README.md", "runs/plain34/seed9/result.json"):
        (folder / name).write_text("before")
    make_run(workdir, {"plain34": 0.5}, seeds=[0, 1])
    (workdir / "figures").mkdir()
    (workdir / "figures" / "answer.png").write_bytes(b"picture")
    count = copy_small_files(BY_NAME["quickstart"], workdir, folder)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    replicas = {f"runs/plain34/seed{k}/{name}" for k in (0, 1) for name in ("metrics.jsonl", "result.json")}
    assert found == replicas | {"README.md", "answer.png", "summary.json"} and count == len(found) - 1
    assert (folder / "README.md").read_text() == "before"


def test_records_whose_images_are_missing_are_skipped_and_say_what_they_need(tmp_path):
    for data in (None, tmp_path):
        said = take_again(BY_NAME["indonesian_food"], data, tmp_path / "scratch")
        assert said.startswith("skipped") and "indonesian_food/train.csv" in said
    assert not (tmp_path / "scratch").exists()


def test_a_commands_paths_are_short_and_its_failure_is_told(tmp_path, monkeypatch):
    started = []

    class Ends(subprocess.Popen):
        def __init__(self, words, *, cwd, env):
            started.append((words[1:], Path(cwd)))
            super().__init__(["false"])

    monkeypatch.setattr(committed_results.subprocess, "Popen", Ends)
    (tmp_path / "data" / "indonesian_food").mkdir(parents=True)
    (tmp_path / "data" / "indonesian_food" / "train.csv").write_text("")
    said = take_again(BY_NAME["probes_indonesian_food"], tmp_path / "data", tmp_path / "scratch")
    assert said.startswith("ended with status 1") and len(started) == 1
    words, folder = started[0]
    assert "--dataset=csv:indonesian_food/train.csv" in words and "--workdir=runs/probes_indonesian_food" in words
    assert (folder / "indonesian_food" / "train.csv").exists()


def test_an_unknown_record_and_a_missing_folder_are_refused():
    assert chosen("all") == list(COMMITTED) and chosen("leak_demo") == [BY_NAME["leak_demo"]]
    require_bad_input(COMMAND, "--records=quickstart,leaks", says=("--records", "leaks", "leak_demo"))
    require_bad_input(COMMAND, "--data=/no/such/folder", says=("--data=/no/such/folder", "folder"))


@pytest.mark.parametrize("result", COMMITTED, ids=lambda result: result.name)
def test_a_command_of_the_table_names_a_flagfile_that_ships(result):
    flagfile = Path(__file__).parents[2] / "experiments" / "flags"
    for word in " ".join(result.commands).split():
        name, _, value = word.partition("=")
        assert name != "--flagfile" or (flagfile / f"{value}.flags").exists()
