"""Full disks, lost folders, data that change, losses that are not finite, too little memory, a reader that dies."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from msgspec import UNSET
from msgspec.structs import replace as changed

from resjax.cli.program import disk_fault
from resjax.data.pipeline import StreamedSide
from resjax.errors import BadInput
from resjax.records import DivergedAt, MetricsLine, Summary, read_lines, read_record, read_result
from resjax.run import compare as engine
from resjax.run import comparison
from resjax.run.compare import compare
from resjax.run.replica import run_replicas
from resjax.training.checkpoint import CheckpointError, Checkpoints
from resjax.training.loop import Trainer
from tests.commands import run_program
from tests.markup import text_of
from tests.run.test_several_splits import settings

ROOT = Path(__file__).parents[2]
FULL = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 137438953472 bytes.")


LIMITED = """
import resource, runpy, signal, sys
if (size := int(sys.argv.pop(1))) > 0:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
runpy.run_module("experiments.compare", run_name="__main__", alter_sys=True)
"""
"""Limits itself: a fork of a process that runs JAX must do nothing but start another program."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def without_pictures(monkeypatch):
    monkeypatch.setattr(engine, "draw_figures", lambda workdir: [])


def test_a_network_that_does_not_fit_the_device_is_recorded_and_the_others_are_finished(
    without_pictures, monkeypatch, tmp_path, cache, capsys
):
    def run(programs, way, replicas, on_epoch):
        if replicas[0].name == "plain":
            raise FULL
        yield from run_replicas(programs, way, replicas, on_epoch)

    monkeypatch.setattr(comparison, "run_replicas", run)
    asked = settings(tmp_path / "out", cache)
    with pytest.raises(BadInput, match=r"^plain: .*memory.*--batch_size=8 \(now 16\)"):
        compare(asked)
    summary = read_record(tmp_path / "out" / "summary.json", Summary)
    plain, residual = (summary.architectures[name] for name in ("plain", "residual"))
    assert plain.status == {0: "pending", 1: "pending"} and residual.status == {0: "done", 1: "done"}
    assert "--batch_size=8" in plain.problem and residual.problem is UNSET
    assert "--batch_size=8" in text_of((tmp_path / "out" / "report.html").read_text())
    assert capsys.readouterr().out.count("the other networks go on") == 1
    # Where the memory does, the same command finishes the network, and nothing is left of the problem.
    monkeypatch.setattr(comparison, "run_replicas", run_replicas)
    summary = compare(asked)
    assert summary.architectures["plain"].status == {0: "done", 1: "done"}
    assert summary.architectures["plain"].problem is UNSET


def test_a_loss_that_is_not_finite_is_recorded_with_its_step_and_the_last_good_state_stays(
    without_pictures, monkeypatch, tmp_path, cache
):
    run_epoch = Trainer.run_epoch

    def spoiled(trainer, state, epoch, **options):
        state, sums = run_epoch(trainer, state, epoch, **options)
        if epoch == 2 and trainer.functional.architecture.name == "plain":
            loss = sums.loss.copy()
            loss[1] = np.inf
            sums = sums._replace(loss=loss)
        return state, sums

    monkeypatch.setattr(Trainer, "run_epoch", spoiled)
    asked = settings(tmp_path / "out", cache)
    asked = replace(asked, seeds=(0,), recipe=replace(asked.recipe, epochs=3))
    summary = compare(asked)
    assert [network.status for network in summary.architectures.values()] == [{0: "diverged"}, {0: "done"}]
    folder = tmp_path / "out" / "runs" / "plain" / "seed0"
    result = read_result(folder / "result.json")
    steps = -(-summary.dataset.splits["train"] // 16)
    assert result.diverged_at == DivergedAt(epoch=2, step=steps + 2)
    lines = read_lines(folder / "metrics.jsonl", MetricsLine)
    assert len(lines) == 2 and lines[1].train_loss is None and not lines[1].is_best
    assert Checkpoints(folder / "checkpoints").last_epoch == 1


def test_images_that_changed_since_the_first_start_are_refused(without_pictures, tmp_path, cache):
    asked = replace(settings(tmp_path / "out", cache), seeds=(0,))
    compare(asked)
    before = (tmp_path / "out" / "summary.json").read_bytes()
    with pytest.raises(BadInput, match="images or their split have changed"):
        compare(replace(asked, source=replace(asked.source, dataset="synthetic:79")))
    assert (tmp_path / "out" / "summary.json").read_bytes() == before


def test_a_reader_thread_that_dies_ends_the_epoch_with_its_error_and_not_with_a_hang():
    class Vanishing:
        shape, nbytes = (8, 2, 2, 3), 96

        def __len__(self):
            return 8

        def __getitem__(self, rows):
            if 5 in rows:
                raise BadInput("cache file x was damaged while in use")
            return np.zeros((len(rows), 2, 2, 3), np.uint8)

    side = StreamedSide(Vanishing(), np.zeros(8, np.int32), np.arange(8))
    with pytest.raises(BadInput, match="damaged while in use"):
        list(side.batches(list(np.arange(8).reshape(4, 2))))


def tiny(workdir: Path, cwd: Path) -> list[str]:
    return [
        *("--dataset=synthetic:60", "--image_size=8", "--stem=cifar", "--width=2", "--epochs=2", "--seeds=1,"),
        *("--batch_size=16", "--architectures=plain8", "--augment=none", "--nocompile_cache", f"--workdir={workdir}"),
        f"--cache_dir={cwd}/cache",
    ]


def program(workdir: Path, *flags: str, cwd: Path, file_bytes: int | None = None) -> subprocess.CompletedProcess:
    """Compare as a command, in which no file can grow beyond `file_bytes`: what a full disk is to who writes."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    if file_bytes is not None:
        # The programs that tests run share compiled programs, whose writing would fail too.
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    command = [sys.executable, "-c", LIMITED, str(file_bytes or -1), *tiny(workdir, cwd), *flags]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def finish(workdir: Path, *flags: str, cwd: Path) -> None:
    """The same command again, in the test's own process."""
    again = run_program("compare", *tiny(workdir, cwd), *flags, cwd=cwd)
    assert again.returncode == 0, again.stderr


def sound(workdir: Path) -> None:
    """Every record that has its name is whole, and nothing temporary is left."""
    for path in workdir.rglob("*.json"):
        if "checkpoints" not in path.parts:
            json.loads(path.read_bytes())
    for path in workdir.rglob("metrics.jsonl"):
        read_lines(path, MetricsLine)
    assert not [path for path in workdir.rglob("*.tmp") if "checkpoints" not in path.parts]


LIMITS = [int(size) for size in os.environ.get("RESJAX_FULL_DISKS", "40000").split(",")]
"""Bytes: where there is room for the first records, and none for the weights."""


@pytest.mark.slow
@pytest.mark.parametrize("size", LIMITS)
def test_a_full_disk_ends_in_one_line_and_the_same_command_goes_on_where_there_is_room(size, tmp_path, unrendered):
    full = program(Path("out"), cwd=tmp_path, file_bytes=size)
    said = [line for line in full.stderr.splitlines() if line.startswith("error: ")]
    assert full.returncode in (1, 2) and len(said) == 1 and "Traceback" not in full.stderr, full.stderr
    sound(tmp_path)
    finish(Path("out"), cwd=tmp_path)
    assert read_result(tmp_path / "out/runs/plain8/seed1/result.json").status == "done"


def mount(*words: str) -> bool:
    return subprocess.run(["mount", *words], capture_output=True).returncode == 0


@pytest.fixture
def drive(tmp_path):
    """A small drive of its own, where this process may mount one."""
    folder = tmp_path / "drive"
    folder.mkdir()
    if shutil.which("mount") is None or not mount("-t", "tmpfs", "-o", "size=100k", "none", str(folder)):
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.long
def test_a_full_drive_ends_in_one_line_and_the_same_command_goes_on_once_it_is_larger(drive, tmp_path):
    full = program(drive / "out", cwd=tmp_path)
    said = [line for line in full.stderr.splitlines() if line.startswith("error: ")]
    assert full.returncode in (1, 2) and len(said) == 1 and "Traceback" not in full.stderr, full.stderr
    sound(drive)
    assert mount("-o", "remount,size=50m", str(drive))
    finish(drive / "out", cwd=tmp_path)
    assert read_result(drive / "out/runs/plain8/seed1/result.json").status == "done"


@pytest.mark.slow
@pytest.mark.long
def test_a_drive_that_becomes_read_only_under_the_run_ends_it_in_one_line_and_loses_nothing(drive, tmp_path):
    assert mount("-o", "remount,size=50m", str(drive))
    lines = drive / "out/runs/plain8/seed1/metrics.jsonl"

    def close() -> None:
        deadline = time.monotonic() + 120
        # Files that are open for writing keep a drive open, so it may take several tries.
        while time.monotonic() < deadline and not (lines.exists() and mount("-o", "remount,ro", str(drive))):
            time.sleep(0.01)

    closing = threading.Thread(target=close)
    closing.start()
    closed = program(drive / "out", "--epochs=30", cwd=tmp_path)
    closing.join()
    said = [line for line in closed.stderr.splitlines() if line.startswith("error: ")]
    assert closed.returncode in (1, 2) and len(said) == 1 and "Traceback" not in closed.stderr, closed.stderr
    sound(drive)
    before = read_lines(lines, MetricsLine)
    assert mount("-o", "remount,rw", str(drive))
    finish(drive / "out", "--epochs=30", cwd=tmp_path)
    # Epochs after the last save were trained again.
    untimed = [
        [changed(line, seconds=0.0, images_per_second=0.0) for line in each]
        for each in (before, read_lines(lines, MetricsLine))
    ]
    assert untimed[1][: len(before)] == untimed[0] and len(untimed[1]) == 30


@pytest.mark.parametrize("workdir", ["/proc/out", "/dev/null/out", "/sys/out/deeper"])
def test_a_workdir_that_cannot_be_written_is_refused_in_one_line(workdir, cache):
    with pytest.raises(BadInput, match=re.escape(f"--workdir={workdir}: ")) as refused:
        compare(settings(Path(workdir), cache))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out/summary.json"), "out/summary.json: No space left"),
        (OSError(errno.EROFS, "Read-only file system", "out/a"), "out/a: Read-only file system"),
        (CheckpointError("out: a checkpoint cannot be written\n(full)"), "out: a checkpoint cannot be written (full)"),
    ],
)
def test_what_the_disk_answers_becomes_one_line_with_the_way_out(error, said):
    line = disk_fault(error)
    assert line.startswith(said) and line.endswith("the same command resumes once this is repaired")
    assert "\n" not in line


def test_errors_that_are_not_the_disks_keep_their_traceback():
    assert disk_fault(OSError("no number")) is None and disk_fault(OSError(errno.EINVAL, "Invalid argument")) is None
