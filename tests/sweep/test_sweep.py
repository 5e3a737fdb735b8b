"""Sweeps: what their cells leave, whoever trains them, what their record says, and how shards are merged."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET

from resjax.errors import BadInput, RecordError
from resjax.records import Declaration, Failure, MetricsLine, Sweep, read_lines, read_record, read_result, write_record
from resjax.run.compare import compare
from resjax.run.workdir.environments import environments_of, record_environment
from resjax.run.workdir.lock import only_writer
from resjax.sweep.cells import FAILURE
from resjax.sweep.declaration import differences, with_fingerprint
from resjax.sweep.grid import SweepSettings
from resjax.sweep.merging import merge_sweeps
from resjax.sweep.sweep import sweep
from resjax.training.replicas import Way
from tests.markup import text_of
from tests.sweep.made import asked_for

change = msgspec.structs.replace


@pytest.fixture(scope="module", autouse=True)
def without_the_pictures_of_each_comparison():
    """They take longer than a tiny run; those of the sweep are drawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resjax.run.compare.draw_figures", lambda workdir: [])
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache) -> tuple[SweepSettings, Sweep]:
    """A sweep in which the larger batch does not fit its images, and its record."""
    asked = asked_for(tmp_path_factory.mktemp("whole"), cache, batches=(16, 999))
    record, failed = sweep(asked)
    assert failed == 8
    return asked, record


def counts_of(record: Sweep) -> tuple[int, ...]:
    """How many cells are done, have diverged, have failed and are pending."""
    return msgspec.structs.astuple(record.counts)


def test_every_cell_is_a_replica_with_its_folder_and_failed_ones_are_listed(whole):
    asked, record = whole
    root = asked.base.workdir
    assert record == read_record(root / "sweep.json", Sweep)
    assert counts_of(record) == (8, 0, 8, 0)
    for cell in record.cells:
        folder = Path(cell.folder)
        assert folder == root / "cells" / cell.point / "runs" / cell.architecture / f"seed{cell.seed}"
        if "batch999" in cell.point:
            failure = read_record(folder / FAILURE, Failure)
            assert (failure.architecture, failure.seed, failure.kind) == (cell.architecture, cell.seed, "bad input")
            assert cell.status == "failed" and "--batch_size=999" in (cell.reason or "")
        else:
            assert read_result(folder / "result.json").status == "done"
            assert (folder / "predictions.npz").exists() and (folder / "checkpoints" / "best").exists()
    page = text_of((root / "report.html").read_text())
    assert "8 failed" in page and "batch999_lr0.01" in page and "--batch_size=999" in page
    assert {"sensitivity_1.png", "along_batch_size.svg"} <= {path.name for path in (root / "figures").iterdir()}


def test_a_cell_comes_to_what_compare_comes_to_bit_for_bit(whole, tmp_path, capsys):
    asked, _ = whole
    # The second rate of the program: what was compiled for the first served it.
    point = asked.points[1]
    alone = replace(point.settings, workdir=tmp_path / "alone", seeds=(1,))
    compare(alone)
    for name in ("plain", "residual"):
        folder = Path("runs") / name / "seed1"
        mine, theirs = (
            [
                change(line, seconds=0, images_per_second=0)
                for line in read_lines(root / folder / "metrics.jsonl", MetricsLine)
            ]
            for root in (point.settings.workdir, alone.workdir)
        )
        assert mine == theirs and mine[0].learning_rate == pytest.approx(1e-3)
        one, other = (read_result(root / folder / "result.json") for root in (point.settings.workdir, alone.workdir))
        assert one.confusion_matrix == other.confusion_matrix and one.loss == other.loss
    # And its folder is the workdir of a comparison, which has nothing left to do.
    capsys.readouterr()
    assert compare(point.settings).architectures["plain"].status == {0: "done", 1: "done"}
    assert "nothing to train" in capsys.readouterr().out


def test_the_fair_comparison_takes_each_networks_best_on_validation_and_reports_test(whole):
    _, record = whole
    assert record.reported_on == "test" and record.tuned == ["learning_rate"]
    fits, fails = record.conditions
    assert fits.label == "batch size 16" and fails.label == "batch size 999"
    tested = {}
    for name, network in fits.networks.items():
        means = {point: of.best_val_accuracy.mean for point, of in network.settings.items()}
        assert means[network.chosen] == max(means.values()) and network.edges == ["learning_rate"]
        assert network.optimism_of_choice is None
        tested[name] = network.settings[network.chosen].test_accuracy.mean
    (pair,) = fits.comparisons
    assert pair.metric == "test_accuracy" and pair.seeds == [0, 1]
    assert pair.mean == pytest.approx(tested["residual"] - tested["plain"])
    assert pair.settings == {name: network.chosen for name, network in fits.networks.items()}
    assert fails.comparisons[0].verdict is None and fails.networks["plain"].chosen is None


def test_it_goes_on_where_it_stopped_and_trains_again_only_what_is_missing(whole, tmp_path, capsys):
    asked, record = whole
    root = tmp_path / "copy"
    shutil.copytree(asked.base.workdir, root)
    again = asked_for(root, asked.base.source.cache_dir, batches=(16, 999))
    lost = root / "cells" / "batch16_lr0.01" / "runs" / "plain" / "seed1" / "result.json"
    lost.write_text(lost.read_text()[:-40])
    held = root / "cells" / "batch16_lr0.01" / "runs" / "residual" / "seed0"
    (held / "result.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in root.rglob("result.json") if path != lost}
    with only_writer(held):
        first, _ = sweep(again)
    said = capsys.readouterr().out
    assert "10 to train with 4 programs" in said and "8 ended before" not in said and "6 ended before" in said
    assert "left to another process: --workdir=" in said and f"{held} is being written" in said
    assert counts_of(first) == (7, 0, 8, 1)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    second, _ = sweep(again)
    here, there = (each.conditions[0].networks["plain"].settings["batch16_lr0.01"] for each in (second, record))
    assert here.test_accuracy == there.test_accuracy and second.counts == record.counts


def test_shards_in_folders_of_their_own_come_to_the_same_and_shards_of_others_are_refused(whole, cache, tmp_path):
    asked, record = whole
    roots = [tmp_path / "one", tmp_path / "two"]
    for number, root in enumerate(roots, start=1):
        # What a shard leaves: its cells, and the record in which the others' are pending.
        shutil.copytree(asked.base.workdir, root)
        for seed in (0, 1):
            if seed != number - 1:
                for folder in root.glob(f"cells/*/runs/*/seed{seed}"):
                    shutil.rmtree(folder)
    merged = merge_sweeps(roots, tmp_path / "both")
    assert merged.counts == record.counts and merged.merged == [str(root) for root in roots]
    assert [each.comparisons for each in merged.conditions] == [each.comparisons for each in record.conditions]
    assert (tmp_path / "both" / "report.html").exists()
    assert merge_sweeps(roots, tmp_path / "both") == merged
    with pytest.raises(BadInput, match="merged from"):
        sweep(asked_for(tmp_path / "both", cache, batches=(16, 999)))

    other = read_record(roots[1] / "sweep.json", Sweep)
    write_record(roots[1] / "sweep.json", change(other, seeds=[0, 1, 2], fingerprint="other"))
    with pytest.raises(BadInput, match="--seeds 0,1 and 0,1,2"):
        merge_sweeps(roots, tmp_path / "new")
    write_record(roots[1] / "sweep.json", other)
    for folders, target in (
        (roots, roots[0]),
        (roots, tmp_path),
        ([roots[0], tmp_path / "nowhere"], tmp_path / "new"),
        (roots[:1], tmp_path / "new"),
    ):
        with pytest.raises(BadInput, match="--merge|--workdir"):
            merge_sweeps(folders, target)
    contradicted = roots[1] / "cells" / "batch16_lr0.01" / "runs" / "plain" / "seed0" / "result.json"
    contradicted.parent.mkdir(parents=True)
    result = read_result(roots[0] / contradicted.relative_to(roots[1]))
    write_record(contradicted, change(result, accuracy=0.0))
    with pytest.raises(RecordError, match=str(contradicted.parent)):
        merge_sweeps(roots, tmp_path / "new")


def test_a_workdir_of_something_else_is_refused_and_a_grid_may_grow(whole, cache, tmp_path):
    asked, _ = whole
    root = tmp_path / "copy"
    shutil.copytree(asked.base.workdir, root)
    grown = asked_for(root, cache, batches=(16,), shard=(2, 2))
    grown = replace(grown, base=replace(grown.base, flags=grown.base.flags | {"epochs": 3}))
    with pytest.raises(BadInput, match="--epochs 1 and 3"):
        sweep(grown)
    (root / "summary.json").write_text("{}")
    with pytest.raises(BadInput, match=r"summary\.json"):
        sweep(asked_for(root, cache))
    (root / "summary.json").unlink()
    record, _ = sweep(asked_for(root, cache, rates=(1e-2, 1e-3), seeds=(0,)))
    assert counts_of(record) == (4, 0, 0, 0)


def test_a_point_is_trained_by_its_sweep_alone(whole):
    asked, _ = whole
    settings = asked.points[1].settings
    before = {path: path.read_bytes() for path in settings.workdir.rglob("*") if path.is_file()}
    with pytest.raises(BadInput, match=re.escape(str(asked.base.workdir))):
        compare(replace(settings, seeds=(0, 1, 2)))
    assert {path: path.read_bytes() for path in settings.workdir.rglob("*") if path.is_file()} == before


def test_cells_of_another_environment_are_not_joined_unasked(whole, cache, tmp_path):
    asked, _ = whole
    root = tmp_path / "copy"
    shutil.copytree(asked.base.workdir, root)
    (cell, *_) = root.glob("cells/*/runs/*/seed0")
    (here,) = environments_of(cell)
    record_environment(cell, change(here, jaxlib="0.0.1"), resumed=False)
    before = (root / "sweep.json").read_bytes()
    with pytest.raises(BadInput, match=r"0\.0\.1.*--allow_mixed_environment"):
        sweep(asked_for(root, cache, rates=(1e-2, 1e-3), seeds=(0, 1, 2)))
    assert (root / "sweep.json").read_bytes() == before


@pytest.mark.slow
def test_cells_of_other_rates_trained_at_once_come_to_what_each_comes_to_alone(whole, cache, tmp_path, monkeypatch):
    asked, _ = whole
    monkeypatch.setattr("resjax.run.comparison.choose_way", lambda *_: Way("vmap"))
    root = tmp_path / "together"
    record, _ = sweep(asked_for(root, cache))
    assert record.counts.done == 8
    for cell in record.cells:
        folder = Path(cell.folder)
        assert read_result(folder / "result.json").trained_as == ["vmap of 4"]
        alone = asked.base.workdir / folder.relative_to(root)
        mine, theirs = (read_lines(each / "metrics.jsonl", MetricsLine) for each in (folder, alone))
        for here, there in zip(mine, theirs, strict=True):
            for key in ("train_loss", "val_loss", "learning_rate"):
                assert getattr(here, key) == pytest.approx(getattr(there, key), rel=1e-5, abs=1e-5)


def test_an_error_in_a_cell_is_written_down_with_its_reason_and_the_others_go_on(cache, tmp_path, monkeypatch):
    from resjax.run.workdir.replica_folder import ReplicaFolder

    begin = ReplicaFolder.begin

    def failing(self):
        if self.name == "plain" and self.seed == 0:
            raise MemoryError if "lr0.01" in str(self.folder) else ZeroDivisionError("by zero")
        return begin(self)

    with monkeypatch.context() as patch:
        patch.setattr(ReplicaFolder, "begin", failing)
        record, _ = sweep(asked_for(tmp_path, cache))
    assert counts_of(record) == (6, 0, 2, 0)
    reasons = {cell.point: cell.reason for cell in record.cells if cell.status == "failed"}
    assert reasons["batch16_lr0.001"] == "error: ZeroDivisionError: by zero"
    assert reasons["batch16_lr0.01"].startswith("out of memory: plain")
    # A setting that lacks a seed is not chosen before one that has them all, and the next start tries again.
    record, _ = sweep(asked_for(tmp_path, cache))
    assert record.counts.done == 8 and not [*tmp_path.rglob(FAILURE)]


def test_a_difference_of_two_declarations_is_named(whole):
    _, record = whole
    declared = Declaration(**{name: getattr(record, name) for name in Declaration.__struct_fields__})
    assert with_fingerprint(declared) == declared and differences(declared, record) == []
    for changed, said in (
        ({"config": declared.config | {"epochs": 2}}, "--epochs 1 and 2"),
        ({"seeds": [0, 1, 2]}, "--seeds 0,1 and 0,1,2"),
        ({"grid": {"learning_rate": [1.0]}}, "batch_size=16,999 learning_rate=0.01,0.001 and learning_rate=1.0"),
        ({"dataset": change(declared.dataset, fingerprint="other")}, "the images or their split"),
    ):
        other = with_fingerprint(change(declared, **changed))
        (found,) = differences(declared, other)
        assert said in found and other.fingerprint != declared.fingerprint
    # What does not change a replica is not part of the fingerprint.
    assert with_fingerprint(change(declared, config=declared.config | {"cache_dir": "elsewhere"})) == change(
        declared, config=declared.config | {"cache_dir": "elsewhere"}
    )
    assert record.merged is UNSET
