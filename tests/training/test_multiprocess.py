"""Two processes that find each other come to what one comes to, write once, and do not wait for ever."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from resjax.cli.machine import define_process_flags, start_asked_processes
from resjax.cli.program import Command
from resjax.records import MetricsLine, Summary, read_lines, read_record, read_result
from tests.commands import require_bad_input, run_program

ROOT = Path(__file__).parents[2]
TINY = [
    *("--dataset=synthetic:80", "--image_size=16", "--stem=cifar", "--width=2", "--architectures=resnet8"),
    *("--epochs=2", "--seeds=2", "--batch_size=16", "--augment=flip"),
]


def start(*flags: str, cwd: Path) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(cwd / "cache")}
    command = [sys.executable, "-m", "experiments.compare", *TINY, *flags]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start_pair(*flags: str, cwd: Path) -> list[subprocess.Popen]:
    address = f"--coordinator_address=127.0.0.1:{free_port()}"
    return [start(address, f"--process_id={number}", "--num_processes=2", *flags, cwd=cwd) for number in range(2)]


def pair(*flags: str, cwd: Path) -> tuple[tuple[str, str], tuple[str, str]]:
    """What both processes of a run say, on stdout and stderr, once both have ended well."""
    both = start_pair(*flags, cwd=cwd)
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    return said[0], said[1]


def alone(*flags: str, cwd: Path) -> None:
    """The same comparison by one process, this one, in the workdir `alone`."""
    done = run_program("compare", *TINY, "--workdir=alone", *flags, cwd=cwd)
    assert done.returncode == 0, done.stderr


def epochs_of(workdir: Path, seed: int) -> list[MetricsLine]:
    return read_lines(workdir / "runs" / "resnet8" / f"seed{seed}" / "metrics.jsonl", MetricsLine)


def require_close(lines: list[MetricsLine], others: list[MetricsLine]) -> None:
    for line, other in zip(lines, others, strict=True):
        for key in ("train_loss", "val_loss", "train_accuracy", "val_accuracy"):
            np.testing.assert_allclose(getattr(line, key), getattr(other, key), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    ("flags", "way"),
    [(("--mesh=batch:2",), "sequential, each batch over 2 devices"), ((), "devices of 2")],
)
def test_two_processes_come_to_what_one_comes_to(tmp_path, unrendered, flags, way):
    alone(cwd=tmp_path)
    leader, follower = pair("--workdir=together", *flags, cwd=tmp_path)
    assert "[2/2] resnet8 seed 1" in leader[0] and "resnet8" not in follower[0]
    summary = read_record(tmp_path / "together" / "summary.json", Summary)
    assert summary.environment.process_count == 2
    assert all(said.startswith(way) for said in summary.architectures["resnet8"].trained_as)
    for seed in (0, 1):
        here, there = (tmp_path / name / "runs" / "resnet8" / f"seed{seed}" for name in ("together", "alone"))
        assert read_result(here / "result.json").status == "done"
        lines = epochs_of(tmp_path / "together", seed)
        assert [line.epoch for line in lines] == [1, 2]
        require_close(lines, epochs_of(tmp_path / "alone", seed))
        with np.load(here / "predictions.npz") as mine, np.load(there / "predictions.npz") as theirs:
            np.testing.assert_allclose(mine["logits"], theirs["logits"], atol=1e-4)


def end_one(number: int, sent: signal.Signals, *flags: str, cwd: Path) -> tuple[list[int], str]:
    """Sends one of two processes a signal after two epochs; both exit statuses, and the first one's last line."""
    both = start_pair("--workdir=out", *flags, cwd=cwd)
    first = cwd / "out" / "runs" / "resnet8" / "seed0" / "metrics.jsonl"
    while not first.exists() or len(epochs_of(cwd / "out", 0)) < 2:
        assert [process.poll() for process in both] == [None, None]
        time.sleep(0.05)
    both[number].send_signal(sent)
    errors = [process.communicate(timeout=300)[1] for process in both]
    assert not (cwd / "out" / ".resjax-lock").exists() and "Traceback" not in errors[0]
    return [process.returncode for process in both], errors[0].strip().splitlines()[-1]


@pytest.mark.slow
def test_two_that_share_each_batch_come_to_what_one_comes_to_until_one_is_stopped(tmp_path, unrendered):
    """The short form of the tests above and below: as many epochs as no run ends before the signal."""
    flags = ("--epochs=60", "--seeds=1")
    statuses, last = end_one(1, signal.SIGTERM, "--mesh=batch:2", *flags, cwd=tmp_path)
    assert statuses == [143, 0] and last.startswith("stopped, because another process ")
    lines = epochs_of(tmp_path / "out", 0)
    assert [line.epoch for line in lines] == [*range(1, len(lines) + 1)] and 2 <= len(lines) < 60
    alone(*flags, cwd=tmp_path)
    require_close(lines[:2], epochs_of(tmp_path / "alone", 0)[:2])


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "sent", "statuses", "said"),
    [
        (1, signal.SIGTERM, [143, 0], "stopped, because another process "),
        (1, signal.SIGKILL, [1, -9], "error: another process has ended or cannot be reached"),
    ],
)
def test_a_process_that_is_stopped_or_killed_ends_both_with_a_line_and_whole_epochs(
    tmp_path, number, sent, statuses, said
):
    found, last = end_one(number, sent, "--epochs=500", cwd=tmp_path)
    assert found == statuses and last.startswith(said)
    epochs = [[line.epoch for line in epochs_of(tmp_path / "out", seed)] for seed in (0, 1)]
    assert all(each == [*range(1, len(each) + 1)] and len(each) >= 2 for each in epochs)
    if sent == signal.SIGTERM:
        assert epochs[0] == epochs[1]


@pytest.mark.parametrize("process", [0, 1])
def test_processes_that_do_not_come_end_it_with_a_line(tmp_path, process):
    address = f"--coordinator_address=127.0.0.1:{free_port()}"
    more = (f"--process_id={process}", "--num_processes=2", "--coordinator_timeout=1")
    waiting = start(address, *more, "--workdir=out", cwd=tmp_path)
    out, errors = waiting.communicate(timeout=120)
    assert waiting.returncode == 2 and out == "" and not (tmp_path / "out").exists()
    assert errors.splitlines()[-1].startswith(f"error: {address}: ") and "did not connect within 1 s" in errors


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--num_processes=2"], "need --coordinator_address: expected HOST:PORT or auto"),
        (["--coordinator_address=here"], "--coordinator_address=here: expected HOST:PORT of process 0, or auto"),
        (["--coordinator_address=a:1", "--process_id=2", "--num_processes=2"], "--process_id=2 --num_processes=2: "),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags, said):
    command = Command("start", "", start_asked_processes, (define_process_flags,))
    require_bad_input(command, *flags, says=(said,))


def test_without_a_cluster_that_jax_detects_auto_is_refused():
    # JAX looks before it has begun, so in a process of its own.
    code = """
from resjax.cli.machine import define_process_flags, start_asked_processes
from resjax.cli.program import Command, run_command
run_command(Command("start", "", start_asked_processes, (define_process_flags,)))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", code, "--coordinator_address=auto"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and "JAX detects no cluster" in done.stderr and len(done.stderr.splitlines()) == 1
