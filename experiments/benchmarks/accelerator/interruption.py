"""A comparison that is killed inside and resumed, next to one that was not."""

import subprocess
import time
from functools import partial
from pathlib import Path

import numpy as np

from resjax.records import MetricsLine, read_lines

from ..harness.contenders import Failure
from .exercise import compare_command, run_compare
from .settings import Measured, SuiteCase, SuiteSettings

SMALL = (
    *("--dataset=synthetic:300", "--image_size=64", "--architectures=resnet18", "--width=32", "--stem=imagenet"),
    *("--seeds=1", "--epochs=4", "--batch_size=24", "--augment=flip"),
)
TINY = (
    *("--dataset=synthetic:60", "--image_size=16", "--architectures=resnet8", "--width=2", "--stem=cifar"),
    *("--seeds=1", "--epochs=3", "--batch_size=16", "--augment=flip"),
)
POLL_SECONDS = 0.02


def interruption_cases(settings: SuiteSettings) -> list[SuiteCase]:
    """One case."""
    return [SuiteCase("killed after an epoch and resumed", partial(_interruption, settings))]


def _interruption(settings: SuiteSettings, seconds: float) -> Measured:
    arguments, cache = TINY if settings.rehearsal else SMALL, settings.workdir / "cache"
    # Anew each time: a finished run would not be killed.
    place = settings.workdir / f"interruption{time.time_ns()}"
    whole, killed = place / "whole", place / "killed"
    run_compare(whole, cache, arguments)
    (metrics,) = [path.relative_to(whole) for path in whole.glob("runs/*/seed0/metrics.jsonl")]
    epochs = _kill_after_an_epoch(compare_command(killed, cache, arguments), killed / metrics)
    run_compare(killed, cache, arguments)
    lines = [[_numbers(line) for line in read_lines(each / metrics, MetricsLine)] for each in (whole, killed)]
    logits = [_logits(each / metrics.parent) for each in (whole, killed)]
    difference = float(np.abs(logits[0] - logits[1]).max())
    same = lines[0] == lines[1] and not difference
    outcome = "equal bit for bit" if same else f"logits differ by up to {difference:.2g}"
    return Measured(
        f"killed after {epochs} of {len(lines[0])} epochs; resumed and uninterrupted run: {outcome}",
        {"killed_after_epochs": epochs, "equal": same, "largest_logit_difference": difference},
    )


def _kill_after_an_epoch(command: list[str], metrics: Path) -> int:
    """Kills a run as soon as its first epoch has a line, and returns how many have."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
                time.sleep(POLL_SECONDS)
        finally:
            process.kill()
        said = process.stderr.read() if process.stderr else ""
    if not metrics.exists():
        raise Failure(f"the run to be killed ended by itself: {said.strip()[-200:]}")
    return len(read_lines(metrics, MetricsLine))


def _numbers(line: MetricsLine) -> tuple[float | None, ...]:
    """What does not depend on the machine's speed."""
    return line.train_loss, line.train_accuracy, line.val_loss, line.val_accuracy, line.learning_rate


def _logits(replica: Path) -> np.ndarray:
    with np.load(replica / "predictions.npz", allow_pickle=False) as stored:
        return stored["logits"].astype(np.float64)
