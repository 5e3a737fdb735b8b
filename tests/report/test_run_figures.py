"""Figures are made from records alone, can be read in full, and are the same for the same records."""

import re
import xml.etree.ElementTree as ElementTree
from itertools import islice

import numpy as np
import pytest
from matplotlib.figure import Figure
from msgspec.structs import replace
from PIL import Image

from resjax.records import ClassScores, read_result, write_lines, write_record
from resjax.records.run_records import read_run_records
from resjax.report.figures import run_figures, style
from resjax.report.figures.drawn_run import conclusion, drawn_run
from resjax.report.figures.run_figures import draw_figures
from tests.made_run import make_run, metrics_line

CLASSES = ["gado_gado", "$x_1$ & <b>", "a dish whose name is much longer than any axis", "中華そば"]
SIDE_BY_SIDE = {"answer", "history", "confusion", "recall"}


def write_run(workdir, accuracies, classes=CLASSES, epochs=3, unfinished=None, evaluated_on="val", leaked=0):
    """Records of a run; `accuracies` is a list of best accuracies by seed for each network."""
    seeds = range(max(map(len, accuracies.values())))
    unfinished = {(name, seed): "pending" for name in accuracies for seed in seeds if seed >= len(accuracies[name])} | (
        unfinished or {}
    )
    pending, diverged = (
        [key for key, each in unfinished.items() if each == status] for status in ("pending", "diverged")
    )
    size = len(classes)
    make_run(
        workdir,
        dict.fromkeys(accuracies, 0.5),
        classes=classes,
        seeds=seeds,
        images=4 * size,
        leaked=leaked,
        pending=pending,
        diverged=diverged,
    )
    for path in workdir.glob("runs/*/*/result.json"):
        result = read_result(path)
        if result.status == "done":
            best = accuracies[result.architecture][result.seed]
            lines = [
                replace(metrics_line(epoch, best * epoch / epochs), val_loss=2.0 / epoch)
                for epoch in range(1, epochs + 1)
            ]
            write_lines(path.with_name("metrics.jsonl"), lines)
            scores = ClassScores(precision=best, recall=best, f1=best, support=12)
            matrix = (np.full((size, size), 3) + np.diag(range(size))).tolist()
            found = {"accuracy": best, "evaluated_on": evaluated_on, "confusion_matrix": matrix}
            write_record(path, replace(result, **found, per_class=dict.fromkeys(classes, scores)))
    return workdir


def conclusion_of(workdir):
    return conclusion(drawn_run(read_run_records(workdir)))


TWINS = {"plain34": [0.5, 0.4, 0.6], "resnet34": [0.6, 0.55, 0.65]}


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    workdir = write_run(tmp_path_factory.mktemp("twins") / "run", TWINS)
    return workdir, draw_figures(workdir)


def words(path):
    return words_of(path.read_text())


def words_of(svg):
    root = ElementTree.fromstring(svg)
    return {"".join(element.itertext()) for element in root.iter() if element.tag.endswith("}text")}


def text_of(path):
    """All text of a figure in its order, so that wrapped lines go on."""
    root = ElementTree.parse(path).getroot()
    return " ".join("".join(element.itertext()) for element in root.iter() if element.tag.endswith("}text"))


def assert_nothing_is_cut_off(path):
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    border = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    assert all((edge == 255).all() for edge in border), f"{path.name} has ink on its edge"


def test_every_figure_is_there_as_png_and_svg(twins):
    workdir, paths = twins
    names = SIDE_BY_SIDE | {f"history_{network}" for network in TWINS}
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
        ("answer", {"epoch", "validation accuracy (%)", "plain34, 3 seeds", "resnet34, 3 seeds", "50.0", "60.0"}),
        ("history", {"epoch", "accuracy (%)", "loss (nats per image), log scale"}),
        ("history_plain34", {"epoch", "accuracy (%)", "loss (nats per image), log scale", "training", "validation"}),
        ("confusion", {"true class", "predicted class", "share of the true class (%)", "plain34, 3 seeds together"}),
        ("recall", {"recall (% of the class's validation images)", "class (images)", "gado_gado (12)"}),
    ],
)
def test_axes_are_labelled_with_their_units(twins, name, labels):
    assert labels <= words(twins[0] / "figures" / f"{name}.svg")


def test_the_answer_shows_the_paired_differences_with_their_interval(twins, tmp_path, monkeypatch):
    found = words(twins[0] / "figures" / "answer.svg")
    (pair,) = read_run_records(twins[0]).summary.comparisons
    change, (low, high) = (f"{100 * pair.mean:+.1f}", (f"{100 * end:+.1f}".replace("-", "−") for end in pair.ci95))
    said = f"resnet34 minus plain34: {change} points, 95 % interval {low} to {high}, p = {pair.p_value:.2g}"
    assert {said, "difference in validation accuracy, best epoch (percentage points)"} <= found
    monkeypatch.setattr(style, "DPI", 50)
    # The first figure is the answer.
    monkeypatch.setattr(run_figures, "save", lambda figures, folder: style.save(islice(figures, 1), folder))
    workdir = write_run(tmp_path / "run", {f"net{index}": [0.1 * index, 0.5] for index in range(6)}, CLASSES[:2])
    png, svg = draw_figures(workdir)
    assert len([text for text in words(svg) if " minus net" in text]) == 10 and "10 of 15" in text_of(svg)
    assert_nothing_is_cut_off(png)


def test_class_names_are_text_and_not_formulas(twins):
    found = words(twins[0] / "figures" / "confusion.svg")
    assert {"gado_gado", "$x_1$ & <b>", "a dish whose name is mu…", "中華そば"} <= found


def test_counts_of_all_seeds_and_their_row_shares_stand_in_the_cells(twins):
    cells = words(twins[0] / "figures" / "confusion.svg")
    # Row 3 of a seed is 3 3 3 6.
    assert {"9", "18", "20 %", "40 %"} <= cells


def test_of_many_networks_each_has_a_confusion_matrix_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(style, "DPI", 50)
    workdir = write_run(tmp_path / "run", {f"net{index}": [0.5] for index in range(5)}, CLASSES[:2])
    names = {path.stem for path in draw_figures(workdir) if path.stem.startswith("confusion")}
    assert names == {f"confusion_net{index}" for index in range(5)}


def test_without_the_epochs_the_seeds_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(style, "DPI", 50)
    workdir = write_run(tmp_path / "run", TWINS, CLASSES[:2])
    for path in workdir.glob("runs/*/*/metrics.jsonl"):
        path.unlink()
    assert {path.stem for path in draw_figures(workdir)} == {"seeds", "confusion", "recall"}
    assert {"validation accuracy (%)", "plain34", "resnet34", "50.0", "60.0"} <= words(workdir / "figures/seeds.svg")


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
    assert conclusion_of(write_run(tmp_path / "run", accuracies)) == sentence


def test_every_figure_of_a_leaking_run_carries_the_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(style, "DPI", 50)
    workdir = write_run(tmp_path / "run", TWINS, CLASSES[:2], leaked=5)
    paths = draw_figures(workdir)
    assert "leaks.png" in {path.name for path in paths}
    for path in paths:
        if path.suffix == ".svg":
            assert "WARNING: split random (faulty: shown on purpose): 5 of 8 validation" in " ".join(words(path)), (
                path.name
            )


def test_replicas_without_a_result_are_left_out_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr(style, "DPI", 50)
    unfinished = {("plain34", 0): "pending", ("resnet34", 1): "diverged"}
    workdir = write_run(tmp_path / "run", TWINS, CLASSES[:2], unfinished=unfinished, evaluated_on="test")
    draw_figures(workdir)
    found = words(workdir / "figures" / "answer.svg")
    assert conclusion_of(workdir) == "Test accuracy: resnet34 is 5.0 points above plain34 with one seed"
    assert "test accuracy (%)" in found
    text = text_of(workdir / "figures" / "answer.svg")
    assert "seed 0 pending" in text and "seed 1 diverged" in text


def test_a_run_without_a_finished_replica_has_no_figures(tmp_path):
    workdir = write_run(tmp_path / "run", {"plain34": [0.5]}, unfinished={("plain34", 0): "diverged"})
    assert draw_figures(workdir) == []


@pytest.mark.parametrize(
    ("accuracies", "classes", "epochs"),
    [
        ({"resnet34": [0.5]}, ["a", "b"], 1),
        ({f"net{index}_project_all": [0.1 * index, 0.5] for index in range(5)}, ["a", "b", "c"], 40),
        ({"resnet34": [0.5, 0.5]}, [f"class {index}" for index in range(100)], 2),
    ],
    ids=["one seed, one epoch", "five networks", "a hundred classes"],
)
def test_unusual_runs_are_drawn_whole(tmp_path, monkeypatch, accuracies, classes, epochs):
    monkeypatch.setattr(style, "DPI", 50)
    for path in draw_figures(write_run(tmp_path / "run", accuracies, classes, epochs)):
        if path.suffix == ".png":
            assert_nothing_is_cut_off(path)


def test_a_damaged_record_is_named(tmp_path):
    workdir = write_run(tmp_path / "run", {"plain34": [0.5]})
    (workdir / "runs/plain34/seed0/result.json").write_text('{"status": ')
    with pytest.raises(ValueError, match=r"plain34.seed0.result\.json: not a readable JSON record"):
        draw_figures(workdir)


def test_a_figure_inside_of_a_page_follows_its_colours_and_shares_no_id(twins):
    svgs = {path.stem: path.read_text() for path in twins[1] if path.name in ("answer.svg", "history.svg")}
    pages = [style.inline(svg, name) for name, svg in svgs.items()]
    ids = [each for page in pages for each in re.findall(r' id="([^"]+)"', page)]
    assert ids and len(set(ids)) == len(ids) and all(each.startswith(("answer-", "history-")) for each in ids)
    for name, page in zip(svgs, pages, strict=True):
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', page)) <= set(ids)
        root = ElementTree.fromstring(page)
        assert root.get("role") == "img" and root.get("aria-label")
        assert {"".join(each.itertext()) for each in root.iter("text")} == words_of(svgs[name])
        assert "var(--network0" in page and "currentColor" in page and "var(--page)" in page
        assert not re.search(r"#(000000|ffffff)\b|font-family|<style|<title|http", page)


def test_names_stay_text_inside_of_a_page():
    def figures():
        figure = Figure()
        figure.suptitle('<b> & "$x$" #000000; -->')
        style.describe(figure, '<b> & "title"')
        yield "one", figure

    page = style.inline(style.draw(figures())["one"], "one")
    root = ElementTree.fromstring(page)
    assert [each.text for each in root.iter("text")] == ['<b> & "$x$" #000000; -->']
    assert root.get("aria-label") == '<b> & "title"'
