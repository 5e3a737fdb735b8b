"""`experiments.predict` on labelled images: which labels there are, what was seen before, and what the scores say."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from resjax.cli.predict import COMMAND
from resjax.data.cache import ArrayCache
from resjax.data.decoding import THUMBNAIL_SIZE, Fingerprint, cache_name, decode_files
from resjax.errors import BadInput
from resjax.predict.copies import find_copies
from resjax.predict.labels import NO_CLASS, Labels, labels_of
from resjax.predict.predicting import named_images
from resjax.predict.trained_network import trained_network
from resjax.records import LabelledScores, from_plain, json_schema, plain, read_record, read_values, write_record
from resjax.records.run_records import read_run_records
from tests.commands import require_bad_input, run_in_process
from tests.made_networks import CLASSES, IMAGES, SIZE, make_images

NEW = 12


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory) -> Path:
    """A comparison whose first images are in train, and `labelled`, images in folders of classes."""
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("scoring") / "copy"))

    def edit(record: dict) -> None:
        for place, image in enumerate(record["images"]):
            image["content"] = hashlib.sha256((folder / "images" / image["id"]).read_bytes()).hexdigest()
            image["side"] = "train" if place < 6 else "test" if place < 9 else "val"

    change(folder / "run" / "split.json", edit)
    change(folder / "run" / "summary.json", lambda r: r["config"].update(cache_dir=str(folder / "cache"), margin=5.0))
    make_labelled(folder / "labelled")
    return folder


@pytest.fixture
def run(folder, tmp_path) -> Path:
    """A copy of the workdir that a test may change."""
    return Path(shutil.copytree(folder / "run", tmp_path / "run"))


def change(path: Path, edit: Callable[[dict], object]) -> None:
    record = read_values(path)
    edit(record)
    write_record(path, record)


def make_labelled(folder: Path) -> None:
    """`NEW` images that the comparison does not have, in a folder a class."""
    for number in range(NEW):
        rng = np.random.default_rng(100 + number)
        pixels = rng.integers(0, 128, (20, 24, 3), np.uint8)
        pixels[..., number % 3] += 100
        path = folder / CLASSES[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def labels(asked: str, *words: Path) -> Labels | str:
    names = [str(word) for word in words]
    return labels_of(asked, names, named_images(names), CLASSES)


# Labels.


def test_folders_that_are_named_like_the_classes_label_their_images(folder, tmp_path):
    found = labels("auto", folder / "labelled")
    assert isinstance(found, Labels) and len(found.of) == NEW and not found.left_out
    assert found.of[f"{folder}/labelled/gado_gado/4.png"] == 1
    assert labels("none", folder / "labelled") == "" and labels("auto", folder / "images") == ""


def test_folders_of_other_names_are_said_and_scored_only_if_asked_for(folder, tmp_path):
    photos = Path(shutil.copytree(folder / "labelled", tmp_path / "photos"))
    make_images(photos / "rendang", 2)
    make_images(photos, 1)
    said = labels("auto", photos)
    assert isinstance(said, str) and "rendang" in said and "--labels=folder" in said
    found = labels("folder", photos)
    assert isinstance(found, Labels) and len(found.of) == NEW and len(found.left_out) == 3
    assert [each.detail for each in found.left_out if each.reason == NO_CLASS] == ["rendang", "rendang"]
    with pytest.raises(BadInput, match="--labels=folder: no folder in .*images is named like a class"):
        labels("folder", folder / "images")


def test_a_csv_labels_the_images_of_a_folder(folder, tmp_path):
    table = tmp_path / "new.csv"
    rows = ["filename,label", "000.png,bakso", "001.png,gado_gado", "002.png,rendang", "gone.png,bakso"]
    table.write_text("\n".join(rows) + "\n")
    found = labels(f"csv:{table}", folder / "images")
    assert isinstance(found, Labels)
    assert found.of == {f"{folder}/images/000.png": 0, f"{folder}/images/001.png": 1}
    reasons = [each.reason for each in found.left_out]
    assert reasons.count(NO_CLASS) == 1 and reasons.count("row without a file") == 1
    assert reasons.count("file without a row") == IMAGES - 3


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (None, ["images"], "no such file"),
        ("filename,label\n000.png,rendang\n", ["images"], "rendang"),
        ("file;kind\n000.png;bakso\n", ["images"], "filename and label"),
        ("filename,label\n000.png,bakso\n", ["images", "labelled"], "one folder"),
        ("filename,label\n000.png,bakso\n", ["images/000.png"], "one folder"),
    ],
)
def test_a_csv_that_cannot_label_is_refused(folder, tmp_path, text, words, said):
    if text is not None:
        (tmp_path / "new.csv").write_text(text)
    with pytest.raises(BadInput, match=said) as refused:
        labels(f"csv:{tmp_path / 'new.csv'}", *(folder / word for word in words))
    assert "new.csv" in str(refused.value) and "\n" not in str(refused.value)


# Copies.


def prints_of(*paths: Path) -> list[Fingerprint]:
    found: dict[Path, Fingerprint] = {}
    decode_files(paths, SIZE, on_fingerprint=found.__setitem__)
    return [found[path] for path in paths]


def test_images_that_were_trained_or_chosen_on_are_found_by_their_bytes(folder):
    prints = prints_of(
        *(folder / "images" / name for name in ("005.png", "007.png", "020.png")),
        folder / "labelled" / "bakso" / "0.png",
    )
    found = find_copies(read_run_records(folder / "run"), ["a", "b", "c", "new"], prints, np.array([2, 1, 2, 0]))
    # 005 is in train, 007 in test, 020 in val.
    assert found.is_seen.tolist() == [True, False, True, False] and found.seen.ids == ["a", "c"]
    assert (found.seen.same_bytes, found.seen.in_test, found.seen.near_copies) == (2, 1, None)
    assert found.seen.compared_with == 0 and found.seen.known == IMAGES - 3


def test_near_copies_are_found_where_the_images_of_the_comparison_are_in_the_cache(folder, run, tmp_path):
    rng = np.random.default_rng(0)
    drawn = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).resize((96, 96), Image.Resampling.BICUBIC)
    drawn.save(tmp_path / "trained.png")
    drawn.filter(ImageFilter.GaussianBlur(0.5)).resize((80, 80)).save(tmp_path / "near.jpg", quality=90)
    Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).resize((96, 96)).save(tmp_path / "other.png")
    trained, near, other = prints_of(*(tmp_path / name for name in ("trained.png", "near.jpg", "other.png")))
    cache = ArrayCache(tmp_path / "cache", cache_name(THUMBNAIL_SIZE), (THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3))
    cache.add(trained.content, trained.thumbnail)
    cache.flush()
    change(run / "split.json", lambda record: record["images"][5].update(content=trained.content))
    change(run / "summary.json", lambda record: record["config"].update(cache_dir=str(tmp_path / "cache")))
    names, classes = ["near", "other"], np.array([2, 0])
    found = find_copies(read_run_records(run), names, [near, other], classes)
    assert found.is_seen.tolist() == [True, False] and found.near_copies_known
    assert (found.seen.same_bytes, found.seen.near_copies, found.seen.compared_with) == (0, 1, 1)
    # Without near-copies in the comparison none are looked for.
    change(run / "summary.json", lambda record: record["config"].update(near_copies=False))
    found = find_copies(read_run_records(run), names, [near, other], classes)
    assert not found.is_seen.any() and not found.near_copies_known and found.seen.near_copies is None


def test_a_comparison_that_does_not_know_its_images_by_their_bytes_says_so(folder, run):
    change(run / "split.json", lambda record: record["images"][0].update(content="drawing 7"))
    prints = prints_of(folder / "images" / "005.png")
    assert find_copies(read_run_records(run), ["a"], prints, np.array([2])).seen.same_bytes is None
    (run / "split.json").unlink()
    assert find_copies(read_run_records(run), ["a"], prints, np.array([2])).seen.same_bytes is None


# From the command line.


def test_labelled_images_are_scored_by_every_network_and_what_was_seen_is_scored_apart(folder, tmp_path):
    photos = Path(shutil.copytree(folder / "labelled", tmp_path / "photos"))
    shutil.copy(folder / "images" / "000.png", photos / "bakso" / "seen.png")
    shutil.copy(photos / "bakso" / "0.png", photos / "bakso" / "copy.png")
    (photos / "bakso" / "broken.png").write_text("no image")
    flags = (f"--workdir={folder}/run", "--nocompile_cache", f"--scores={tmp_path}/scores")
    status, out, err = run_in_process(COMMAND, *flags, photos)
    assert status == 0, err
    record = read_record(tmp_path / "scores" / "scores.json", LabelledScores)
    assert (tmp_path / "scores" / "confusion.png").exists() and "LabelledScores" in json_schema("scores")["$defs"]
    assert (
        record.images == NEW + 1
        and record.groups == NEW
        and record.classes == dict(zip(CLASSES, (5, 4, 4), strict=True))
    )
    assert record.majority_share == 5 / 13 and record.seen.same_bytes == 1
    assert [Path(name).name for name in record.seen.ids] == ["seen.png"] and "seen.png" in out
    assert [Path(each.id).name for each in record.left_out] == ["broken.png"] and record.margin == 0.05
    paths = sorted(path for path in photos.rglob("*.png") if path.name != "broken.png")
    new = np.array([path.name != "seen.png" for path in paths])
    truth = np.array([CLASSES.index(path.parent.name) for path in paths])
    pixels = np.stack(decode_files(paths, SIZE))
    for name, network in record.networks.items():
        logits = trained_network(folder / "run", name, "ensemble").logits(pixels)
        right = logits.argmax(-1) == truth
        np.testing.assert_allclose(network.measures["accuracy"].values, right[:, new].mean(1))
        assert np.trace(network.confusion_matrix) == right[:, new].sum()
        assert network.seen_accuracy == right[:, ~new].mean()
    (comparison,) = record.comparisons
    assert (comparison.baseline, comparison.candidate, comparison.verdict) == ("plain8", "resnet8", "inconclusive")
    difference = [record.networks[name].measures["accuracy"].mean for name in ("plain8", "resnet8")]
    assert comparison.mean == pytest.approx(difference[1] - difference[0])
    assert comparison.equivalence and comparison.equivalence.margin == 0.05 and comparison.sentence in out
    assert from_plain(plain(record), LabelledScores, "scores") == record


def test_one_replica_is_scored_without_a_verdict_and_a_metric_that_needs_every_class_too(folder, run, tmp_path):
    flags = ("--nocompile_cache", f"--scores={tmp_path}/scores", folder / "labelled")
    status, out, err = run_in_process(COMMAND, f"--workdir={run}", "--replica=best", *flags)
    record = read_record(tmp_path / "scores" / "scores.json", LabelledScores)
    assert status == 0 and not record.comparisons and "--replica=best" in (record.no_comparison or ""), err
    (network,) = record.networks.values()
    assert network.measures["accuracy"].interval is None and network.together.interval[0] >= 0
    assert record.no_comparison and record.no_comparison in out


def test_a_metric_that_the_labelled_set_cannot_give_is_named(folder, run, tmp_path):
    change(run / "summary.json", lambda record: record["config"].update(metric="macro_f1"))
    photos = Path(shutil.copytree(folder / "labelled", tmp_path / "photos"))
    shutil.rmtree(photos / "bakso")
    flags = ("--nocompile_cache", f"--scores={tmp_path}/scores", photos)
    status, _, err = run_in_process(COMMAND, f"--workdir={run}", *flags)
    record = read_record(tmp_path / "scores" / "scores.json", LabelledScores)
    assert status == 0 and not record.comparisons, err
    assert "--metric=macro_f1" in (record.no_comparison or "") and "bakso" in (record.no_comparison or "")
    assert record.networks["plain8"].measures.keys() == {"accuracy", "log_loss"}


def test_a_set_that_was_seen_in_whole_is_not_scored(folder, tmp_path):
    (tmp_path / "photos" / "bakso").mkdir(parents=True)
    shutil.copy(folder / "images" / "000.png", tmp_path / "photos" / "bakso")
    flags = (f"--workdir={folder}/run", "--nocompile_cache", "--replica=best")
    status, out, err = run_in_process(COMMAND, *flags, tmp_path / "photos")
    assert status == 0 and "all 1 labelled images are copies" in out and "WARNING" not in out, err
    status, out, err = run_in_process(COMMAND, *flags, f"--scores={tmp_path}/scores", tmp_path / "photos")
    assert status == 2 and "all 1 labelled images are copies" in err and "000.png" in out


def test_what_cannot_be_scored_is_refused_in_one_line(folder, tmp_path):
    flags = (f"--workdir={folder}/run", "--nocompile_cache")
    require_bad_input(COMMAND, *flags, "--labels=foldr", folder / "images", says=("--labels='foldr'", "folder"))
    require_bad_input(COMMAND, *flags, "--labels=none", "--scores=x", folder / "images", says=("--scores",))
    require_bad_input(COMMAND, *flags, f"--labels=csv:{tmp_path}/no.csv", folder / "images", says=("no.csv", "no such"))
    scores = f"--scores={tmp_path}/scores"
    require_bad_input(COMMAND, *flags, scores, folder / "images", says=("--scores=", "bakso, gado_gado, soto_ayam"))
    require_bad_input(COMMAND, *flags, f"--scores={folder}/labelled/s", folder / "labelled", says=("--scores=",))
    require_bad_input(COMMAND, *flags, scores, f"--export={tmp_path}/x", says=("--scores without images",))
