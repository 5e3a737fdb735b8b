"""The progress that a comparison shows: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable

from resjax.records import Diverged, MetricsLine, Result

QUIET_SECONDS = 30.0
"""Without a terminal, an epoch gets a line of its own only after this much silence."""


ROUGHLY = 2.0
"""The factor by which an estimate before any measurement is often wrong."""


def duration(seconds: float) -> str:
    """A duration in words: `8 s`, `3 min`, `2 h 10 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def rough_duration(seconds: float) -> str:
    """What is said of a duration that was not measured: `roughly 1 to 5 min`."""
    low, high = duration(seconds / ROUGHLY), duration(seconds * ROUGHLY)
    (number, *unit), (_, *unit_of_high) = low.split(), high.split()
    return f"roughly {number if unit == unit_of_high else low} to {high}"


class ProgressBar:
    """A progress bar over the epochs of all pending replicas."""

    def __init__(self, replicas: int, epochs: int):
        from tqdm import tqdm

        self._bar = tqdm(total=replicas * epochs, unit="epoch", disable=None, dynamic_ncols=True)
        self._replicas, self._done, self._spoken = replicas, 0, time.monotonic()
        self._has_forecast = False

    def epoch(self, network: str, seed: int, line: MetricsLine) -> None:
        """Shows how an epoch of a replica ended."""
        loss = float("nan") if line.train_loss is None else line.train_loss
        text = (
            f"{network} seed {seed} epoch {line.epoch}: loss {loss:.3f}, val accuracy {100 * line.val_accuracy:.1f} %"
        )
        self._bar.set_description_str(text, refresh=False)
        self._bar.update()
        if self._bar.disable and time.monotonic() - self._spoken > QUIET_SECONDS:
            self.say(f"  {text} ({line.images_per_second:.0f} images/s)")

    def first_forecast(self, seconds_left: Callable[[], float | None]) -> None:
        """Prints how long the rest takes, once, as soon as that is known."""
        if not self._has_forecast and (seconds := seconds_left()) is not None:
            self._has_forecast = True
            self.say(f"measured: about {duration(seconds)} left")

    def replica(self, result: Result, seconds_left: float | None = None) -> None:
        """Prints how a replica ended, and how long the rest takes if that is known."""
        self._done += 1
        head = f"[{self._done}/{self._replicas}] {result.architecture} seed {result.seed}:"
        took = duration(result.timing.seconds)
        if seconds_left is not None:
            took += f"; about {duration(seconds_left)} left"
            self._has_forecast = True
        if isinstance(result, Diverged):
            where = result.diverged_at
            self.say(f"{head} diverged in epoch {where.epoch}, step {where.step} ({took})")
        else:
            best = result.best
            self.say(f"{head} best val accuracy {100 * best.val_accuracy:.1f} % in epoch {best.epoch} ({took})")

    def close(self) -> None:
        self._bar.close()

    def say(self, *lines: str) -> None:
        """Prints lines above the bar."""
        self._bar.clear()
        for line in lines:
            print(line, file=sys.stdout, flush=True)
        self._spoken = time.monotonic()
