"""The same comparison on several splits: a whole run for each, side by side in the end; and folds of them."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import UNSET

from experiments.studies.committed_results import numerics_of, trained_records
from resjax.errors import BadInput
from resjax.models.architecture import Architecture
from resjax.records import NUMERICS_VERSION, SplitRecord, Splits, Summary, read_record, read_result
from resjax.run import compare as engine
from resjax.run.compare import compare
from resjax.run.settings import Settings, SourceSettings, SplitSettings
from resjax.run.setup.dataset import load_splits
from resjax.training.recipe import Recipe
from tests.made_dataset import dataset_of

pytestmark = pytest.mark.smoke

PLAIN = Architecture("plain", (1,), "none", stem="cifar", width=4)
RESIDUAL = Architecture("residual", (1,), "project", stem="cifar", width=4)


def settings(workdir: Path, cache: Path, **asked) -> Settings:
    nothing = {"methods": (), "seed": 0, "file": None, "folds": None, "val_fraction": None, "test_fraction": 0.0}
    split = SplitSettings(**(nothing | asked))
    return Settings(
        architectures=(PLAIN, RESIDUAL),
        seeds=(0, 1),
        source=SourceSettings("synthetic:80", None, None, cache, 1.0, True),
        split=split,
        image_size=8,
        pipeline="resident",
        recipe=Recipe(epochs=1, batch_size=16, augmentations=()),
        dtype="float32",
        init_from={},
        workdir=workdir,
        flags={
            **{"epochs": 1, "workdir": str(workdir), "width": 4, "stem": "cifar"},
            **{"split": ",".join(split.methods), "folds": split.folds},
        },
    )


@pytest.fixture(scope="module", autouse=True)
def without_the_pictures_of_each_run():
    """They take longer than a tiny run, and have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "draw_figures", lambda workdir: [])
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def methods(tmp_path_factory, cache) -> tuple[Settings, Splits]:
    """A finished comparison on the three methods, and its record."""
    chosen = settings(tmp_path_factory.mktemp("methods"), cache, methods=("overlapping", "random", "grouped"))
    return chosen, compare(chosen)


def test_each_split_has_a_whole_run_and_all_stand_side_by_side(methods):
    chosen, record = methods
    assert record == read_record(chosen.workdir / "splits.json", Splits)
    assert list(record.splits) == ["overlapping", "random", "grouped"] and record.cross_validated is None
    with open(chosen.workdir / "results.csv", newline="") as file:
        rows = [(row["split"], row["network"], row["seed"], row["epoch"]) for row in csv.DictReader(file)]
    replicas = [(name, seed, "1") for name in ("plain", "residual") for seed in "01"]
    assert rows == [(method, *replica) for method in record.splits for replica in replicas]
    assert record.numerics_version == NUMERICS_VERSION
    assert {"splits.png", "splits.svg"} == {path.name for path in (chosen.workdir / "figures").iterdir()}
    for method in record.splits:
        run = chosen.workdir / method
        summary = read_record(run / "summary.json", Summary)
        assert read_record(run / "split.json", SplitRecord).method == summary.dataset.split == method
        assert f"--split={method}\n" in (run / "config.flags").read_text()
        assert {numerics_of(path) for path in trained_records(run)} == {NUMERICS_VERSION}
        for arm in ("plain", "residual"):
            for seed in (0, 1):
                assert (run / "runs" / arm / f"seed{seed}" / "checkpoints" / "best").exists()


def test_leaked_and_clean_images_add_up_to_all(methods):
    chosen, record = methods
    for method, split in record.splits.items():
        for path in (chosen.workdir / method).glob("runs/*/*/result.json"):
            result = read_result(path)
            if method == "grouped":
                assert result.leaked is UNSET and result.clean is UNSET
                continue
            leaked, clean = result.leaked, result.clean
            assert leaked.images == split.leaked_images > 0
            assert leaked.images + clean.images == split.sides["val"]
            assert leaked.correct + clean.correct == pytest.approx(result.accuracy * split.sides["val"])
    network = record.splits["random"].architectures["plain"]
    assert len(network.leaked_accuracy.values) == len(network.clean_accuracy.values) == 2


def test_faulty_splits_are_labelled_wherever_their_results_stand(methods):
    chosen, record = methods
    assert record.splits["random"].label.startswith("random (faulty")
    summary = read_record(chosen.workdir / "random" / "summary.json", Summary)
    assert summary.dataset.split_label.startswith("random (faulty") and summary.dataset.split_is_faulty
    assert read_record(chosen.workdir / "random" / "split.json", SplitRecord).label.startswith("random (faulty")
    assert "split random (faulty" in (chosen.workdir / "figures" / "splits.svg").read_text()


def test_the_same_command_trains_nothing_again_and_says_what_leaks(methods, capsys):
    chosen, record = methods
    before = {path: path.stat().st_mtime_ns for path in chosen.workdir.glob("*/runs/**/result.json")}
    assert compare(chosen) == record
    assert {path: path.stat().st_mtime_ns for path in before} == before
    said = capsys.readouterr().out
    assert "3 splits, overlapping, random, grouped: nothing to train" in said
    assert "WARNING: leaked in val: " in said and "split random (faulty" in said
    assert "grouped: residual minus plain, val, best epoch" in said


def test_another_recipe_or_kind_of_comparison_is_refused_before_anything_changes(methods):
    chosen, _ = methods
    before = (chosen.workdir / "splits.json").read_bytes()
    for other, named in (
        (replace(chosen, flags=chosen.flags | {"epochs": 2}), "--epochs was 1, now 2"),
        (replace(chosen, split=replace(chosen.split, seed=1)), "their split have changed"),
        (replace(chosen, split=replace(chosen.split, methods=("grouped",))), "holds a comparison on several splits"),
        (
            replace(chosen, split=replace(chosen.split, methods=(), folds=3)),
            "holds a comparison on overlapping, random",
        ),
        (replace(chosen, workdir=chosen.workdir / "random"), "holds a comparison on one split"),
    ):
        with pytest.raises(BadInput, match=named):
            compare(other)
    assert (chosen.workdir / "splits.json").read_bytes() == before


def test_folds_are_pooled_over_every_image_and_one_can_be_run_again_from_its_split_file(tmp_path, cache):
    chosen = settings(tmp_path / "folds", cache, folds=2)
    record = compare(chosen)
    assert record == read_record(tmp_path / "folds" / "splits.json", Splits)
    assert list(record.splits) == ["fold1", "fold2"]
    pooled = record.cross_validated
    assert pooled.images == 80 and pooled.architectures["plain"].seeds == [0, 1]
    correct = sum(
        read_result(tmp_path / "folds" / name / "runs" / "plain" / "seed1" / "result.json").accuracy
        * split.sides["val"]
        for name, split in record.splits.items()
    )
    assert pooled.architectures["plain"].best_val_accuracy.values[1] == pytest.approx(correct / 80)

    alone = tmp_path / "folds" / "fold2"
    assert f"--split_file={alone / 'split.json'}\n" in (alone / "config.flags").read_text()
    again = settings(alone, cache, file=alone / "split.json")
    again = replace(again, flags=again.flags | {"folds": None})
    assert compare(again).dataset.split_label == "grouped, fold 2 of 2"
    with pytest.raises(BadInput, match="holds a comparison on fold1, fold2"):
        compare(replace(chosen, split=replace(chosen.split, folds=3)))


def test_a_sources_own_split_is_the_default_and_a_named_method_says_that_it_leaves_it_aside(tmp_path, capsys):
    dataset = replace(dataset_of([[2] * 10, [2] * 10]), sides=("train", "val") * 20)
    assert list(load_splits(settings(tmp_path, tmp_path), dataset)) == ["given"]
    assert list(load_splits(settings(tmp_path, tmp_path, methods=("given", "grouped")), dataset)) == [
        "given",
        "grouped",
    ]
    assert capsys.readouterr().out == ""
    assert list(load_splits(settings(tmp_path, tmp_path, methods=("random",)), dataset)) == ["random"]
    assert "made comes with a split of its own, which --split=random ignores" in capsys.readouterr().out
