"""`experiments.predict`: which network answers, which files it is asked of, what it says, and what it refuses."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from resjax.cli.predict import COMMAND
from resjax.data.decoding import decode_files
from resjax.errors import BadInput
from resjax.predict import predicting
from resjax.predict.answering import PredictSettings, predict
from resjax.predict.predicting import Lines, NamedImage, calibration_sentence, classify, named_images
from resjax.predict.saliency_pictures import SaliencyPictures, beside
from resjax.predict.trained_network import trained_network
from resjax.records import Prediction, from_plain, plain, read_lines, read_npz, read_values, write_npz, write_record
from resjax.records.run_records import read_run_records
from tests.commands import require_bad_input, run_in_process, run_program
from tests.made_networks import CLASSES, IMAGES, SIZE, make_images, make_networks
from tests.made_records import splits_record


@pytest.fixture(scope="module")
def folder(finished) -> Path:
    return finished


@pytest.fixture
def changed(folder, tmp_path) -> Path:
    """A copy of the workdir that a test may change."""
    return Path(shutil.copytree(folder / "run", tmp_path / "run"))


def pixels_of(folder: Path) -> np.ndarray:
    return np.stack(decode_files(sorted((folder / "images").iterdir()), SIZE))


def change(path: Path, edit) -> None:
    record = read_values(path)
    edit(record)
    write_record(path, record)


# Which network answers.


def test_by_default_all_seeds_of_the_arm_with_the_best_mean_on_validation_answer(folder):
    arm = trained_network(folder / "run", None, "ensemble")
    assert (arm.name, arm.seeds, arm.classes, arm.image_size) == ("resnet8", (0, 1), CLASSES, SIZE)
    assert arm.chosen == "resnet8 (the best of plain8, resnet8 on validation), the ensemble of seeds 0, 1"


def test_the_best_seed_is_chosen_by_validation_even_where_test_says_otherwise(changed):
    for seed, (val, test) in enumerate([(0.7, 0.2), (0.6, 0.9)]):
        path = changed / "runs" / "resnet8" / f"seed{seed}" / "result.json"
        change(path, lambda r, v=val, t=test: r["best"].update(val_accuracy=v) or r.update(accuracy=t))
    arm = trained_network(changed, "resnet8", "best")
    assert arm.seeds == (0,) and arm.chosen == "resnet8, seed 0 (the best of 0, 1 on validation)"
    assert trained_network(changed, "resnet8", "1").seeds == (1,)


def test_an_ensemble_leaves_out_who_diverged_or_has_no_checkpoint_and_says_so(tmp_path):
    workdir = make_networks(tmp_path, ("resnet8",), (0, 1, 2), diverged=[("resnet8", 1)])
    arm = trained_network(workdir, None, "ensemble")
    assert arm.seeds == (0, 2) and arm.notes == ("left out: seed 1 diverged",)
    shutil.rmtree(workdir / "runs" / "resnet8" / "seed0" / "checkpoints")
    arm = trained_network(workdir, None, "best")
    assert arm.seeds == (2,) and arm.notes == ("left out: seed 0 without a checkpoint, seed 1 diverged",)
    with pytest.raises(
        BadInput, match=r"--replica=1 \(resnet8 seed 1 is diverged\): .* finished seed of resnet8 \(2\)"
    ):
        trained_network(workdir, None, "1")


@pytest.mark.parametrize(
    ("arm", "replica", "words"),
    [
        ("resnet9", "best", r"--architecture='resnet9': did you mean 'resnet8'\? .*plain8, resnet8"),
        (
            None,
            "esemble",
            r"--replica=esemble: expected best, ensemble or .* resnet8 \(0, 1\); did you mean ensemble\?",
        ),
        (None, "7", r"--replica=7: expected best, ensemble or a finished seed of resnet8 \(0, 1\)"),
    ],
)
def test_an_unknown_arm_or_replica_is_refused_with_those_that_there_are(folder, arm, replica, words):
    with pytest.raises(BadInput, match=words):
        trained_network(folder / "run", arm, replica)


def test_a_workdir_that_is_none_has_nothing_finished_or_was_another_networks_is_refused(folder, changed, tmp_path):
    with pytest.raises(BadInput, match="nowhere: no such folder"):
        trained_network(tmp_path / "nowhere", None, "best")
    with pytest.raises(ValueError, match="images: no summary.json there"):
        trained_network(folder / "images", None, "best")
    change(changed / "summary.json", lambda record: record["architectures"]["resnet8"].update(parameters=7))
    with pytest.raises(BadInput, match="resnet8 has [0-9,]+ parameters here and 7 in summary.json"):
        trained_network(changed, None, "best")
    write_record(changed / "splits.json", splits_record())
    with pytest.raises(BadInput, match=r"several splits, expected one of .*run/random, .*run/grouped"):
        trained_network(changed, None, "best")
    pending = [("plain8", 0), ("plain8", 1)]
    with pytest.raises(BadInput, match="no replica of plain8 is finished"):
        trained_network(make_networks(tmp_path / "pending", ("plain8",), pending=pending), None, "best")


def test_a_damaged_checkpoint_is_refused_in_one_line(changed):
    for path in (changed / "runs/resnet8/seed0/checkpoints/best").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(BadInput, match=r"checkpoints/best/1: damaged.*choose another --replica"):
        trained_network(changed, "resnet8", "0")


# What it says.


def test_an_image_of_validation_gets_the_logits_of_the_run(folder):
    arm = trained_network(folder / "run", "resnet8", "ensemble")
    stored = [read_run_records(folder / "run").predictions("resnet8", seed, "val").logits for seed in (0, 1)]
    np.testing.assert_allclose(arm.logits(pixels_of(folder)), stored, rtol=1e-5, atol=1e-5)


def test_probabilities_are_the_seeds_mean_at_the_temperature(folder):
    arm = trained_network(folder / "run", "resnet8", "ensemble")
    logits = arm.logits(pixels_of(folder))
    assert arm.temperature != 1 and arm.calibration.images == IMAGES
    powers = softmax(logits, axis=-1).mean(0) ** (1 / arm.temperature)
    np.testing.assert_allclose(arm.probabilities(logits), powers / powers.sum(-1, keepdims=True), rtol=1e-5)


def test_leaked_images_and_lost_predictions_do_not_calibrate(changed):
    def leak(record):
        record["images"] += [dict(image, side="train", id=f"copy of {image['id']}") for image in record["images"][:2]]

    change(changed / "split.json", leak)
    found = trained_network(changed, "resnet8", "best").calibration
    # Images 0 and 1 are copies of each other: one copy in train leaks both.
    assert found.leaked_left_out == 2 and found.images == IMAGES - 2
    assert "(2 more leak and are left out)" in calibration_sentence(found)
    (changed / "runs/resnet8/seed0/predictions.npz").unlink()
    arm = trained_network(changed, "resnet8", "0")
    assert arm.temperature == 1 and arm.scores is None
    assert calibration_sentence(arm.calibration).startswith("probabilities are not calibrated: predictions.npz of the")


def test_where_there_is_a_test_set_accuracy_and_calibration_are_measured_on_it(changed):
    path = changed / "runs/resnet8/seed0/predictions.npz"
    stored = read_npz(path)
    stored["id"], stored["label"], stored["logits"] = (np.tile(stored[key].T, 2).T for key in ("id", "label", "logits"))
    stored["side"] = np.repeat(["val", "test"], IMAGES)
    write_npz(path, **stored)
    arm = trained_network(changed, "resnet8", "0")
    assert arm.scores.side == "test" and arm.scores.images == IMAGES
    assert arm.calibration.measured_on == "held out" and arm.calibration.measured_images == IMAGES
    assert f"on {IMAGES} test images" in calibration_sentence(arm.calibration)


def test_images_that_cannot_be_read_are_left_out_of_a_batch_and_keep_their_place(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(predicting, "EVALUATION_BATCH", 3)
    arm = trained_network(folder / "run", "resnet8", "best")
    paths = make_images(tmp_path / "photos", 7)
    paths[1].write_bytes(paths[1].read_bytes()[:200])
    (tmp_path / "photos" / "0025.jpg").write_text("no image")
    images = [*named_images([str(tmp_path / "photos")]), *named_images([str(tmp_path / "gone.jpg")])]
    found = list(classify(arm, images))
    assert [each.name for each in found] == [image.name for image in images] and len(found) == 9
    broken = {Path(each.name).name: each.problem for each in found if each.problem}
    assert broken.keys() == {"001.png", "0025.jpg", "gone.jpg"}
    assert broken["0025.jpg"] == "a text file" and broken["gone.jpg"] == "no such file or directory"
    for each in found:
        if each.problem is None:
            alone = arm.probabilities(arm.logits(np.stack(decode_files([Path(each.name)], SIZE))))[0]
            np.testing.assert_allclose(each.probabilities, alone, rtol=1e-5)


def test_folders_are_walked_in_order_and_each_file_counts_once(tmp_path):
    for name in ("b/2.png", "b/10.png", "a.png", ".hidden.png", "b/.git/x.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text("")
    (tmp_path / "in" / "broken.png").symlink_to("nowhere")
    (tmp_path / "empty").mkdir()
    found = named_images([f"{tmp_path}/in/b/2.png", f"{tmp_path}/in/", f"{tmp_path}/empty", "x" * 5000])
    names = [image.name.removeprefix(f"{tmp_path}/") for image in found]
    assert names == ["in/b/2.png", "in/a.png", "in/b/10.png", "in/broken.png", "empty", "x" * 5000]
    problems = [image.problem for image in found]
    assert problems == [None, None, None, "broken link", "no files in this folder", "file name too long"]


def test_a_line_is_a_record_or_a_row_that_no_terminal_takes_for_commands(folder):
    arm = trained_network(folder / "run", "resnet8", "ensemble")
    images = [NamedImage("evil\x1b[2J\n.png", Path("evil")), NamedImage("gone.png", Path("gone"))]
    good = predicting.Classified(images[0].name, np.array([0.2, 0.1, 0.7]))
    bad = predicting.Classified("gone.png", None, "no such file")
    table = Lines(arm, images, 2, as_json=False)
    assert table.line(good) == "evil\\u001b[2J\\n.png  soto_ayam       70.0 %  bakso 20.0 %"
    assert table.line(bad).endswith("  cannot be read: no such file")
    assert table.header.index("class") == table.line(good).index("soto_ayam")
    lines = Lines(arm, images, 3, as_json=True)
    records = [json.loads(lines.line(each)) for each in (good, bad)]
    for record in records:
        assert plain(from_plain(record, Prediction, "line")) == record
    assert list(records[0]["probabilities"]) == ["soto_ayam", "bakso", "gado_gado"] and records[0]["seeds"] == [0, 1]
    assert records[1]["class"] is None and records[1]["problem"] == "no such file"


def test_grad_cam_leaves_a_picture_for_each_image_that_shows_it_and_its_map(folder, tmp_path):
    arm = trained_network(folder / "run", "resnet8", "ensemble")
    pictures = SaliencyPictures(arm, tmp_path / "cam")
    pixels = pixels_of(folder)[:3]
    paths = pictures.write(["a/same name.png", "b/same name.png"], pixels, np.array([0, 1, 2]))
    assert [path.name for path in paths] == ["00001_same_name.png", "00002_same_name.png"]
    assert sorted(path.name for path in (tmp_path / "cam").iterdir()) == [path.name for path in paths]
    with Image.open(paths[0]) as picture:
        assert picture.size == (516, 256)
        left = np.asarray(picture.crop((0, 0, 256, 256)).resize((SIZE, SIZE), Image.Resampling.BOX), float)
    assert np.abs(left - pixels[0]).mean() < 20


def test_yellow_lies_where_the_map_is_large_and_black_where_it_is_zero():
    grey, heat = np.full((16, 16, 3), 100, np.uint8), np.zeros((4, 4))
    heat[:2, :2] = 1
    picture = np.asarray(beside(grey, heat), float)
    assert (picture[:, :256] == 100).all()
    high, low = picture[20, 260 + 20], picture[-20, -20]
    np.testing.assert_allclose(high, 0.45 * 100 + 0.55 * np.array([252, 255, 164]), atol=2)
    np.testing.assert_allclose(low, 0.45 * 100 + 0.55 * np.array([0, 0, 4]), atol=2)


# From the command line.


def asked(folder: Path, *words: Path, **others) -> PredictSettings:
    """What a command asks of the best seed, for lines of JSON."""
    settings = PredictSettings(
        workdir=folder / "run",
        words=tuple(map(str, words)),
        architecture=None,
        replica="best",
        format="jsonl",
        top=None,
        output=None,
        grad_cam=None,
        export=None,
        export_formats=("safetensors",),
    )
    return replace(settings, **others)


@pytest.mark.slow
def test_the_command_classifies_what_it_can_and_lists_the_rest(folder, tmp_path):
    photos = tmp_path / "photos"
    make_images(photos, 3)
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff" + bytes(40))
    of_run = [f"--workdir={folder}/run", "--nocompile_cache"]
    found = run_program("predict", photos, *of_run, "--grad_cam", tmp_path / "cam", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "resnet8 (the best of plain8, resnet8 on validation), the ensemble of seeds 0, 1" in found.stdout
    assert "expected calibration error" in found.stdout and f"{photos}/000.png" in found.stdout
    assert "3 images classified, 1 could not be read" in found.stdout and f"{photos}/broken.jpg (" in found.stdout
    assert len(list((tmp_path / "cam").iterdir())) == 3
    asked = [*of_run, "--format=jsonl", "--replica=best", photos, tmp_path / "gone.png"]
    lines = run_program("predict", *asked, cwd=tmp_path)
    assert lines.returncode == 0, lines.stderr
    records = [json.loads(line) for line in lines.stdout.splitlines()]
    assert [record["class"] is None for record in records] == [False, False, False, True, True]
    assert "3 images classified, 2 could not be read" in lines.stderr and "gone.png (no such file" in lines.stderr


def test_what_is_kept_in_a_file_has_a_line_for_each_image(folder, tmp_path, capsys):
    make_images(tmp_path / "photos", 2)
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    predict(asked(folder, tmp_path / "photos", output=tmp_path / "answers.jsonl"))
    records = [plain(line) for line in read_lines(tmp_path / "answers.jsonl", Prediction)]
    assert [record["problem"] for record in records] == [None, None, "a text file"]
    predict(asked(folder, tmp_path / "photos", output=tmp_path / "answers.txt", format="table"))
    header, *rows = (tmp_path / "answers.txt").read_text().splitlines()
    assert header.startswith("image") and len(rows) == 3 and records[0]["class"] in rows[0]
    said = capsys.readouterr().out
    assert said.count(f"2 images classified, 1 could not be read; a line for each is in {tmp_path}/answers.") == 2


def test_where_nothing_can_be_read_there_is_one_line_and_no_file(folder, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(BadInput) as refused:
        predict(asked(folder, tmp_path, output=tmp_path / "answers.jsonl"))
    said = f"none of 1 files can be read: {tmp_path}/notes.txt (a text file); expected images"
    assert str(refused.value) == said and not (tmp_path / "answers.jsonl").exists()
    with pytest.raises(BadInput, match="--top=4: expected .*3"):
        predict(asked(folder, tmp_path, top=4))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x.png"], "--workdir: the folder of a finished comparison is needed"),
        (["--workdir=RUN"], "no images: expected "),
        (["--workdir=RUN", "x.png", "--format=josnl"], "--format='josnl': did you mean 'jsonl'?"),
        (["--workdir=RUN", "x.png", "--top=0"], "--top=0: expected "),
        (
            ["--workdir=RUN", "--export=RUN/summary.json/x"],
            "summary.json is not a folder that can be written",
        ),
        (
            ["--workdir=RUN", "--export=x", "--export_formats=onnx"],
            "--export_formats='onnx': expected one of safetensors, ",
        ),
        (["--workdir=RUN", "x.png", "--output=/no/where.txt"], "--output=/no/where.txt: there is no folder /no;"),
        (["--workdir=RUN", "--export=x", "--grad_cam=y"], "--grad_cam without images"),
        (["--workdir=RUN", "x.png", "--repilca=best"], "--repilca: there is no such flag; did you mean --replica?"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_read(words, said, folder):
    found = run_program("predict", *(word.replace("RUN", str(folder / "run")) for word in words), cwd=folder)
    assert found.returncode == 2 and found.stderr.startswith("error: ") and said in found.stderr, found.stderr
    assert found.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_real_run_predicts_its_own_validation_images(tmp_path):
    for number, path in enumerate(make_images(tmp_path / "flat", 45)):
        label = tmp_path / "photos" / CLASSES[number % 3]
        label.mkdir(parents=True, exist_ok=True)
        path.rename(label / path.name)
    small = [f"--image_size={SIZE}", "--architectures=resnet8", "--width=2", "--seeds=1", "--epochs=1"]
    where = [f"--dataset=folder:{tmp_path}/photos", f"--workdir={tmp_path}/run", f"--cache_dir={tmp_path}/cache"]
    trained = run_program(
        "compare", *small, *where, "--batch_size=8", "--val_fraction=0.5", "--augment=none", cwd=tmp_path
    )
    assert trained.returncode == 0, trained.stderr
    arm = trained_network(tmp_path / "run", None, "ensemble")
    expected = read_run_records(tmp_path / "run").predictions("resnet8", 0, "val")
    pixels = np.stack(decode_files([tmp_path / "photos" / name for name in expected.ids], SIZE))
    assert len(expected.ids) >= 20 and arm.calibration.images == len(expected.ids)
    np.testing.assert_allclose(arm.logits(pixels)[0], expected.logits, rtol=1e-5, atol=1e-5)


# Images with more than 8 bits a channel.


def test_a_deep_image_is_scaled_as_those_of_the_comparison_were(changed, tmp_path):
    values = np.random.default_rng(0).integers(0, 2**8, (20, 24)).astype(np.uint16)
    for name, picture in (("deep.png", values << 2), ("eight.png", (values >> 2).astype(np.uint8))):
        Image.fromarray(picture).save(tmp_path / name)
    images = named_images([str(tmp_path / "deep.png"), str(tmp_path / "eight.png")])
    # Without a range, the deep image has its own, of 10 bits, and this is said.
    own, eight = classify(trained_network(changed, None, "best"), images)
    assert own.on_own_range and not eight.on_own_range and (own.probabilities != eight.probabilities).any()
    ranges = {"integers": [0, 4095], "floats": None}
    change(changed / "summary.json", lambda record: record["dataset"].update(value_ranges=ranges))
    deep, eight = classify(trained_network(changed, None, "best"), images)
    assert not deep.on_own_range
    np.testing.assert_array_equal(deep.probabilities, eight.probabilities)


def test_what_is_no_image_is_named_and_pictures_among_the_images_are_refused(folder, tmp_path):
    make_images(tmp_path / "photos", 2)
    (tmp_path / "photos" / "pointer.jpg").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "photos" / "$RECYCLE.BIN").mkdir()
    make_images(tmp_path / "photos" / "$RECYCLE.BIN", 1)
    flags = (f"--workdir={folder}/run", "--replica=best", "--nocompile_cache", tmp_path / "photos")
    status, out, err = run_in_process(COMMAND, *flags)
    assert status == 0 and "2 images classified, 2 could not be read" in out, err
    assert "Git LFS" in out and "folder of the system" in out
    require_bad_input(COMMAND, *flags, f"--grad_cam={tmp_path}/photos/cam", says=("--grad_cam=",))
