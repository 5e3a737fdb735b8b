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

from resjax.records import MetricsLine, Summary, read_lines, read_record, read_result

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


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """The same comparison by one process, by two that share each batch, and by two that have a replica each."""
    here = tmp_path_factory.mktemp("runs")
    (here / "alone").mkdir()
    alone = start("--workdir=alone", cwd=here)
    out, errors = alone.communicate(timeout=300)
    assert alone.returncode == 0, errors
    leader, follower = pair("--workdir=batches", "--mesh=batch:2", cwd=here)
    assert "[2/2] resnet8 seed 1" in leader[0] and "resnet8" not in follower[0]
    pair("--workdir=replicas", cwd=here)
    return here


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workdir", "way"), [("batches", "sequential, each batch over 2 devices"), ("replicas", "devices of 2")]
)
def test_two_processes_come_to_what_one_comes_to(runs, workdir, way):
    summary = read_record(runs / workdir / "summary.json", Summary)
    assert summary.environment.process_count == 2
    assert all(said.startswith(way) for said in summary.architectures["resnet8"].trained_as)
    for seed in (0, 1):
        here, alone = (runs / name / "runs" / "resnet8" / f"seed{seed}" for name in (workdir, "alone"))
        assert read_result(here / "result.json").status == "done"
        lines = read_lines(here / "metrics.jsonl", MetricsLine)
        assert [line.epoch for line in lines] == [1, 2]
        for line, other in zip(lines, read_lines(alone / "metrics.jsonl", MetricsLine), strict=True):
            for key in ("train_loss", "val_loss", "train_accuracy", "val_accuracy"):
                np.testing.assert_allclose(getattr(line, key), getattr(other, key), rtol=1e-5, atol=1e-5)
        with np.load(here / "predictions.npz") as mine, np.load(alone / "predictions.npz") as theirs:
            np.testing.assert_allclose(mine["logits"], theirs["logits"], atol=1e-4)


@pytest.mark.slow
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
    both = start_pair("--workdir=out", "--epochs=500", "--architectures=resnet8", cwd=tmp_path)
    lines = [tmp_path / "out" / "runs" / "resnet8" / f"seed{seed}" / "metrics.jsonl" for seed in (0, 1)]
    while not lines[0].exists() or len(read_lines(lines[0], MetricsLine)) < 2:
        assert [process.poll() for process in both] == [None, None]
        time.sleep(0.05)
    both[number].send_signal(sent)
    errors = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == statuses, errors
    last = errors[0].strip().splitlines()[-1]
    assert last.startswith(said) and "Traceback" not in errors[0]
    epochs = [[line.epoch for line in read_lines(path, MetricsLine)] for path in lines]
    assert all(each == [*range(1, len(each) + 1)] and len(each) >= 2 for each in epochs)
    assert not (tmp_path / "out" / ".resjax-lock").exists()
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
        (["--coordinator_address=auto"], "JAX detects no cluster"),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags, said):
    code = """
import sys
from resjax.cli.machine import define_process_flags, start_asked_processes
from resjax.cli.program import Command, run_command
run_command(Command("start", "", start_asked_processes, (define_process_flags,)))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code, *flags], env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
