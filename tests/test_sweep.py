"""Sweeps: the grid that flags say, shares of it, and what its cells leave, whoever trains them."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from absl import flags

from resjax.cli import settings as options
from resjax.cli.compare import compare
from resjax.cli.data_flags import define_source_flags, define_split_flags
from resjax.cli.sweep import sweep
from resjax.errors import BadInput, RecordError
from resjax.report.figures.run import read_run
from resjax.report.records import read_json, read_lines, validate_failure, validate_result, validate_sweep, write_json
from resjax.run import comparison
from resjax.run.workdir_lock import only_writer
from resjax.sweep.cells import FAILURE, all_cells, program_key, share_of
from resjax.sweep.grid import Point, SweepSettings, define_sweep_flags, name_of, parse_grid, sweep_settings
from resjax.sweep.merging import merge_sweeps
from resjax.training.replicas import Way
from tests.test_several_splits import settings

FLAGS = flags.FLAGS


@pytest.fixture
def read(monkeypatch):
    """From words on the command line to settings."""
    before = set(FLAGS)
    for define in (define_sweep_flags, define_source_flags, define_split_flags, options.define_training_flags):
        define()

    def parsed(*words: str) -> SweepSettings:
        FLAGS.unparse_flags()
        for name in set(FLAGS) - before:
            FLAGS[name].value, FLAGS[name].present = FLAGS[name].default, 0
        monkeypatch.setattr("sys.argv", ["sweep", *words])
        FLAGS(["sweep", *words])
        return sweep_settings()

    yield parsed
    FLAGS.mark_as_parsed()
    for name in set(FLAGS) - before:
        delattr(FLAGS, name)


def test_each_point_is_what_a_comparison_would_be_told_by_its_flags(read):
    asked = read(
        *("--architectures=plain,resnet", "--grid=depth=8,14", "--grid=learning_rate=1e-3,1e-2", "--width=2"),
        *("--grid=augment=none|flip,rotate:15", "--grid=train_fraction=0.5,1", "--seeds=2", "--workdir=w"),
    )
    assert asked.architectures == ["plain8", "resnet8", "plain14", "resnet14"]
    assert len(asked.points) == 8 and asked.shard == (1, 1)
    point = asked.points[-2]
    assert point.choices == {"learning_rate": 0.01, "augment": "flip,rotate:15", "train_fraction": 0.5}
    assert point.name == "lr0.01_augmentflip-rotate-15_fraction0.5"
    assert point.settings.recipe.learning_rate == 0.01 and len(point.settings.recipe.augmentations) == 2
    assert point.settings.split.train_fraction == 0.5
    assert point.settings.workdir == Path("w/cells") / point.name
    assert point.settings.flags["workdir"] == str(point.settings.workdir) and "grid" not in point.settings.flags
    assert point.settings.flags["architectures"] == "plain8,resnet8,plain14,resnet14"
    assert asked.base.workdir == Path("w") and "learning_rate" not in asked.fixed and asked.fixed["width"] == 2
    # The flags themselves are as they were given.
    assert FLAGS.learning_rate == 5e-4 and FLAGS.architectures == "plain,resnet"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grid=learning_rat=1,2"], "did you mean learning_rate"),
        (["--grid=learning_rate"], r"--grid='learning_rate': one or more different values"),
        (["--grid=learning_rate=1e-3,"], "one or more different values"),
        (["--grid=learning_rate=1e-3,0.001"], "occurs twice"),
        (["--grid=learning_rate=1e-3,-1"], r"--learning_rate=-1: expected a number above 0"),
        (["--grid=optimizer=adam,adm"], "did you mean 'adam'"),
        (["--grid=batch_size=8,16", "--batch_size=4"], r"--batch_size=4 with --grid=batch_size"),
        (["--grid=depth=20,x", "--architectures=plain"], "'x' is no number of layers"),
        (["--grid=depth=20", "--architectures=plain,resnet34"], "'resnet34' is complete"),
        (["--grid=depth=21", "--architectures=plain"], "architecture 'plain21': did you mean"),
        (["--shard=0/4"], r"--shard=0/4: K/N with K from 1 to N"),
        (["--shard=5/4"], r"--shard=5/4: K/N"),
        (["--shard=3"], r"--shard=3: K/N"),
        (["--seeds=auto"], "--seeds=auto in a sweep"),
        (["--folds=3"], "one split is accepted"),
        (["--grid=batch_size=" + ",".join(map(str, range(1, 12000))), "--seeds=5"], "at most 100,000 cells"),
    ],
)
def test_what_cannot_be_swept_is_refused_in_a_line(read, words, said, monkeypatch):
    if "100,000" in said:
        monkeypatch.setattr("resjax.sweep.grid.MOST_CELLS", 100)
        said = "at most 100 cells"
    with pytest.raises((BadInput, flags.Error), match=said):
        read(*words)


def test_a_later_grid_of_the_same_flag_replaces_an_earlier_one():
    assert parse_grid(["width=4,8", "width=2"]) == {"width": ("2",)}
    assert name_of({}) == "all"


def asked_for(root: Path, cache: Path, rates=(1e-2, 1e-3), batches=(16,), shard=(1, 1), seeds=(0, 1)) -> SweepSettings:
    """A sweep of tiny networks on 80 drawn dishes, a quarter of them for test."""
    base = replace(settings(root, cache, test_fraction=0.25), seeds=seeds)
    points = []
    for batch in batches:
        for rate in rates:
            choices = {"batch_size": batch, "learning_rate": rate}
            recipe = replace(base.recipe, learning_rate=rate, batch_size=batch)
            workdir = root / "cells" / name_of(choices)
            told = base.flags | choices | {"workdir": str(workdir)}
            points.append(Point(name_of(choices), choices, replace(base, recipe=recipe, workdir=workdir, flags=told)))
    return SweepSettings(base, {"batch_size": batches, "learning_rate": rates}, tuple(points), shard)


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 40])
def test_shards_share_out_every_cell_once_and_none_is_dearer_by_more_than_a_cell(tmp_path, shards):
    points = asked_for(tmp_path, tmp_path, rates=(1e-1, 1e-2, 1e-3), batches=(8, 16)).points
    cells = all_cells(points)
    costs = {cell: 1.0 + 3 * cell.arm for cell in cells}
    shares = [share_of(cells, costs, shard, shards) for shard in range(1, shards + 1)]
    assert Counter(cell for share in shares for cell in share) == Counter(cells)
    totals = [sum(costs[cell] for cell in share) for share in shares]
    assert max(totals) - min(totals) <= 2 * max(costs.values())
    # Cells of a program lie together, so that few shares compile it.
    keys = [program_key(points, cell) for cell in cells]
    assert len(set(keys)) == 4 == 1 + sum(one != other for one, other in zip(keys, keys[1:], strict=False))


@pytest.fixture(scope="module", autouse=True)
def without_the_pictures_of_each_comparison():
    """They take longer than a tiny run; those of the sweep are drawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "draw_figures", read_run)
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache) -> tuple[SweepSettings, dict]:
    """A sweep in which the larger batch does not fit its images, and its record."""
    asked = asked_for(tmp_path_factory.mktemp("whole"), cache, batches=(16, 999))
    record, failed = sweep(asked)
    assert failed == 8
    return asked, record


def test_every_cell_is_a_replica_with_its_folder_and_failed_ones_are_listed(whole):
    asked, record = whole
    root = asked.base.workdir
    validate_sweep(record)
    assert record == read_json(root / "sweep.json")
    assert record["counts"] == {"done": 8, "diverged": 0, "failed": 8, "pending": 0}
    for cell in record["cells"]:
        folder = Path(cell["folder"])
        assert folder == root / "cells" / cell["point"] / "runs" / cell["architecture"] / f"seed{cell['seed']}"
        if "batch999" in cell["point"]:
            validate_failure(read_json(folder / FAILURE))
            assert cell["status"] == "failed" and "--batch_size=999: at most the" in cell["reason"]
        else:
            validate_result(read_json(folder / "result.json"))
            assert (folder / "predictions.npz").exists() and (folder / "checkpoints" / "best").exists()
    page = (root / "report.html").read_text()
    assert "8 failed" in page and "plain seeds 0, 1 at batch999_lr0.01: bad input: --batch_size=999" in page
    assert {"sensitivity_1.png", "along_batch_size.svg"} <= {path.name for path in (root / "figures").iterdir()}


def test_a_cell_comes_to_what_compare_comes_to_bit_for_bit(whole, tmp_path, capsys):
    asked, _ = whole
    # The second rate of the program: what was compiled for the first served it.
    point = asked.points[1]
    alone = replace(point.settings, workdir=tmp_path / "alone", seeds=(1,))
    compare(alone)
    for arm in ("plain", "residual"):
        folder = Path("runs") / arm / "seed1"
        mine, theirs = (
            [
                {k: v for k, v in line.items() if "second" not in k}
                for line in read_lines(root / folder / "metrics.jsonl")
            ]
            for root in (point.settings.workdir, alone.workdir)
        )
        assert mine == theirs and mine[0]["learning_rate"] == pytest.approx(1e-3)
        one, other = (read_json(root / folder / "result.json") for root in (point.settings.workdir, alone.workdir))
        assert one["confusion_matrix"] == other["confusion_matrix"] and one["loss"] == other["loss"]
    # And its folder is the workdir of a comparison, which has nothing left to do.
    capsys.readouterr()
    assert compare(point.settings)["architectures"]["plain"]["status"] == {"0": "done", "1": "done"}
    assert "nothing to train" in capsys.readouterr().out


def test_the_fair_comparison_takes_each_arms_best_on_validation_and_reports_test(whole):
    _, record = whole
    assert record["reported_on"] == "test" and record["tuned"] == ["learning_rate"]
    fits, fails = record["conditions"]
    assert fits["label"] == "batch size 16" and fails["label"] == "batch size 999"
    for arm in fits["arms"].values():
        means = {point: of["best_val_accuracy"]["mean"] for point, of in arm["settings"].items()}
        assert means[arm["chosen"]] == max(means.values()) and arm["edges"] == ["learning_rate"]
        assert arm["optimism_of_choice"] is None
    (pair,) = fits["comparisons"]
    assert pair["metric"] == "test_accuracy" and pair["seeds"] == [0, 1]
    tested = {name: arm["settings"][arm["chosen"]]["test_accuracy"]["mean"] for name, arm in fits["arms"].items()}
    assert pair["mean"] == pytest.approx(tested["residual"] - tested["plain"])
    assert pair["settings"] == {name: arm["chosen"] for name, arm in fits["arms"].items()}
    assert fails["comparisons"][0]["verdict"] is None and fails["arms"]["plain"]["chosen"] is None


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
    assert first["counts"] == {"done": 7, "diverged": 0, "failed": 8, "pending": 1}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    second, _ = sweep(again)
    accuracies = [c["arms"]["plain"]["settings"]["batch16_lr0.01"]["test_accuracy"] for c in second["conditions"][:1]]
    assert accuracies == [record["conditions"][0]["arms"]["plain"]["settings"]["batch16_lr0.01"]["test_accuracy"]]
    assert second["counts"] == record["counts"]


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
    assert merged["counts"] == record["counts"] and merged["merged"] == [str(root) for root in roots]
    assert [c["comparisons"] for c in merged["conditions"]] == [c["comparisons"] for c in record["conditions"]]
    assert (tmp_path / "both" / "report.html").exists()
    assert merge_sweeps(roots, tmp_path / "both") == merged
    with pytest.raises(BadInput, match="merged from"):
        sweep(asked_for(tmp_path / "both", cache, batches=(16, 999)))

    other = json.loads((roots[1] / "sweep.json").read_text())
    other.pop("crc32")
    for part, changed, said in (
        ("config", other["config"] | {"epochs": 2}, "--epochs 1 and 2"),
        ("seeds", [0, 1, 2], "--seeds 0,1 and 0,1,2"),
        ("grid", {"learning_rate": [1.0]}, "the grid batch_size=16,999 learning_rate=0.01,0.001 and learning_rate=1.0"),
        ("dataset", other["dataset"] | {"fingerprint": "other"}, "the images or their split"),
    ):
        write_json(roots[1] / "sweep.json", other | {part: changed, "fingerprint": "other"})
        with pytest.raises(BadInput, match=f"shards of different sweeps.*{said}"):
            merge_sweeps(roots, tmp_path / "new")
    write_json(roots[1] / "sweep.json", other)
    with pytest.raises(BadInput, match="is one of the folders to merge"):
        merge_sweeps(roots, roots[0])
    with pytest.raises(BadInput, match="is not empty"):
        merge_sweeps(roots, tmp_path)
    with pytest.raises(BadInput, match=r"holds no sweep\.json"):
        merge_sweeps([roots[0], tmp_path / "nowhere"], tmp_path / "new")
    with pytest.raises(BadInput, match="two or more folders"):
        merge_sweeps(roots[:1], tmp_path / "new")
    contradicted = roots[1] / "cells" / "batch16_lr0.01" / "runs" / "plain" / "seed0" / "result.json"
    contradicted.parent.mkdir(parents=True)
    result = read_json(roots[0] / contradicted.relative_to(roots[1]))
    write_json(contradicted, result | {"accuracy": 0.0})
    with pytest.raises(RecordError, match="another result than in"):
        merge_sweeps(roots, tmp_path / "new")


def test_a_workdir_of_something_else_is_refused_and_a_grid_may_grow(whole, cache, tmp_path):
    asked, _ = whole
    root = tmp_path / "copy"
    shutil.copytree(asked.base.workdir, root)
    grown = asked_for(root, cache, batches=(16,), shard=(2, 2))
    grown = replace(grown, base=replace(grown.base, flags=grown.base.flags | {"epochs": 3}))
    with pytest.raises(BadInput, match=r"holds another sweep \(--epochs 1 and 3\)"):
        sweep(grown)
    write_json(root / "summary.json", {})
    with pytest.raises(BadInput, match="holds a comparison"):
        sweep(asked_for(root, cache))
    (root / "summary.json").unlink()
    record, _ = sweep(asked_for(root, cache, rates=(1e-2, 1e-3), seeds=(0,)))
    assert record["counts"] == {"done": 4, "diverged": 0, "failed": 0, "pending": 0}


@pytest.mark.slow
def test_cells_of_other_rates_trained_at_once_come_to_what_each_comes_to_alone(whole, cache, tmp_path, monkeypatch):
    asked, _ = whole
    monkeypatch.setattr("resjax.run.comparison.choose_way", lambda *_: Way("vmap"))
    root = tmp_path / "together"
    record, _ = sweep(asked_for(root, cache))
    assert record["counts"]["done"] == 8
    for cell in record["cells"]:
        folder = Path(cell["folder"])
        alone = asked.base.workdir / folder.relative_to(root)
        assert read_json(folder / "result.json")["trained_as"] == ["vmap of 4"]
        for here, there in zip(*(read_lines(each / "metrics.jsonl") for each in (folder, alone)), strict=True):
            for key in ("train_loss", "val_loss", "learning_rate"):
                assert here[key] == pytest.approx(there[key], rel=1e-5, abs=1e-5)


def test_an_error_in_a_cell_is_written_down_with_its_reason_and_the_others_go_on(cache, tmp_path, monkeypatch):
    from resjax.run.replica_folder import ReplicaFolder

    begin = ReplicaFolder.begin

    def failing(self):
        if self.name == "plain" and self.seed == 0:
            raise MemoryError if "lr0.01" in str(self.folder) else ZeroDivisionError("by zero")
        return begin(self)

    with monkeypatch.context() as patch:
        patch.setattr(ReplicaFolder, "begin", failing)
        record, _ = sweep(asked_for(tmp_path, cache))
    assert record["counts"] == {"done": 6, "diverged": 0, "failed": 2, "pending": 0}
    reasons = {cell["point"]: cell["reason"] for cell in record["cells"] if cell["status"] == "failed"}
    assert reasons["batch16_lr0.001"] == "error: ZeroDivisionError: by zero"
    assert reasons["batch16_lr0.01"].startswith("out of memory: plain: the memory")
    # A setting that lacks a seed is not chosen before one that has them all, and the next start tries again.
    record, _ = sweep(asked_for(tmp_path, cache))
    assert record["counts"]["done"] == 8 and not [*tmp_path.rglob(FAILURE)]
