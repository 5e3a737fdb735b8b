"""Kills a small comparison again and again, at any moment, and holds what it ends with against a run that was not.

  python -m tests.torture --kills=200 --seed=0 --record=torture.json

Every start is a process of its own, forked from this one before anything of JAX has begun, so that a start costs no
imports. It is killed by SIGKILL: some time after its start; or as it is about to make, rename or remove a file of some
kind for the n-th time, or a moment after that.
"""

import argparse
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from resjax.cli.compare import COMMAND
from resjax.cli.program import run_command
from resjax.records import MetricsLine, Summary, read_lines, read_npz, read_record, read_result, write_record
from resjax.records.kinds.base import Part, Record
from resjax.training import saving

FLAGS = (
    *("--dataset=synthetic:60", "--image_size=8", "--width=2", "--stem=cifar", "--architectures=plain8,resnet8"),
    *("--epochs=4", "--seeds=2", "--batch_size=16", "--augment=flip"),
)
KINDS = {
    "checkpoint": "/checkpoints/",
    "cache": "/cache/",
    "record": ".json",
    "arrays": ".npz",
    "figure": "/figures/",
    "report": "report.html",
}
"""What is written, by what is in its path; the first that fits."""
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")
PLACES = ("time", *KINDS)
SAVE_SECONDS = (0.0, 0.05, 0.3, 5.0)
"""Shortest times between two saves, one of which a start draws: from a save an epoch to one a replica."""


class Kill(Part, frozen=True, kw_only=True):
    """A start of the program that was killed."""

    place: str
    """Of `PLACES`: the kind of file it was about to write, or `time`."""
    count: int
    """Which write of that kind it was."""
    after: float
    """Seconds after that, or after the start."""
    save_seconds: float
    """Shortest time between two saves of this start."""
    phase: str
    """How far the run had come: results, lines of epochs and saved epochs, over all replicas."""


class Torture(Record, frozen=True, kw_only=True):
    """A torture that every run survived: each that ended was equal, bit for bit, to one that was never killed."""

    seed: int
    killed: dict[str, int]
    """The number of kills at each place."""
    runs_that_ended: int
    seconds: float
    kills: list[Kill]


def torture(folder: Path, kills: int, seed: int, flags: Sequence[str] = ()) -> tuple[list[Kill], int]:
    """Kills a run so many times, lets it end, and compares; returns the kills, and how many runs ended.

    `flags` change the comparison.

    A run that ends before its kill is begun anew, in a workdir of its own: what it left has to be right too.
    """
    rng = random.Random(seed)
    took = time.monotonic()
    assert run(folder, "whole", flags) == 0
    took = time.monotonic() - took
    killed: list[Kill] = []
    number = 0
    while len(killed) < kills:
        place = PLACES[(len(killed) + number) % len(PLACES)]
        if place == "cache":
            # The cache is shared by all runs and full by now.
            shutil.rmtree(folder / "cache" / "decoded", ignore_errors=True)
        after = rng.uniform(0, took) if place == "time" else rng.choice([0.0, rng.uniform(0, 0.02)])
        count, save_seconds = rng.randint(1, 1 + rng.randint(0, 12)), rng.choice(SAVE_SECONDS)
        status = run(folder, f"killed{number}", flags, (place, count, after), save_seconds)
        if status == -signal.SIGKILL:
            came = phase(folder / f"killed{number}")
            killed.append(Kill(place=place, count=count, after=after, save_seconds=save_seconds, phase=came))
            continue
        assert status == 0, f"exit status {status} after {killed[-10:]}"
        require_equal(folder / "whole", folder / f"killed{number}")
        number += 1
    assert run(folder, f"killed{number}", flags) == 0
    require_equal(folder / "whole", folder / f"killed{number}")
    return killed, number + 1


def phase(workdir: Path) -> str:
    """What a killed run left: `results/lines/saved epochs`, summed over its replicas."""
    replicas = [*workdir.glob("runs/*/seed*")]
    results = sum((replica / "result.json").exists() for replica in replicas)
    lines = sum(path.read_bytes().count(b"\n") for path in workdir.glob("runs/*/seed*/metrics.jsonl"))
    saved = sum(
        max((int(path.name) for path in (replica / "checkpoints/last").glob("*") if path.name.isdecimal()), default=0)
        for replica in replicas
    )
    return f"{results}/{lines}/{saved}"


def run(
    folder: Path,
    workdir: str,
    flags: Sequence[str],
    kill: tuple[str, int, float] | None = None,
    save_seconds: float = SAVE_SECONDS[-1],
) -> int:
    """Runs the comparison in a process of its own; its exit status, below zero for a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        os.chdir(folder)
        log = os.open(folder / f"{workdir}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        saving.SAVE_SECONDS = save_seconds
        if kill is not None:
            _kill_this_process(*kill)
        run_command(COMMAND, [*FLAGS, *flags, f"--workdir={workdir}", "--cache_dir=cache"])
        os._exit(0)
    except SystemExit as ended:
        os._exit(ended.code if isinstance(ended.code, int) else 1)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(70)


def _kill_this_process(place: str, count: int, after: float) -> None:
    def kill() -> None:
        time.sleep(after)
        os.kill(os.getpid(), signal.SIGKILL)

    if place == "time":
        threading.Thread(target=kill, daemon=True).start()
        return
    left = [count]

    def heard(event: str, arguments: tuple) -> None:
        if event not in EVENTS or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        writes = event != "open" or (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))
        path = "/" + os.fsdecode(arguments[0])
        if writes and next((kind for kind, part in KINDS.items() if part in path), None) == place:
            left[0] -= 1
            if left[0] == 0:
                kill() if after == 0 else threading.Thread(target=kill, daemon=True).start()

    sys.addaudithook(heard)


def require_equal(whole: Path, other: Path) -> None:
    """Holds all that two runs left behind against each other, bit for bit; times alone may differ."""
    replicas = [{path.relative_to(workdir) for path in workdir.glob("runs/*/seed*")} for workdir in (whole, other)]
    assert replicas[0] == replicas[1] != set()
    for replica in replicas[0]:
        one, two = whole / replica, other / replica
        assert untimed(read_result(one / "result.json")) == untimed(read_result(two / "result.json"))
        lines = [[untimed(line) for line in read_lines(folder / "metrics.jsonl", MetricsLine)] for folder in (one, two)]
        assert lines[0] == lines[1]
        for name in ("predictions.npz", "correctness.npz"):
            # Not the arrays alone: the files.
            assert (one / name).read_bytes() == (two / name).read_bytes()
            assert read_npz(one / name)
        for kind in ("best", "last"):
            assert weights(one / "checkpoints" / kind) == weights(two / "checkpoints" / kind)
    assert (whole / "split.json").read_bytes() == (other / "split.json").read_bytes()
    summaries = [untimed(read_record(workdir / "summary.json", Summary)) for workdir in (whole, other)]
    for summary in summaries:
        workdir = summary["config"].pop("workdir")
        # A suggested command names the folder.
        summary["diagnosis"] = json.loads(json.dumps(summary["diagnosis"]).replace(workdir, "workdir"))
        # A long run outlives a commit to the checkout that it runs from.
        summary["environment"].pop("git_revision")
    assert summaries[0] == summaries[1]
    left = [str(path) for path in other.rglob("*") if path.name.endswith(".damaged") or path.name == ".resjax-lock"]
    assert not left, left


def untimed(value):
    """A record as plain values, without its timings, which have keys of their own."""
    value = msgspec.to_builtins(value)
    if isinstance(value, dict):
        timed = ("timing", "seconds", "images_per_second")
        return {key: untimed(item) for key, item in value.items() if key not in timed}
    return [untimed(item) for item in value] if isinstance(value, list) else value


def weights(kind: Path) -> tuple[str, int]:
    """The epoch of a kind of checkpoint, and the checksum of its file of arrays, which restoring has compared."""
    (epoch,) = (path for path in kind.iterdir() if path.name.isdecimal())
    return epoch.name, json.loads((epoch / "record.json").read_text())["arrays_crc32"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--record", type=Path, default=None, help="a file for the counts and for each kill")
    parser.add_argument("flags", nargs="*", help="more flags of the comparison, after --")
    asked = parser.parse_args()
    sys.argv = sys.argv[:1]
    # Imported before the forks, so that a start costs none of it.
    importlib.import_module("resjax.run.compare")

    began = time.monotonic()
    killed, ended = torture(asked.folder or Path(tempfile.mkdtemp()), asked.kills, asked.seed, asked.flags)
    counts = dict(Counter(kill.place for kill in killed))
    seconds = time.monotonic() - began
    print(f"killed {counts}; {ended} runs ended, all equal; {seconds:.0f} s", flush=True)
    if asked.record is not None:
        record = Torture(seed=asked.seed, killed=counts, runs_that_ended=ended, seconds=seconds, kills=killed)
        write_record(asked.record, record)
