"""The report's command: one workdir, several, other kinds of records, and what it refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from resjax.api.runs import load_run
from resjax.errors import RecordError
from resjax.records import Summary, read_record, write_record
from resjax.report.page.reproduction_page import reproduction_page
from resjax.report.page.sweep_page import sweep_page
from resjax.run.reporting import write_report
from tests.commands import run_program
from tests.made_records import reproduction_record, splits_record
from tests.made_run import make_run
from tests.made_sweep import make_sweep

ROOT = Path(__file__).parents[2]
NETWORKS = {"plain18": 0.5, "resnet18": 0.8}


def run_report(*flags: str, cwd: Path) -> subprocess.CompletedProcess:
    (cwd / "jax.py").write_text("raise ImportError('no jax on this machine')\n")
    environment = os.environ | {"PYTHONPATH": f"{cwd}:{ROOT}"}
    command = [sys.executable, "-m", "experiments.report", *flags]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_the_report_is_made_again_on_a_machine_without_jax(tmp_path):
    make_run(tmp_path / "run", NETWORKS)
    done = run_report("--workdir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "run/report.html\n"
    assert "resnet18 minus plain18" in (tmp_path / "run" / "report.html").read_text()
    run = load_run(tmp_path / "run")
    for suffix, text in (("csv", run.to_csv()), ("tex", run.to_latex()), ("md", run.to_markdown())):
        assert (tmp_path / "run" / f"results.{suffix}").read_text() == text


def test_a_workdir_of_several_splits_gets_a_report_for_each(tmp_path):
    for name in ("random", "grouped"):
        make_run(tmp_path / "run" / name, NETWORKS, seeds=[0], leaked=9 * (name == "random"))
    record = splits_record()
    splits = {name: record.splits[name] for name in ("random", "grouped")}
    write_record(tmp_path / "run" / "splits.json", replace(record, splits=splits))
    done = run_report("--workdir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["run/random/report.html", "run/grouped/report.html"]
    pages = [(tmp_path / path).read_text() for path in done.stdout.split()]
    assert ["WARNING: split random" in page for page in pages] == [True, False]


def test_seeds_that_were_trained_apart_become_one_comparison(tmp_path):
    make_run(tmp_path / "one", NETWORKS, seeds=[0, 1])
    make_run(tmp_path / "two", NETWORKS | {"resnet34": 0.9}, seeds=[1, 2, 3])
    path = write_report([tmp_path / "one", tmp_path / "two"])
    assert path == tmp_path / "one" / "merged_report.html"
    text = path.read_text().replace("&nbsp;", " ")
    assert "resnet18, 4 seeds" in text and "resnet34, 3 seeds" in text
    assert text.count("python -m experiments.compare") == 2
    rows = (tmp_path / "one" / "merged_results.csv").read_text().splitlines()
    assert len(rows) == 1 + (2 * 4 + 3) * 6 and "resnet34" in (tmp_path / "one" / "merged_results.tex").read_text()
    write_report([tmp_path / "two"], tmp_path / "page.html")
    assert not [*(tmp_path / "two").glob("results.*")]


def test_workdirs_of_other_recipes_or_data_are_not_mixed(tmp_path):
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    make_run(one, NETWORKS, seeds=[0])
    make_run(two, NETWORKS, seeds=[1], config={"learning_rate": 0.1})
    with pytest.raises(RecordError, match=r"not of one recipe \(--learning_rate=0.0005 and 0.1\)"):
        write_report([one, two])
    make_run(three, {"plain18": 0.1, "resnet18": 0.2}, seeds=[0])
    with pytest.raises(RecordError, match="seed 0 of plain18 has another result"):
        write_report([one, three])
    summary = read_record(three / "summary.json", Summary)
    other = replace(summary, dataset=replace(summary.dataset, fingerprint="other"))
    write_record(three / "summary.json", other)
    with pytest.raises(RecordError, match="images, labels or sides"):
        write_report([one, three])


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--workdir=nowhere"], "nowhere: no summary.json"),
        ([], "--workdir"),
        (["--workdir=run", "--output=nowhere/report.html"], "--output=nowhere"),
        (["--workdir=newer"], "schema_version 99"),
        (["--workdir=torn"], "summary.json: not a readable JSON record"),
        (["--workdirs=run"], "workdir"),
        (["run"], "'run'"),
    ],
    ids=lambda value: str(value),
)
def test_bad_input_ends_with_one_line_and_status_2(flags, named, tmp_path):
    make_run(tmp_path / "run", NETWORKS, seeds=[0])
    for name, text in (("newer", '{"schema_version": 99}'), ("torn", '{"schema_')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(text)
    bad = run_program("report", *flags, cwd=tmp_path)
    assert bad.returncode == 2, bad.stderr
    assert len(bad.stderr.strip().splitlines()) == 1 and bad.stderr.startswith("error: ") and named in bad.stderr


def test_help_says_what_a_report_needs(tmp_path):
    shown = run_report("--help", cwd=tmp_path)
    assert shown.returncode == 0 and "--workdir" in shown.stdout and "--output" in shown.stdout


def test_the_page_of_a_reproduction_is_made_again_from_its_record(tmp_path):
    write_record(tmp_path / "reproduction.json", reproduction_record())
    done = run_report(f"--workdir={tmp_path}", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == f"{tmp_path / 'reproduction.html'}\n", done.stderr
    assert (tmp_path / "reproduction.html").read_text() == reproduction_page(reproduction_record())


def test_the_page_of_a_sweep_is_made_again_from_its_record(tmp_path):
    record = make_sweep(tmp_path / "sweep", depths=(8,), seeds=(0,), images=20)
    done = run_report("--workdir=sweep", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sweep" / "report.html").read_text() == sweep_page(record)
