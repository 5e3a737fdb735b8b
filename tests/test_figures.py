"""Pictures are made from records alone, can be read in full, and are the same for the same records."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from resjax.report.figures import style
from resjax.report.figures.run import conclusion, read_run
from resjax.report.figures.run_figures import draw_figures
from resjax.report.records import read_json, write_json, write_lines

CLASSES = ["gado_gado", "$x_1$ & <b>", "a dish whose name is much longer than any axis", "中華そば"]
SIDE_BY_SIDE = {"answer", "history", "confusion", "recall", "seeds"}


def write_run(workdir, accuracies, classes=CLASSES, epochs=3, unfinished=None, evaluated_on="val"):
    """Records of a run; `accuracies` is a list of best accuracies by seed for each arm."""
    for arm, values in accuracies.items():
        for seed, best in enumerate(values):
            folder = workdir / "runs" / arm / f"seed{seed}"
            folder.mkdir(parents=True)
            status = (unfinished or {}).get((arm, seed), "done")
            lines = [
                {
                    "epoch": epoch,
                    "train_loss": 1.5 / epoch,
                    "train_accuracy": epoch / (epoch + 1),
                    "val_loss": 2.0 / epoch,
                    "val_accuracy": best * epoch / epochs,
                }
                for epoch in range(1, epochs + 1)
            ]
            write_lines(folder / "metrics.jsonl", lines)
            result = {"schema_version": 1, "status": status, "evaluated_on": evaluated_on, "accuracy": best}
            result["confusion_matrix"] = np.full((len(classes),) * 2, 3) + np.diag(range(len(classes)))
            result["per_class"] = {name: {"recall": best, "support": 12} for name in classes}
            if status != "pending":
                write_json(folder / "result.json", result)
    summary = {
        "schema_version": 1,
        "dataset": {"name": "synthetic", "classes": classes, "splits": {"train": 40, "val": 10, "test": 0}},
        "architectures": {arm: {"seeds": list(range(len(values)))} for arm, values in accuracies.items()},
    }
    write_json(workdir / "summary.json", summary)
    return workdir


TWINS = {"plain34": [0.5, 0.4, 0.6], "resnet34": [0.6, 0.55, 0.65]}


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    workdir = write_run(tmp_path_factory.mktemp("twins"), TWINS)
    return workdir, draw_figures(workdir)


def words(path):
    return {"".join(element.itertext()) for element in ElementTree.parse(path).iter() if element.tag.endswith("}text")}


def assert_nothing_is_cut_off(path):
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    border = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    assert all((edge == 255).all() for edge in border), f"{path.name} has ink on its edge"


def test_every_picture_is_there_as_png_and_svg(twins):
    workdir, paths = twins
    names = SIDE_BY_SIDE | {f"{kind}_{arm}" for kind in ("history", "confusion") for arm in TWINS}
    assert {path.name for path in paths} == {f"{name}.{suffix}" for name in names for suffix in ("png", "svg")}
    assert sorted(paths) == sorted((workdir / "figures").iterdir())


def test_pngs_are_fit_for_print_and_whole(twins):
    for path in twins[1]:
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert min(image.info["dpi"]) >= 150 and min(image.size) > 400
            assert_nothing_is_cut_off(path)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("answer", {"epoch", "validation accuracy (%)", "plain34, 3 seeds", "resnet34, 3 seeds"}),
        ("history", {"epoch", "accuracy (%)", "loss (nats per image)"}),
        ("history_plain34", {"epoch", "accuracy (%)", "loss (nats per image)", "training", "validation"}),
        ("confusion", {"true class", "predicted class", "share of the true class (%)", "plain34, 3 seeds together"}),
        ("recall", {"recall (% of the class's validation images)", "class (images)", "gado_gado (12)"}),
        ("seeds", {"validation accuracy (%)", "plain34", "resnet34", "50.0", "60.0"}),
    ],
)
def test_axes_are_labelled_with_their_units(twins, name, labels):
    assert labels <= words(twins[0] / "figures" / f"{name}.svg")


def test_class_names_are_text_and_not_formulas(twins):
    found = words(twins[0] / "figures" / "confusion.svg")
    assert {"gado_gado", "$x_1$ & <b>", "a dish whose name is mu…", "中華そば"} <= found


def test_counts_of_all_seeds_and_their_row_shares_stand_in_the_cells(twins):
    cells = words(twins[0] / "figures" / "confusion_plain34.svg")
    # Row 3 of a seed is 3 3 3 6.
    assert {"9", "18", "20 %", "40 %"} <= cells


def test_same_records_give_the_same_bytes(twins, tmp_path):
    workdir, paths = twins
    for path in draw_figures(write_run(tmp_path / "again", TWINS)):
        assert path.read_bytes() == (workdir / "figures" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("accuracies", "sentence"),
    [
        (TWINS, "Validation accuracy: resnet34 is 10.0 points above plain34 on average over 3 seeds"),
        (
            {"plain34": [0.5], "resnet34": [0.25]},
            "Validation accuracy: resnet34 is 25.0 points below plain34 with one seed",
        ),
        ({"plain34": [0.5, 0.25]}, "plain34 has a validation accuracy of 37.5 % on average over 2 seeds"),
        (
            TWINS | {"resnet34_pad": [0.25, 0.25]},
            "Points of validation accuracy above plain34, on average over 2 to 3 seeds: "
            "resnet34 +10.0, resnet34_pad -20.0",
        ),
    ],
)
def test_the_conclusion_is_the_mean_difference_over_shared_seeds(tmp_path, accuracies, sentence):
    assert conclusion(read_run(write_run(tmp_path, accuracies))) == sentence


def test_every_picture_of_a_leaking_run_carries_the_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(style, "DPI", 50)
    workdir = write_run(tmp_path, TWINS, CLASSES[:2])
    summary = read_json(workdir / "summary.json")
    summary["dataset"] |= {"split_label": "random (faulty: on purpose)", "split_is_faulty": True}
    summary["dataset"] |= {"leaked": {"val": 5, "test": 0}}
    write_json(workdir / "summary.json", summary)
    for path in workdir.glob("runs/*/*/result.json"):
        write_json(path, read_json(path) | {"leaked": {"accuracy": 0.9}, "clean": {"accuracy": 0.4}})
    paths = draw_figures(workdir)
    assert "leaks.png" in {path.name for path in paths}
    for path in paths:
        if path.suffix == ".svg":
            assert "WARNING: split random (faulty: on purpose): 5 of 10 validation" in " ".join(words(path)), path.name


def test_replicas_without_a_result_are_left_out_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr(style, "DPI", 50)
    unfinished = {("plain34", 0): "pending", ("resnet34", 1): "diverged"}
    workdir = write_run(tmp_path, TWINS, CLASSES[:2], unfinished=unfinished, evaluated_on="test")
    draw_figures(workdir)
    found = words(workdir / "figures" / "answer.svg")
    assert conclusion(read_run(workdir)) == "Test accuracy: resnet34 is 5.0 points above plain34 with one seed"
    assert "test accuracy (%)" in found
    assert "seed 0 pending" in " ".join(found) and "seed 1 diverged" in " ".join(found)


def test_a_run_without_a_finished_replica_has_no_pictures(tmp_path):
    workdir = write_run(tmp_path, {"plain34": [0.5]}, unfinished={("plain34", 0): "diverged"})
    assert draw_figures(workdir) == []


@pytest.mark.parametrize(
    ("accuracies", "classes", "epochs"),
    [
        ({"resnet34": [0.5]}, ["a", "b"], 1),
        ({f"arm{index}_project_all": [0.1 * index, 0.5] for index in range(5)}, ["a", "b", "c"], 40),
        ({"resnet34": [0.5, 0.5]}, [f"class {index}" for index in range(100)], 2),
    ],
    ids=["one seed, one epoch", "five arms", "a hundred classes"],
)
def test_unusual_runs_are_drawn_whole(tmp_path, monkeypatch, accuracies, classes, epochs):
    monkeypatch.setattr(style, "DPI", 50)
    for path in draw_figures(write_run(tmp_path, accuracies, classes, epochs)):
        if path.suffix == ".png":
            assert_nothing_is_cut_off(path)


def test_a_damaged_record_is_named(tmp_path):
    workdir = write_run(tmp_path, {"plain34": [0.5]})
    (workdir / "runs/plain34/seed0/result.json").write_text('{"status": ')
    with pytest.raises(ValueError, match=r"plain34.seed0.result\.json: not a readable JSON record"):
        draw_figures(workdir)
