"""A workdir as one object: records, arrays, pictures, the verdict by other measures, and what cannot be loaded."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import resjax
from resjax.evaluation.comparison.measures import MEASURES
from resjax.records import Looks, Splits, Summary, read_lines, read_record, read_result, write_record
from resjax.records.kinds.replica import MetricsLine
from tests.made_records import splits_record
from tests.made_run import make_run

NETWORKS = {"plain34": 0.5, "resnet34": 0.75}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> resjax.Run:
    """Six seeds of two networks on images of which some are copies of each other."""
    workdir = make_run(tmp_path_factory.mktemp("runs") / "run", NETWORKS, seeds=range(6), config={"margin": 40.0})
    write_record(workdir / "looks.json", Looks(complete=True, looks=[]))
    (workdir / "figures").mkdir()
    for name in ("answer.png", "answer.svg", "history.png"):
        (workdir / "figures" / name).touch()
    return resjax.load_run(workdir)


@pytest.fixture
def unfinished(tmp_path) -> resjax.Run:
    pending = [("resnet34", 4), ("resnet34", 5)]
    workdir = make_run(tmp_path / "run", NETWORKS, seeds=range(6), pending=pending, diverged=[("plain34", 0)])
    return resjax.load_run(str(workdir))


def test_records_and_metrics_are_those_of_the_files(run):
    folder = run.workdir / "runs" / "resnet34" / "seed3"
    assert run.summary == read_record(run.workdir / "summary.json", Summary)
    assert run.results["resnet34"][3] == read_result(folder / "result.json")
    assert run.metrics("resnet34", 3) == read_lines(folder / "metrics.jsonl", MetricsLine)
    assert run.networks == ("plain34", "resnet34") and run.seeds == (0, 1, 2, 3, 4, 5) and run.pending == []
    assert run.figures == {name: run.workdir / "figures" / f"{name}.png" for name in ("answer", "history")}


def test_arrays_are_those_of_the_replica(run):
    found = run.predictions("plain34", 2, "val")
    with np.load(run.workdir / "runs" / "plain34" / "seed2" / "predictions.npz") as stored:
        assert found.ids == stored["id"].tolist()
        np.testing.assert_array_equal(found.labels, stored["label"])
        np.testing.assert_array_equal(found.logits, stored["logits"])
    assert found.logits.shape == (60, 3) and len(run.groups()) == 60 and run.groups()[0] == run.groups()[1]


@pytest.mark.parametrize(("metric", "margin"), [*((name, None) for name in MEASURES), ("accuracy", 0.4)])
def test_another_question_gets_the_verdict_of_resjax_verdict_on_the_arrays(run, metric, margin):
    (judged,) = run.judge(metric, margin)
    arrays = [np.stack([run.predictions(name, seed).logits for seed in run.seeds]) for name in run.networks]
    labels = run.predictions("plain34", 0).labels
    wanted = resjax.verdict(
        *arrays, run.groups(), metric, margin or (0.4 if metric == "accuracy" else None), labels=labels
    )
    assert judged.verdict == wanted.verdict and judged.p_value == pytest.approx(wanted.p_value)
    assert judged.differences == pytest.approx(wanted.differences) and judged.interval == pytest.approx(wanted.interval)
    assert judged.equivalence_p_value == pytest.approx(wanted.equivalence_p_value)


def test_what_the_run_asked_is_asked_again_by_default_and_other_questions_are_later_looks(run):
    (recorded,) = run.verdicts
    assert recorded.record == run.summary.comparisons[0] and str(recorded) in str(run)
    assert run.judge()[0].record.equivalence.margin == 0.4
    (other,) = run.judge("macro_f1")
    assert not other.record.equivalence and [each.metric for each in other.record.earlier_looks] == [
        "best_val_accuracy"
    ]


def test_the_tables_are_returned_and_written(run, tmp_path):
    for make, suffix in ((run.to_csv, "csv"), (run.to_latex, "tex"), (run.to_markdown, "md")):
        path = tmp_path / f"results.{suffix}"
        assert make(path) == path.read_text() == make()
    with pytest.raises(resjax.BadInput, match="missing/results.csv"):
        run.to_csv(tmp_path / "missing" / "results.csv")


def test_an_unfinished_run_says_what_is_missing(unfinished):
    assert unfinished.pending == [("resnet34", 4), ("resnet34", 5)] and unfinished.results["resnet34"][5] is None
    first, *answer = str(unfinished).splitlines()
    assert first.startswith("Unfinished: 2 of 12") and "resnet34: 4, 5" in first
    assert unfinished.summary.comparisons[0].sentence in answer and "2 replicas pending" in repr(unfinished)
    assert unfinished.metrics("resnet34", 4) == []
    for network, seed, status in (("resnet34", 4, "pending"), ("plain34", 0, "diverged")):
        with pytest.raises(resjax.BadInput, match=f"{network}, seed {seed}: {status}"):
            unfinished.predictions(network, seed)


def test_a_run_of_one_network_answers_with_its_table(tmp_path):
    run = resjax.load_run(make_run(tmp_path / "run", {"plain34": 0.5}))
    assert run.verdicts == [] == run.judge("macro_f1") and "plain34" in str(run) and "±" in str(run)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (lambda run: run.predictions("resnet18", 0), "network='resnet18'.*plain34, resnet34"),
        (lambda run: run.metrics("resnet34", 9), "seed=9.*0, 1"),
        (lambda run: run.predictions("resnet34", 0, "test"), "side='test'.*val"),
        (lambda run: run.groups("train"), "side='train'"),
        (lambda run: run.judge("f1"), "metric='f1'.*macro_f1"),
        (lambda run: run.judge(margin=1.5), "margin=1.5"),
    ],
)
def test_what_a_run_does_not_have_is_named_in_a_line(run, asked, named):
    with pytest.raises(resjax.BadInput, match=named) as raised:
        asked(run)
    assert "\n" not in str(raised.value)


def damage(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b"0", b"1", 1) if path.suffix != ".npz" else content[:-30])


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("summary.json", str),
        ("split.json", str),
        ("runs/plain34/seed0/result.json", lambda run: run.results),
        ("runs/plain34/seed0/metrics.jsonl", lambda run: run.metrics("plain34", 0)),
        ("runs/plain34/seed0/metrics.jsonl", lambda run: run.to_csv()),
        ("runs/plain34/seed0/predictions.npz", lambda run: run.predictions("plain34", 0)),
        ("runs/plain34/seed0/predictions.npz", lambda run: run.judge()),
    ],
)
def test_a_damaged_record_is_named_in_a_line(run, name, read, tmp_path):
    shutil.copytree(run.workdir, tmp_path / "run")
    damage(tmp_path / "run" / name)
    with pytest.raises(resjax.BadInput, match=name) as raised:
        read(resjax.load_run(tmp_path / "run"))
    assert "\n" not in str(raised.value)


def test_arrays_and_groups_that_were_not_kept_are_named(run, tmp_path):
    shutil.copytree(run.workdir, tmp_path / "run")
    (tmp_path / "run" / "split.json").unlink()
    (tmp_path / "run" / "runs" / "plain34" / "seed0" / "predictions.npz").unlink()
    here = resjax.load_run(tmp_path / "run")
    with pytest.raises(resjax.BadInput, match="split.json"):
        here.groups()
    with pytest.raises(resjax.BadInput, match="predictions.npz"):
        here.predictions("plain34", 0)
    assert "over seeds alone" in str(here.judge()[0])


def test_folders_that_hold_no_single_comparison_are_refused_with_what_to_load(run, tmp_path):
    several = tmp_path / "several"
    record = splits_record()
    for name in record.splits:
        make_run(several / name, NETWORKS, seeds=[0])
    write_record(several / "splits.json", record)
    assert read_record(several / "splits.json", Splits) == record
    with pytest.raises(resjax.BadInput, match="several splits") as raised:
        resjax.load_run(several)
    assert all(str(several / name) in str(raised.value) for name in record.splits)
    with pytest.raises(resjax.BadInput, match="no such folder"):
        resjax.load_run(tmp_path / "missing")
    with pytest.raises(resjax.BadInput, match="no such folder"):
        resjax.load_run(run.workdir / "summary.json")
    (tmp_path / "dataset.json").write_text(json.dumps({}))
    with pytest.raises(resjax.BadInput, match=r"no summary\.json"):
        resjax.load_run(tmp_path)
