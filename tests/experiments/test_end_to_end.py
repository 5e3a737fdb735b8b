"""The benchmark of the whole exercise: what the torch script sees and does, and what a row says of both programs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.benchmarks import end_to_end
from experiments.benchmarks.end_to_end import (
    Exercise,
    TimedRun,
    TorchTiming,
    describe_end_to_end,
    end_to_end_rows,
    write_photographs,
)
from experiments.benchmarks.harness.machine import Device, find_device
from resjax.errors import BadInput
from resjax.records import read_record

CPU = Device("cpu", "a processor, 2 cores")
EXERCISE = Exercise("folder:photographs", None, "plain8,resnet8", 16, 4, 1, "float32", (("width", 2),))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    write_photographs(folder, count=20, classes=2)
    return folder


def test_both_programs_are_told_the_same():
    assert EXERCISE.flags()[:2] == ["--dataset=folder:photographs", "--architectures=plain8,resnet8"]
    assert EXERCISE.flags()[-2:] == ["--dtype=float32", "--width=2"]


def test_a_row_counts_what_was_trained_in_all_epochs_of_all_networks(monkeypatch):
    def run(seconds: float) -> TimedRun:
        return TimedRun(seconds, {"training": seconds / 4, "reading": 3 * seconds / 4}, 80)

    ours = iter([run(8.0), run(2.0), run(16.0), run(2.0)])
    monkeypatch.setattr(end_to_end, "_run_ours", lambda exercise, folder, caches: next(ours))
    monkeypatch.setattr(end_to_end, "_run_torch", lambda exercise, mode, platform, folder: run(4.0))
    monkeypatch.setattr(end_to_end, "versions", lambda *packages: {})
    cold, warm = end_to_end_rows(EXERCISE, CPU, ("eager",), 2)
    assert cold.samples == {"ours": [20.0, 10.0], "eager": [40.0, 40.0]}
    assert (cold.cache, cold.ratio, warm.cache, warm.ratio) == ("cold", 0.375, "warm", 2.0)
    assert warm.shares["ours"] == {"reading": 0.75, "training": 0.25}
    text = describe_end_to_end(warm)
    assert "ours warm: 2.0 (2.0 to 2.0) s, 2 sample(s); reading 75%, training 25%" in text
    assert "ours / torch eager = 2.00 in images per second" in text


def test_a_program_that_fails_is_named_with_its_last_line_and_the_others_go_on(monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed")
    one = TimedRun(1.0, {"training": 1.0}, 80)
    monkeypatch.setattr(end_to_end, "_run_ours", lambda exercise, folder, caches: one)
    broken = [sys.executable, "-c", "import sys; sys.exit('RuntimeError: CUDA out of memory')"]
    monkeypatch.setattr(end_to_end, "_run_torch", lambda *_: end_to_end._run(broken))
    cold, _ = end_to_end_rows(EXERCISE, CPU, ("eager",), 2)
    assert cold.failed == {"eager": "ended with status 1: RuntimeError: CUDA out of memory"}
    assert cold.ratio is None and len(cold.samples["ours"]) == 2
    assert "eager FAILED, ended with status 1" in describe_end_to_end(cold)


def test_generated_photographs_are_in_a_folder_a_class_and_differ(photographs):
    files = sorted(photographs.glob("class*/*.jpg"))
    assert len(files) == 20 == len({file.read_bytes() for file in files})
    with Image.open(files[0]) as image:
        assert image.size == (480, 320)


@pytest.mark.parametrize("dataset", ["synthetic", "folder:nowhere", "tfds:cifar10"])
def test_a_set_that_the_torch_script_cannot_read_is_refused(dataset):
    with pytest.raises(BadInput, match=f"--dataset={dataset}"):
        end_to_end.require_photographs(dataset)


def test_the_torch_script_reads_folders_and_csv_files_alike(photographs, tmp_path):
    pytest.importorskip("torch")
    from experiments.benchmarks.pytorch.exercise import divided, listed_files

    files, classes = listed_files(f"folder:{photographs}", None)
    lines = [f"{path.parent.name}/{path.name},{path.parent.name}" for path, _ in files]
    (tmp_path / "train.csv").write_text("\n".join(["filename,label", *lines, "missing.jpg,class0"]) + "\n")
    assert listed_files(f"csv:{tmp_path / 'train.csv'}", photographs) == (files, classes) and classes == 2
    train, val = divided(files)
    assert (len(train), len(val)) == (16, 4) and {*train, *val} == {*files}


def test_the_torch_script_changes_pictures_and_keeps_their_size(photographs):
    torch = pytest.importorskip("torch")
    from experiments.benchmarks.pytorch.exercise import Photographs, listed_files, with_hue

    files, _ = listed_files(f"folder:{photographs}", None)
    plain, changed = (Photographs(files, 24, augmented)[0] for augmented in (False, True))
    for pixels, label in (plain, changed):
        assert pixels.shape == (3, 24, 24) and pixels.dtype == torch.float32 and label == 0
        assert 0 <= pixels.min() and pixels.max() <= 1
    assert not torch.equal(plain[0], changed[0])
    red = Image.new("RGB", (1, 1), (255, 0, 0))
    assert np.argmax(np.array(with_hue(red, 1 / 3))) == 1 and with_hue(red, 0.0).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.slow
def test_the_torch_script_trains_both_networks_and_says_where_the_time_went(photographs, tmp_path):
    pytest.importorskip("torch")
    command = [sys.executable, "-m", "experiments.benchmarks.pytorch.exercise", f"--record={tmp_path}/record.json"]
    exercise = Exercise(f"folder:{photographs}", None, "plain8,resnet8", 16, 4, 2, "float32", (("width", 2),))
    flags = [*exercise.flags(), "--mode=eager"]
    done = subprocess.run([*command, *flags], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    timing = read_record(tmp_path / "record.json", TorchTiming)
    assert {name: len(values) for name, values in timing.accuracies.items()} == {"plain8": 2, "resnet8": 2}
    parts = timing.reading_seconds + timing.training_seconds + timing.writing_seconds
    assert timing.seconds == pytest.approx(parts) and timing.train_images == 16
    assert {path.name for path in tmp_path.glob("*.pt")} == {"record-plain8.pt", "record-resnet8.pt"}


@pytest.mark.slow
def test_ours_runs_cold_and_again_from_what_it_left(photographs):
    exercise = Exercise(f"folder:{photographs}", None, "resnet8", 16, 4, 1, "float32", (("width", 2),))
    cold, warm = end_to_end_rows(exercise, find_device(), (), 1)
    for row in (cold, warm):
        assert row.failed == {} and row.torch_images_per_second is None
        assert {"reading", "compiling", "training", "writing", "starting"} <= set(row.shares["ours"])
        assert sum(row.shares["ours"].values()) == pytest.approx(1.0)
