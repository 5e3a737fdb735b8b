"""The first exercise in full: plain-34 against ResNet-34 at 300 px, six seeds, by the command `compare`."""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from resjax.records import MetricsLine, Summary, read_lines, read_record, read_values
from resjax.run.progress import duration

from ..harness.cases import AUGMENT, PHOTOGRAPHS
from ..harness.contenders import LONGEST_REASON, Failure
from .images import unpacked
from .settings import Measured, SuiteCase, SuiteSettings

EXERCISE = (
    *("--architectures=plain34,resnet34", "--image_size=300", "--width=64", "--stem=imagenet", "--seeds=6"),
    *("--epochs=10", "--batch_size=24", "--learning_rate=5e-4", "--weight_decay=5e-4", f"--augment={AUGMENT}"),
)
TINY = (
    *("--architectures=plain8,resnet8", "--image_size=16", "--width=2", "--stem=cifar", "--seeds=2"),
    *("--epochs=1", "--batch_size=16", "--augment=flip"),
)
LEFT_FOR_WRITING = 10.0
"""Seconds that `compare` gets to end after its last epoch."""
LEAST_MINUTES = 0.05


def exercise_cases(settings: SuiteSettings) -> list[SuiteCase]:
    """One case, which goes on where it stopped."""
    images = settings.dataset or f"synthetic:{60 if settings.rehearsal else PHOTOGRAPHS}"
    shown = Path(images).name if ":" in images and not images.startswith("synthetic") else images
    networks = "plain8 and resnet8, 16 px" if settings.rehearsal else "plain34 and resnet34, 300 px, six seeds"
    return [SuiteCase(f"{networks}, {shown}", partial(_exercise, settings, images))]


def _exercise(settings: SuiteSettings, images: str, seconds: float) -> Measured:
    workdir = settings.workdir / ("exercise_rehearsed" if settings.rehearsal else "exercise")
    given = [f"--dataset={unpacked(images, settings.workdir / 'images')}"]
    for flag, value in (("image_dir", settings.image_dir), ("split_file", settings.split_file)):
        given += [f"--{flag}={value}"] if value else []
    minutes = max(LEAST_MINUTES, (seconds - LEFT_FOR_WRITING) / 60)
    sizes = TINY if settings.rehearsal else EXERCISE
    took = run_compare(workdir, settings.workdir / "cache", [*sizes, *given, f"--max_minutes={minutes:.3f}"])
    return exercise_measured(workdir, took)


def exercise_measured(workdir: Path, seconds: float) -> Measured:
    """What the records of a comparison say, finished or not."""
    summary = read_record(workdir / "summary.json", Summary)
    ended = {name: sum(each != "pending" for each in by.status.values()) for name, by in summary.architectures.items()}
    pending = sum(len(by.status) for by in summary.architectures.values()) - sum(ended.values())
    rates = {name: _images_per_second(workdir, name) for name in ended}
    values: dict[str, Any] = {
        "ended": ended,
        "images_per_second": rates,
        "seconds_of_this_start": seconds,
        "near_copies_known": summary.dataset.near_copies is not None,
        "split": summary.dataset.split,
        "splits": summary.dataset.splits,
        "best_val_accuracy": {name: by.best_val_accuracy.mean for name, by in summary.architectures.items()},
        "timing": read_values(workdir / "timing.json") if (workdir / "timing.json").exists() else {},
        "sentences": [each.sentence for each in summary.comparisons],
    }
    speeds = ", ".join(f"{name} {rate:,.0f} images/s" for name, rate in rates.items() if rate)
    said = " ".join(values["sentences"]) or "no seed of both networks has ended"
    unfinished = f"{pending} replicas are pending after {duration(seconds)}" if pending else ""
    return Measured(f"{speeds}; {said}" if speeds else said, values, unfinished)


def _images_per_second(workdir: Path, network: str) -> float | None:
    """The median over all epochs but a replica's first, which may wait for compilation; None without one."""
    lines = [
        line.images_per_second
        for path in sorted(workdir.glob(f"runs/{network}/seed*/metrics.jsonl"))
        for line in read_lines(path, MetricsLine)[1:]
    ]
    return sorted(lines)[len(lines) // 2] if lines else None


def run_compare(workdir: Path, cache: Path, arguments: Sequence[str], **options: Any) -> float:
    """Runs `compare` in a process of its own and returns its seconds.

    Raises:
      Failure: if it fails; the text is its last line.
    """
    start = time.perf_counter()
    done = subprocess.run(
        compare_command(workdir, cache, arguments), capture_output=True, text=True, stdin=subprocess.DEVNULL, **options
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "nothing was said").splitlines()[-1]
        # A run that stops before its limit says so, and leaves a summary.
        if not (workdir / "summary.json").exists() or "error:" in last:
            raise Failure(f"compare ended with status {done.returncode}: {last[:LONGEST_REASON]}")
    return time.perf_counter() - start


def compare_command(workdir: Path, cache: Path, arguments: Sequence[str]) -> list[str]:
    """The words of `compare`. Without imagehash files with the same bytes are copies, and near-copies are not."""
    search = [] if importlib.util.find_spec("imagehash") else ["--nonear_copies"]
    places = [f"--workdir={workdir}", f"--cache_dir={cache}"]
    return [sys.executable, "-m", "resjax", "compare", *arguments, *search, *places]
