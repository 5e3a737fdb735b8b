"""A tiny comparison from images to figures, its files held against the contract, and every kind of bad input."""

import json
import re
import shutil
from pathlib import Path
from subprocess import CompletedProcess

import jax
import numpy as np
import pytest
from msgspec import UNSET
from PIL import Image

import resjax
from resjax.functional import Functional
from resjax.models.architecture import architecture
from resjax.models.torch_weights import save_weights
from resjax.records import (
    DatasetRecord,
    Gallery,
    MetricsLine,
    SplitRecord,
    Summary,
    read_lines,
    read_record,
    read_result,
    read_values,
)
from tests.commands import run_program
from tests.markup import text_of
from tests.tfds_sets import prepare

pytestmark = pytest.mark.usefixtures("unrendered")

TINY = [
    *("--image_size=16", "--stem=cifar", "--width=2", "--epochs=2", "--seeds=2", "--batch_size=16"),
    *("--architectures=plain8,resnet8", "--augment=flip"),
]


def compare(*flags: str, cwd: Path) -> CompletedProcess[str]:
    return run_program("compare", *flags, cwd=cwd)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """A csv with its folder: three classes of coloured noise, copies, and one of each kind of trouble."""
    root = tmp_path_factory.mktemp("photographs")
    folder = root / "train"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["filename,label"]
    for index in range(48):
        label = index % 3
        pixels = rng.integers(0, 120, (20, 24, 3))
        pixels[..., label] += 100
        name = f"{index:03}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
        rows.append(f"{name},{'bakso rendang soto_ayam'.split()[label]}")
    for index in range(6):
        shutil.copy(folder / f"{index:03}.png", folder / f"copy{index}.png")
        rows.append(f"copy{index}.png,{'bakso rendang soto_ayam'.split()[index % 3]}")
    (folder / "broken.jpg").write_bytes(b"no image")
    (folder / "unnamed.png").write_bytes((folder / "000.png").read_bytes())
    rows += [",", "missing.png,bakso", "broken.jpg,bakso"]
    (root / "train.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def finished(photographs, tmp_path_factory) -> tuple[Path, CompletedProcess, Path]:
    """A finished run on the photographs: its workdir, what it printed, where it ran."""
    here = tmp_path_factory.mktemp("run")
    done = compare(f"--dataset=csv:{photographs}/train.csv", "--workdir=out", "--test_fraction=0.2", *TINY, cwd=here)
    assert done.returncode == 0, done.stderr
    return here / "out", done, here


def test_the_tree_of_files_is_there(finished):
    workdir, _, _ = finished
    for name in (
        "report.html",
        "summary.json",
        "config.flags",
        "dataset.json",
        "split.json",
        "gallery.json",
        "looks.json",
        "results.csv",
        "results.tex",
        "results.md",
        "figures",
    ):
        assert (workdir / name).exists()
    for arm in ("plain8", "resnet8"):
        for seed in (0, 1):
            folder = workdir / "runs" / arm / f"seed{seed}"
            for name in (
                "metrics.jsonl",
                "result.json",
                "predictions.npz",
                "correctness.npz",
                "checkpoints/best",
                "checkpoints/last",
            ):
                assert (folder / name).exists()
    pictures = {path.name for path in (workdir / "figures").iterdir()}
    for stem in ("answer", "history", "confusion", "recall", "history_plain8"):
        assert {f"{stem}.png", f"{stem}.svg"} <= pictures


def test_every_record_follows_the_schema(finished):
    workdir, _, _ = finished
    summary = read_record(workdir / "summary.json", Summary)
    assert UNSET not in (summary.diagnosis, summary.class_differences, summary.calibration)
    # The other kinds are written by probes, predictions and reproductions.
    for kind, record in (("dataset", DatasetRecord), ("split", SplitRecord), ("gallery", Gallery)):
        read_record(workdir / f"{kind}.json", record)
    for path in workdir.glob("runs/*/*/result.json"):
        assert read_result(path).status == "done"
    for path in workdir.glob("runs/*/*/metrics.jsonl"):
        assert [line.epoch for line in read_lines(path, MetricsLine)] == [1, 2]


def test_the_classes_and_their_images_are_shown_before_training(finished):
    _, done, _ = finished
    shown = done.stdout.partition("[1/")[0].splitlines()
    (header,) = [place for place, line in enumerate(shown) if line.split() == ["class", "train", "val", "test"]]
    assert [line.split()[0] for line in shown[header + 1 : header + 4]] == ["bakso", "rendang", "soto_ayam"]


def test_what_was_left_out_is_counted_and_said(finished):
    workdir, done, _ = finished
    reasons = [entry["reason"] for entry in read_values(workdir / "dataset.json")["excluded"]]
    assert len(reasons) == 4 and len(set(reasons)) == 4
    assert read_values(workdir / "summary.json")["dataset"]["unreadable"] == ["broken.jpg"]
    for reason in reasons:
        assert f"{reason} 1" in done.stdout
    (note,) = read_values(workdir / "dataset.json")["notes"]
    assert "missing.png" in note and note in done.stdout


def test_copies_stay_on_one_side_and_nothing_leaks(finished):
    workdir, _, _ = finished
    side_of_content = {}
    for image in read_values(workdir / "split.json")["images"]:
        assert side_of_content.setdefault(image["content"], image["side"]) == image["side"]
    dataset = read_values(workdir / "summary.json")["dataset"]
    assert dataset["exact_copies"] == 6 and dataset["leaked_images"] == 0
    assert sum(dataset["splits"].values()) == dataset["images"] == 54


def test_predictions_agree_with_the_result(finished):
    workdir, _, _ = finished
    folder = workdir / "runs" / "resnet8" / "seed1"
    result = read_values(folder / "result.json")
    with np.load(folder / "predictions.npz", allow_pickle=False) as stored:
        test = stored["side"] == "test"
        hits = stored["logits"].argmax(1) == stored["label"]
    assert result["evaluated_on"] == "test" and result["accuracy"] == pytest.approx(hits[test].mean())
    assert result["best"]["val_accuracy"] == pytest.approx(hits[~test].mean())
    assert np.trace(result["confusion_matrix"]) == hits[test].sum()
    with np.load(folder / "correctness.npz", allow_pickle=False) as stored:
        assert len(stored["correct"]) == 2
        np.testing.assert_array_equal(stored["correct"][result["best"]["epoch"] - 1], hits[~test])
    assert result["best_optimism"] is None  # There is a test side, which the choice never saw.


def test_the_table_names_both_arms_and_their_difference(finished):
    _, done, _ = finished
    assert re.search(r"^plain8 .*±", done.stdout, re.M) and "resnet8 minus plain8, test, best epoch:" in done.stdout
    assert re.search(r"^plain8 and resnet8, 2 seeds each, 2 epochs of", done.stdout, re.M)


def test_the_report_shows_the_verdict_and_pictures_of_the_run(finished):
    workdir, done, _ = finished
    page = (workdir / "report.html").read_text()
    thumbnails = read_values(workdir / "gallery.json")["thumbnails"]
    assert 0 < len(thumbnails) <= 36 and page.count("data:image/jpeg;base64,") == len(thumbnails)
    (pair,) = read_values(workdir / "summary.json")["comparisons"]
    assert pair["sentence"] in text_of(page)
    for finding in read_values(workdir / "summary.json")["diagnosis"]:
        assert f"{finding['kind']}: {finding['sentence']}" in done.stdout


def test_it_ends_with_a_verdict_made_from_the_answers_to_single_images(finished):
    workdir, done, _ = finished
    (pair,) = read_values(workdir / "summary.json")["comparisons"]
    assert pair["verdict"] == "inconclusive" and pair["sentence"] in done.stdout
    assert "2 seeds" in pair["sentence"] and "fewer than 6 seeds" in pair["sentence"]
    right = {}
    for arm in ("plain8", "resnet8"):
        with np.load(workdir / "runs" / arm / "seed1" / "predictions.npz") as stored:
            right[arm] = (stored["logits"].argmax(1) == stored["label"])[stored["side"] == "test"]
    second = pair["over_images"][1]
    assert second["seed"] == 1
    assert second["only_candidate_right"] == np.sum(right["resnet8"] & ~right["plain8"])
    assert second["only_baseline_right"] == np.sum(right["plain8"] & ~right["resnet8"])


def test_the_verdict_on_the_arrays_of_the_loaded_run_is_that_of_its_record(finished):
    run = resjax.load_run(finished[0])
    (recorded,) = run.verdicts
    first, second = (np.stack([run.predictions(name, seed).logits for seed in run.seeds]) for name in run.networks)
    labels = run.predictions("plain8", 0).labels
    for found in (resjax.verdict(first, second, run.groups(), labels=labels), *run.judge()):
        assert found.verdict == recorded.verdict and found.record.interval == recorded.record.interval
        assert found.differences == pytest.approx(recorded.differences)
        assert found.interval == pytest.approx(recorded.interval) and found.p_value == pytest.approx(recorded.p_value)
    assert str(run.judge()[0]) == str(recorded) == str(run)
    assert (finished[0] / "results.csv").read_text() == run.to_csv()


def snapshot(workdir: Path) -> dict[str, bytes]:
    kept = [*workdir.glob("runs/**/*.json*"), *workdir.glob("runs/**/*.npz")]
    return {str(path): path.read_bytes() for path in kept}


def test_the_same_command_skips_what_is_finished_and_decodes_nothing(finished, photographs):
    workdir, _, here = finished
    before = snapshot(workdir)
    again = compare(f"--dataset=csv:{photographs}/train.csv", "--workdir=out", "--test_fraction=0.2", *TINY, cwd=here)
    assert again.returncode == 0 and "nothing to train, 4 " in again.stdout
    assert snapshot(workdir) == before
    assert read_values(workdir / "dataset.json")["decoded"] == 0


def test_another_recipe_in_the_same_workdir_is_refused_with_the_difference(finished, photographs):
    _, _, here = finished
    flags = [*TINY, "--learning_rate=0.1", "--val_fraction=0.3"]
    refused = compare(
        f"--dataset=csv:{photographs}/train.csv", "--workdir=out", "--test_fraction=0.2", *flags, cwd=here
    )
    assert refused.returncode == 2 and "--learning_rate was 0.0005, now 0.1" in refused.stderr
    assert "split" in refused.stderr


def test_an_interrupted_replica_goes_on_to_the_same_numbers(finished, photographs, tmp_path):
    workdir, _, _ = finished
    flags = [f"--dataset=csv:{photographs}/train.csv", "--workdir=out", "--test_fraction=0.2", *TINY, "--seeds=1"]
    shutil.copytree(workdir, tmp_path / "out")
    folder = tmp_path / "out" / "runs" / "plain8" / "seed0"
    whole = read_values(folder / "result.json")
    (folder / "result.json").unlink()
    # An epoch's line without its checkpoint: what a kill between the two leaves behind.
    with open(folder / "metrics.jsonl", "a") as lines:
        lines.write('{"epoch": 3, "train_l')
    assert compare(*flags, cwd=tmp_path).returncode == 0
    again = read_values(folder / "result.json")
    assert {**again, "timing": 0} == {**whole, "timing": 0}


def test_the_same_command_elsewhere_gives_the_same_numbers_bit_for_bit(finished, photographs, tmp_path):
    workdir, _, _ = finished
    flags = [f"--dataset=csv:{photographs}/train.csv", "--workdir=out", "--test_fraction=0.2", *TINY, "--seeds=1"]
    assert compare(*flags, cwd=tmp_path).returncode == 0
    for arm in ("plain8", "resnet8"):
        first, second = (w / "runs" / arm / "seed0" / "predictions.npz" for w in (workdir, tmp_path / "out"))
        with np.load(first) as one, np.load(second) as other:
            assert all(np.array_equal(one[name], other[name]) for name in one.files)


def test_a_pretrained_network_is_fine_tuned_and_another_file_is_refused(photographs, tmp_path):
    described = architecture("resnet8_project", width=2, stem="cifar")
    save_weights(tmp_path / "w.safetensors", Functional(described, 7).init(jax.random.key(3)))
    flags = [f"--dataset=csv:{photographs}/train.csv", "--workdir=out", *TINY, "--seeds=1", "--epochs=1"]
    flags += ["--architectures=plain8,resnet8_project", "--init_from=w.safetensors", "--freeze=stem.*,stages.[012].*"]
    done = compare(*flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "plain8: w.safetensors: 10 arrays of the shortcut's projections are left out" in done.stdout
    assert "resnet8_project: w.safetensors: its head has 7 classes, not 3: the head is fresh" in done.stdout
    assert re.search(r"^resnet8_project: [\d,]+ parameters; .* GFLOP .* XLA.* of activations$", done.stdout, re.M)
    summary = read_values(tmp_path / "out" / "summary.json")
    for arm in summary["architectures"].values():
        assert arm["init_from"]["file"] == "w.safetensors" and len(arm["init_from"]["sha256"]) == 64
        assert arm["forward_flops_xla"] > 0 and arm["activation_bytes"] > 0
    save_weights(tmp_path / "w.safetensors", Functional(described, 7).init(jax.random.key(4)))
    refused = compare(*flags, cwd=tmp_path)
    assert refused.returncode == 2 and "--init_from: resnet8_project started from another file" in refused.stderr


def test_a_diverged_replica_is_recorded_and_the_rest_goes_on(tmp_path):
    # Without normalizing anything away, a rate of 1e30 overflows at once.
    done = compare(
        "--dataset=synthetic:60",
        "--optimizer=sgd",
        "--learning_rate=1e30",
        "--workdir=out",
        *TINY,
        "--seeds=1",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    summary = read_values(tmp_path / "out" / "summary.json")
    for arm in ("plain8", "resnet8"):
        assert summary["architectures"][arm]["status"] == {"0": "diverged"}
        assert read_values(tmp_path / "out" / "runs" / arm / "seed0" / "result.json")["diverged_at"]["step"] >= 1
    assert "diverged" in done.stdout and "NaN" not in json.dumps(summary)


def test_a_set_of_tfds_trains_where_tensorflow_cannot_be_imported(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("array_record", reason="array_record is made for Linux alone")
    (tmp_path / "tensorflow.py").write_text("raise ImportError('not here')\n")
    rng = np.random.default_rng(0)
    examples = []
    for index in range(40):
        Image.fromarray(rng.integers(0, 255, (12, 12, 3), np.uint8)).save(tmp_path / "image.png")
        examples.append({"image": (tmp_path / "image.png").read_bytes(), "label": index % 2})
    features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=["cat", "dog"])}
    prepare(tmp_path / "data", "pets", {"train": examples[:30], "test": examples[30:]}, features, config="noise")
    flags = [*TINY, "--epochs=1", "--seeds=1", "--architectures=plain8"]
    done = compare(
        "--dataset=tfds:pets/noise:1.0.0@train+test", "--data_dir=data", "--workdir=out", *flags, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    summary = read_values(tmp_path / "out" / "summary.json")
    assert summary["dataset"]["images"] == 40 and summary["dataset"]["classes"] == ["cat", "dog"]
