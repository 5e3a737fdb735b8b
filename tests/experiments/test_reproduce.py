"""Published recipes: what they become, what they refuse, and what a tiny version of each leaves behind."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.reproductions.program import (
    COMMAND,
    asked_settings,
    departures,
    reproduce,
    require_data,
    settings_of_parts,
)
from experiments.reproductions.published import CIFAR10, DISHES, FIRST_EXERCISE, FIRST_EXERCISE_CONFUSION
from experiments.reproductions.recipes import CIFAR_STEPS, REPRODUCTIONS
from resjax.data.sources.catalogue import Catalogue
from resjax.errors import BadInput
from resjax.evaluation.metrics import per_class_scores
from resjax.models.architecture import Architecture, architecture
from resjax.records import Done, ReproductionRecord, Summary, read_record, read_result
from resjax.report.reproduction_text import tables
from resjax.run.settings import Settings
from resjax.training.optimizer import learning_rate_schedule
from tests.commands import parsed_flags, require_bad_input
from tests.tfds_sets import prepare

FLAGFILES = Path(__file__).parents[2] / "experiments" / "flags"


def asked(*words: str) -> tuple[str, Settings, bool]:
    """From words on the command line to the target, the settings, and whether it is the small version."""
    with parsed_flags(COMMAND, *words):
        return asked_settings([*words])


@pytest.fixture(scope="module", autouse=True)
def without_the_pictures_of_each_run():
    """They take longer than a tiny run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resjax.run.compare.draw_figures", lambda workdir: [])
        yield


def png(seed: int, size: int) -> bytes:
    """A drawing of noise on the ground colour of its seed."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 200, 3) + rng.integers(0, 55, (size, size, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def tfds_set(data_dir: Path, name: str, classes: int, of_class: dict[str, int], size: int) -> Path:
    """A stand-in as TFDS prepares it, with so many images of each class in each split."""
    import tensorflow_datasets as tfds

    examples = {
        split: [
            {"image": io.BytesIO(png(number * 7 + len(split), size)), "label": number % classes}
            for number in range(count * classes)
        ]
        for split, count in of_class.items()
    }
    described = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(num_classes=classes)}
    prepare(data_dir, name, examples, described, supervised_keys=("image", "label"))
    return data_dir


def catalogue(classes: int, size: int) -> Catalogue:
    names = tuple(f"class{number}" for number in range(classes))
    labels = np.arange(classes, dtype=np.int32)
    return Catalogue("made", names, names, labels, lambda image: png(image, size))


@pytest.mark.parametrize("target", REPRODUCTIONS)
def test_a_flagfile_gives_the_published_recipe_to_the_letter(target):
    found, settings, quick = asked(f"--flagfile={FLAGFILES}/reproduce_{target}.flags")
    reproduction = REPRODUCTIONS[target]
    assert found == target and not quick and settings.workdir == Path(f"runs/reproduce_{target}")
    assert {name: settings.flags[name] for name in reproduction.recipe} == dict(reproduction.recipe)
    assert departures(reproduction, settings.flags) == [*reproduction.departures]
    assert {each.network for each in reproduction.published} <= {each.name for each in settings.architectures}


def test_cifars_rate_is_that_of_the_paper_with_a_warm_up_for_110_layers_alone():
    _, settings, _ = asked("--target=cifar10")
    shallow, deep = settings_of_parts(REPRODUCTIONS["cifar10"], settings)
    assert [each.depth for each in shallow.architectures] == [20, 20, 32, 32, 44, 44, 56, 56]
    assert [each.name for each in deep.architectures] == ["plain110", "resnet110"]
    rates = [float(learning_rate_schedule(shallow.recipe, CIFAR_STEPS)(step)) for step in (0, 32031, 32032, 48048)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.001])
    rates = [float(learning_rate_schedule(deep.recipe, CIFAR_STEPS)(step)) for step in (0, 399, 400, 32032)]
    assert rates == pytest.approx([0.01, 0.01, 0.1, 0.01])
    # What is recorded as a comparison's flags is what it does, and a comparison knows each of them.
    assert deep.flags["warmup_shape"] == "tenth" and shallow.flags["warmup_shape"] == "linear"
    assert not {"target", "quick"} & set(deep.flags) and deep.workdir != shallow.workdir


def test_quick_takes_the_small_values_but_for_what_the_command_line_says():
    flagfile = f"--flagfile={FLAGFILES}/reproduce_cifar10.flags"
    _, settings, quick = asked(flagfile, "--quick", "--seeds=4", "--workdir=runs/mine")
    assert quick and settings.seeds == (0, 1, 2, 3) and settings.workdir == Path("runs/mine")
    assert [each.name for each in settings.architectures] == ["plain20", "resnet20", "plain56", "resnet56"]
    assert settings.recipe.momentum == 0.9 and settings.recipe.epochs == REPRODUCTIONS["cifar10"].quick["epochs"]
    assert asked(flagfile, "--quick")[1].workdir == Path("runs/reproduce_cifar10_quick")


def test_a_flag_that_leaves_the_recipe_is_listed():
    _, settings, _ = asked("--target=cifar10", "--learning_rate=0.05", "--width=8")
    found = departures(REPRODUCTIONS["cifar10"], settings.flags)
    assert found[-2:] == ["--width=8: the recipe has its own", "--learning_rate=0.05: the recipe has 0.1"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], ("--target", "cifar10, imagenet, first_exercise")),
        (["--target=cifar"], ("--target='cifar'", "did you mean 'cifar10'?")),
        (["--target=cifar10", "--milestones=0.75,0.5"], ("--milestones=0.75,0.5",)),
        (["--target=cifar10", "--milestones=half"], ("--milestones=half",)),
        (["--target=imagenet", "--augment=scale:16,256,480"], ("--augment=scale=16", "32")),
        (["--target=cifar10", "--image_size=64"], ("--image_size=64", "32")),
    ],
)
def test_bad_flags_end_with_one_line(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    require_bad_input(COMMAND, *words, says=says)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_other_images_than_the_recipes_are_refused_before_anything_is_written(tmp_path):
    target, settings, _ = asked("--target=imagenet", "--dataset=synthetic:20", f"--workdir={tmp_path / 'run'}")
    with pytest.raises(BadInput, match="--dataset=synthetic:20: 5 classes"):
        reproduce(target, settings, quick=False)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("target", "classes", "size", "named"),
    [
        ("cifar10", 10, 48, "class0 has 48 x 48 pixels"),
        ("cifar10", 100, 32, "100 classes"),
        ("first_exercise", 5, 32, "classes class0, .*bakso, gado_gado"),
    ],
)
def test_images_that_do_not_fit_a_recipe_are_named(target, classes, size, named):
    with pytest.raises(BadInput, match=f"--dataset=made: {named}"):
        require_data(REPRODUCTIONS[target], catalogue(classes, size))


def test_images_that_fit_are_accepted():
    require_data(REPRODUCTIONS["cifar10"], catalogue(10, 32))
    require_data(REPRODUCTIONS["first_exercise"], replace(catalogue(5, 90), classes=DISHES))


def test_published_numbers_are_consistent_with_each_other():
    # The report's matrices come to its accuracies at the best epoch.
    best = {each.network: each.value for each in FIRST_EXERCISE if "report" in each.who and "best" in each.measures}
    for name, rows in FIRST_EXERCISE_CONFUSION.items():
        confusion = np.array(rows)
        assert 100 * np.trace(confusion) / confusion.sum() == pytest.approx(best[name], abs=0.005)
        assert per_class_scores(confusion, DISHES)["soto_ayam"].support == 39
    for name, depth in (("resnet20", 20), ("plain56", 56)):
        assert any(each.network == name for each in CIFAR10) and architecture(name).depth == depth


def small(settings: Settings, workdir: Path) -> Settings:
    """The same with networks of a few channels and blocks, so that they compile in a moment."""
    blocks = {20: (1,), 56: (2,), 18: (1,), 34: (1,)}
    networks = tuple(
        Architecture(
            each.name, blocks[each.depth], each.shortcut, stem="cifar", width=2, preactivation=each.preactivation
        )
        for each in settings.architectures
    )
    flags = settings.flags | {"width": 2, "stem": "cifar"}
    return replace(settings, architectures=networks, workdir=workdir, flags=flags)


@pytest.mark.slow
def test_a_small_imagenet_goes_through_the_whole_recipe(tmp_path, monkeypatch):
    # A thousand classes make reports of a minute; that so many are asked for is tested above.
    few = replace(REPRODUCTIONS["imagenet"], classes=20)
    monkeypatch.setattr("experiments.reproductions.program.REPRODUCTIONS", {"imagenet": few})
    data_dir = tfds_set(tmp_path / "tfds", "imagenet2012", 20, {"train": 10, "validation": 3}, 12)
    target, settings, _ = asked(
        *(f"--flagfile={FLAGFILES}/reproduce_imagenet.flags", f"--data_dir={data_dir}", "--quick", "--seeds=0,"),
        *(
            "--dataset=tfds:imagenet2012",
            "--image_size=16",
            "--stem=cifar",
            "--augment=scale:12,16,30,flip,lighting:0.1",
        ),
        *("--batch_size=100", "--epochs=2", "--architectures=plain18,resnet18_pad", f"--cache_dir={tmp_path}/cache"),
    )
    record = reproduce(target, small(settings, tmp_path / "run"), quick=True)
    assert read_record(tmp_path / "run" / "reproduction.json", ReproductionRecord) == record
    assert [own.status for own in record.own] == [{0: "done"}] * 2
    # 120 epochs have three milestones; of 2 epochs, the last has passed all of them in the end.
    result = read_result(tmp_path / "run" / "comparison" / "runs" / "plain18" / "seed0" / "result.json")
    assert isinstance(result, Done) and result.evaluated_on == "val"
    assert result.last.learning_rate == pytest.approx(0.1 / 1000)
    assert sum(map(sum, result.confusion_matrix)) == 60
    assert any("ten crops" in line for line in record.departures)
    assert "--image_size=16: the recipe has 256" in record.departures


@pytest.mark.slow
def test_a_small_cifar_reports_the_test_set_after_both_epochs_and_the_loss_against_depth(tmp_path, capsys):
    data_dir = tfds_set(tmp_path / "tfds", "cifar10_jpeg", 10, {"train": 20, "test": 4}, 32)
    words = (
        *(f"--flagfile={FLAGFILES}/reproduce_cifar10.flags", f"--data_dir={data_dir}", "--quick", "--seeds=1,"),
        *(
            "--dataset=tfds:cifar10_jpeg",
            "--batch_size=32",
            "--val_fraction=0.2",
            "--epochs=2",
            "--image_size=8",
            "--augment=crop:1,flip",
        ),
        f"--cache_dir={tmp_path}/cache",
    )
    target, settings, _ = asked(*words)
    chosen = small(settings, tmp_path / "run")
    record = reproduce(target, chosen, quick=True)
    said = capsys.readouterr().out
    own = {each.network: each.measures for each in record.own}
    for name in ("plain20", "resnet56"):
        result = read_result(tmp_path / "run" / "comparison" / "runs" / name / "seed1" / "result.json")
        assert isinstance(result, Done)
        assert own[name]["final_test_accuracy"].values == [result.final_test_accuracy]
        assert own[name]["test_accuracy"].values == [result.accuracy]
        assert own[name]["train_loss"].values == [result.last.train_loss]
        if result.best.epoch == result.last.epoch:
            assert result.accuracy == result.final_test_accuracy
    assert record.depth is not None
    (family,) = record.depth
    assert [twins.candidate for twins in family.twins] == ["resnet20", "resnet56"] and family.seeds == [1]
    assert (tmp_path / "run" / "figures" / "depth.png").exists()
    # Wherever a number of it stands: on the terminal, in the record, on the pages and in the figures.
    warning = "lossy JPEG copies of CIFAR-10"
    assert warning in said and warning in record.notes[0]
    for page in ("reproduction.html", "comparison/report.html"):
        assert warning in (tmp_path / "run" / page).read_text()
    assert "lossy JPEG copies" in (tmp_path / "run" / "figures" / "depth.svg").read_text()
    assert "raining loss" in said and "nats" in said

    again = reproduce(target, chosen, quick=True)
    assert again == record and "nothing to train" in capsys.readouterr().out


@pytest.mark.slow
def test_a_small_first_exercise_stands_beside_its_published_table_on_both_splits(tmp_path):
    images = tmp_path / "train"
    images.mkdir()
    rows = ["filename,label"]
    for number in range(60):
        name = f"{number}.png"
        # Every third picture is a copy of the one five before it, which has its label.
        (images / name).write_bytes(png(number - 5 if number % 3 == 2 and number > 4 else number, 24))
        rows.append(f"{name},{DISHES[number % 5]}")
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    target, settings, _ = asked(
        *(f"--flagfile={FLAGFILES}/reproduce_first_exercise.flags", "--quick", f"--dataset=csv:{tmp_path}/train.csv"),
        *(
            "--seeds=2",
            "--epochs=1",
            "--image_size=16",
            "--stem=cifar",
            "--architectures=plain34,preact_resnet34",
        ),
        *("--augment=flip", f"--cache_dir={tmp_path}/cache"),
    )
    record = reproduce(target, small(settings, tmp_path / "run"), quick=True)
    assert {each.split for each in record.own} == {"overlapping", "grouped"}
    assert record.notes[0].startswith("WARNING: split overlapping (faulty")
    values, changes, recalls = tables(record)
    assert values.header == ["", "plain34", "preact_resnet34"]
    by_label = {row[0]: row[1:] for row in values.rows}
    assert by_label["the first exercise, README: best of ten epochs"] == ["54.29", "–"]
    assert by_label["seven other student repositories: lowest to highest"][0] == "27 to 72"
    summary = read_record(tmp_path / "run" / "comparison" / "grouped" / "summary.json", Summary)
    mean = summary.architectures["preact_resnet34"].best_val_accuracy.mean
    assert mean is not None
    assert by_label["ours, split grouped: validation, best epoch"][1].startswith(f"{100 * mean:.1f} ± ")
    assert changes.header == ["", "preact_resnet34 minus plain34"]
    assert [row[0] for row in changes.rows][0] == "ours, split overlapping: validation, best epoch"
    assert recalls.rows[0] == ["published: plain34", "76", "17", "92", "22", "5"]
    assert [row[0] for row in recalls.rows][1:3] == ["ours, split overlapping: plain34", "ours, split grouped: plain34"]
