"""What is said while replicas are trained: on a terminal one line that changes, elsewhere a line now and then."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Self

from resjax.records import Diverged, MetricsLine, Result
from resjax.terminal import QUIET_SECONDS, activity, duration, leave_line, shows_line

ROUGHLY = 2.0
"""The factor by which an estimate before any measurement is often wrong."""


def rough_duration(seconds: float) -> str:
    """What is said of a duration that was not measured: `roughly 1 to 5 min`."""
    low, high = duration(seconds / ROUGHLY), duration(seconds * ROUGHLY)
    (number, *unit), (_, *unit_of_high) = low.split(), high.split()
    return f"roughly {number if unit == unit_of_high else low} to {high}"


class TrainingProgress:
    """Which of the pending replicas is trained, how far all are, and how long the rest takes. A context manager.

    Args:
      replicas: that are pending.
      epochs: of a replica.
      seconds_left: how long the rest takes; None as long as that is not known.
      roughly: the seconds that were estimated before anything was measured; None without an estimate.
    """

    def __init__(
        self,
        replicas: int,
        epochs: int,
        seconds_left: Callable[[], float | None] = lambda: None,
        roughly: float | None = None,
    ):
        self._replicas, self._epochs, self._seconds_left = replicas, epochs, seconds_left
        self._roughly = roughly
        self._ended, self._group, self._steps, self._text = 0, 1, 0, ""
        self._compiled: set[str] = set()
        self._has_forecast = False
        self._spoken = self._estimated = time.monotonic()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._line = self._stack.enter_context(activity("training", self._replicas * self._epochs))
        if self._roughly is not None:
            self._line.expect(self._roughly, roughly=True)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            # Replicas that diverged have ended, too.
            self._line.done = self._line.total
            self._line.doing, self._line.about = f"trained {self._ended} of {self._replicas} replicas", ""
            leave_line()
        self._stack.close()

    def begin(self, name: str, seeds: Sequence[int]) -> None:
        """Says which replicas are trained next: one, or several of a network together."""
        first, last = self._ended + 1, self._ended + len(seeds)
        place = f"{first} to {last}" if last > first else f"{first}"
        which = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"
        self._text, self._group, self._steps = f"{name} {which} ({place} of {self._replicas})", len(seeds), 0
        self._line.doing, self._line.about = "training" if name in self._compiled else "compiling", self._text

    def step(self, name: str, epoch: int, share: float) -> None:
        """Call it before each step.

        Args:
          name: the network.
          epoch: its number, from 1.
          share: what one step is of an epoch.
        """
        # The program is compiled by the first call.
        if self._steps:
            self._compiled.add(name)
        if name in self._compiled:
            self._line.doing, self._line.about = "training", f"{self._text}, epoch {epoch} of {self._epochs}"
        self._count(epoch - 1 + min(1.0, self._steps * share))
        self._steps += 1

    def epoch(self, network: str, seed: int, line: MetricsLine) -> None:
        """Says how an epoch of a replica ended."""
        self._compiled.add(network)
        self._line.doing = "saving" if line.epoch == self._epochs else "training"
        self._count(line.epoch)
        self._steps = 0
        if not shows_line() and time.monotonic() - self._spoken > QUIET_SECONDS:
            loss = float("nan") if line.train_loss is None else line.train_loss
            left = self._seconds_left()
            self.say(
                f"  {network} seed {seed} epoch {line.epoch}: loss {loss:.3f}, val accuracy "
                f"{100 * line.val_accuracy:.1f} % ({line.images_per_second:.0f} images/s)"
                + (f"; about {duration(left)} left" if left is not None else "")
            )

    def replica(self, result: Result) -> None:
        """Says how a replica ended, and how long the rest takes if that is known."""
        self._ended += 1
        head = f"[{self._ended}/{self._replicas}] {result.architecture} seed {result.seed}:"
        took = duration(result.timing.seconds)
        if (left := self._seconds_left()) is not None:
            took += f"; about {duration(left)} left"
            self._has_forecast = True
        if isinstance(result, Diverged):
            where = result.diverged_at
            self.say(f"{head} diverged in epoch {where.epoch}, step {where.step} ({took})")
        else:
            best = result.best
            self.say(f"{head} best val accuracy {100 * best.val_accuracy:.1f} % in epoch {best.epoch} ({took})")

    def say(self, *lines: str) -> None:
        """Prints lines."""
        for line in lines:
            print(line, flush=True)
        self._spoken = time.monotonic()

    def _count(self, epochs: float) -> None:
        """Says how many epochs of the replicas that are being trained are done, and estimates anew."""
        self._line.done = self._ended * self._epochs + epochs * self._group
        left = self._seconds_left()
        if left is None:
            return
        self._line.expect(left)
        if not self._has_forecast and not shows_line():
            self.say(f"measured: about {duration(left)} left")
        self._has_forecast = True
