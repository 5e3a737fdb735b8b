"""Stopping with everything saved: on SIGTERM, on Ctrl-C, or before a time limit (`--max_minutes`)."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
NEXT_EPOCH = 1.2
"""How much longer than the longest epoch so far the next epoch may take."""


class Stopped(BaseException):
    """The run ends here, with everything on disk that it needs to resume; `status` is the program's exit status."""

    def __init__(self, reason: str, status: int):
        super().__init__(reason)
        self.reason, self.status = reason, status


class Stopping:
    """Whether the run was asked to stop; checked between two steps (`asked`) and after an epoch.

    Args:
      max_minutes: time limit of the run, from the import of this module; None for no limit.
    """

    def __init__(self, max_minutes: float | None = None):
        self._limit = None if max_minutes is None else STARTED + 60 * max_minutes
        self._minutes = max_minutes
        self._signal: int | None = None
        self._waits = False
        self._longest = 0.0

    @property
    def signalled(self) -> bool:
        """Whether a signal came."""
        return self._signal is not None

    @property
    def asked(self) -> bool:
        """Whether a signal came or the time limit has passed."""
        return self._signal is not None or (self._limit is not None and time.monotonic() > self._limit)

    def check(self) -> None:
        """Raises `Stopped` if the run was asked to stop."""
        if self._signal is not None:
            raise Stopped(f"stopped by {SIGNALS[signal.Signals(self._signal)]}", 128 + self._signal)
        if self.asked:
            raise self._time_is_over()

    def after_epoch(self, seconds: float) -> None:
        """As `check`, after an epoch of this many seconds; also if the next epoch would end after the time limit."""
        self.check()
        self._longest = max(self._longest, seconds)
        if self._limit is not None and time.monotonic() + NEXT_EPOCH * self._longest > self._limit:
            raise self._time_is_over()

    @contextmanager
    def listening(self) -> Iterator["Stopping"]:
        """Handles signals until the end of the block; a second Ctrl-C ends the process at once."""
        before = {number: signal.signal(number, self._heard) for number in SIGNALS}
        # Python's handlers wait until compiled code returns, but a thread does not. The pipe gets each signal's number.
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=_leave_at_the_second, args=(reading,), daemon=True).start()
        try:
            yield self
        finally:
            signal.set_wakeup_fd(wakeup)
            os.close(writing)
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Inside the block a signal waits for the next `check`; outside it raises at once."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
        if self._signal is not None:
            self.check()

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._signal is None:
            self._signal = number
        if not self._waits:
            self.check()

    def _time_is_over(self) -> Stopped:
        return Stopped(f"stopped before the end of --max_minutes={self._minutes:g}", 0)


def _leave_at_the_second(reading: int) -> None:
    heard = False
    while data := os.read(reading, 1):
        # A second SIGTERM is not a user's: `timeout` sends it to the process and to its group.
        if heard and data[0] == signal.SIGINT:
            os._exit(128 + data[0])
        heard |= data[0] in SIGNALS
    os.close(reading)


STARTED = time.monotonic()
"""When this module was imported, which is at the start of the program."""
