"""One line on a terminal that says what is going on and how long it takes; plain lines where there is no terminal.

A program shows it with `status_line`. What takes time says so with `activity` or `track`, which do nothing where no
line is shown. A thread writes the line anew, so that it moves while the main thread compiles. It has no colours and
no escape sequences, and what is printed meanwhile stands above it.
"""

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO, TypeVar, cast

T = TypeVar("T")
REFRESH_SECONDS = 0.5
QUIET_SECONDS = 30.0
"""Without a terminal, a line is written after this much silence."""
GROWTH = 0.05
"""Without a terminal, the silence lasts at least this share of the time so far: a log of a day stays short."""
KNOWN_SHARE = 0.1
"""From this share on, what the parts so far took says more than a rough estimate."""
LEAST_BAR, MOST_BAR = 10, 40
"""Columns of the bar; with fewer there is only the percentage."""


def duration(seconds: float) -> str:
    """A duration in words: `8 s`, `3 min`, `2 h 10 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def clock(seconds: float) -> str:
    """A duration as a clock shows it: `0:07`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


class Activity:
    """Something that takes a while.

    Args:
      doing: what, such as `training`.
      total: of the parts that it has; 0 if that is not known.
      about: what it is done with, such as `resnet34 seed 0`; what is done as a part of it is done with the same.
    """

    def __init__(self, doing: str, total: float = 0, about: str = ""):
        self.doing, self.total, self.about = doing, total, about
        self.done = 0.0
        self.began = time.monotonic()
        self._expected: tuple[float, float, bool] | None = None

    def advance(self, count: float = 1) -> None:
        """Counts parts that are done."""
        self.done += count

    def expect(self, seconds: float, *, roughly: bool = False) -> None:
        """Says how long it takes from now on, in place of what the parts would suggest."""
        self._expected = time.monotonic(), seconds, roughly

    def seconds_left(self, inner: float | None) -> tuple[float | None, bool]:
        """How long it still takes, and whether that is a rough estimate.

        Args:
          inner: how long the part takes that is being done; None if that is not known.
        """
        now, roughly = time.monotonic(), False
        if self.total and self.done >= self.total:
            return inner, False
        if self._expected is not None:
            said, seconds, roughly = self._expected
            is_better = not roughly or not self.done or self.done < KNOWN_SHARE * self.total
            if is_better and (left := said + seconds - now) > 0:
                return left, roughly
        passed, parts = now - self.began, self.done + (inner is not None)
        if not self.total or not parts:
            return inner, False
        # The parts that are still to come take as long as those so far.
        return (inner or 0.0) + (passed + (inner or 0.0)) * max(0.0, self.total - parts) / parts, roughly


def status_text(activities: Sequence[Activity], elapsed: float, columns: int | None, bar: str = "#.") -> str:
    """The time left, the time passed, what is being done, and how far it is, in at most so many columns.

    Args:
      activities: each a part of the one before.
      elapsed: seconds since the start.
      columns: None for any number, and no bar.
      bar: the signs for what is done and what is not.
    """
    left, roughly, share = None, False, None
    for each in reversed(activities):
        left, is_rough = each.seconds_left(left)
        roughly |= is_rough
        if each.total:
            share = min(1.0, (each.done + (share or 0.0)) / each.total)
    about = ", ".join(each.about for each in activities if each.about)
    doing = activities[-1].doing + (f": {about}" if about else "")
    head = [] if left is None else [f"{'~' * roughly}{duration(left)} left"]
    text = " | ".join([*head, clock(elapsed), doing])
    end = "" if share is None else f" | {100 * share:.0f} %"
    if columns is None:
        return text + end
    room = min(MOST_BAR, columns - len(text + end) - 1)
    if share is not None and room >= LEAST_BAR:
        full = int(share * room)
        end = f" | {bar[0] * full}{bar[1] * (room - full)}{end[2:]}"
    if len(text + end) <= columns:
        return text + end
    return text if len(text) <= columns else text[: max(0, columns - 3)] + "..."


class _Above:
    """A stream whose text appears above the line."""

    def __init__(self, stream: TextIO, line: "_Line"):
        self._stream, self._line = stream, line

    def write(self, text: str) -> int:
        with self._line.lock:
            self._line.erase()
            self._line.spoken = time.monotonic()
            if text:
                self._line.is_parted = not text.endswith("\n")
            return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Line:
    def __init__(self, stream: TextIO):
        self.stream, self.is_terminal = stream, is_terminal(stream)
        self.activities = [Activity("starting")]
        # A signal may raise inside of a block that holds it.
        self.lock = threading.RLock()
        self.spoken = time.monotonic()
        self.is_parted = False
        """Whether the last text ended inside of a line, to which the rest will come."""
        self.is_over = False
        self._started = time.monotonic()
        self._shown = ""
        blocks = (stream.encoding or "").lower().replace("-", "") == "utf8"
        self._bar = "\u2588\u2591" if blocks else "#."

    def keep_current(self, ended: threading.Event) -> None:
        """Writes the line anew until the end."""
        while not ended.wait(REFRESH_SECONDS):
            # The terminal may be gone, and the file closed.
            with suppress(OSError, ValueError):
                self.refresh()

    def refresh(self) -> None:
        """Writes the line; without a terminal, only after a long silence."""
        with self.lock:
            now = time.monotonic()
            elapsed, silence = now - self._started, now - self.spoken
            if self.is_parted or self.is_over:
                return
            if self.is_terminal:
                columns = columns_of(self.stream) - 1
                text = status_text(self.activities, elapsed, columns, self._bar)
                self._write("\r" + text.ljust(min(len(self._shown), columns)))
                self._shown = text
            elif silence >= max(QUIET_SECONDS, GROWTH * elapsed):
                self.spoken = now
                self._write(f"  {status_text(self.activities, elapsed, None)}\n")

    def erase(self) -> None:
        """Leaves the cursor at the begin of an empty line."""
        if self._shown:
            self._write("\r" + " " * len(self._shown) + "\r")
            self._shown = ""

    def leave(self) -> None:
        """Writes the line for the last time, and leaves it there."""
        if self.is_terminal:
            self.refresh()
            if self._shown:
                self._write("\n")
            self._shown = ""

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()


_line: _Line | None = None


@contextmanager
def status_line() -> Iterator[None]:
    """Until the end of the block a line on stderr says what is going on. Inside of another such block it does nothing.

    Text that is printed appears above it.
    """
    global _line
    if _line is not None or sys.stderr is None:
        yield
        return
    line, ended = _Line(sys.stderr), threading.Event()
    thread = threading.Thread(target=line.keep_current, args=(ended,), name="status line", daemon=True)
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(cast(TextIO, _Above(sys.stdout, line))))
        stack.enter_context(redirect_stderr(cast(TextIO, _Above(sys.stderr, line))))
        _line = line
        thread.start()
        try:
            yield
        finally:
            ended.set()
            _line = None
            with suppress(OSError, ValueError), line.lock:
                # The thread may be about to write.
                line.is_over = True
                line.erase()


@contextmanager
def activity(doing: str, total: float = 0, about: str = "") -> Iterator[Activity]:
    """Until the end of the block the line says that this is being done, as a part of what was said before."""
    new = Activity(doing, total, about)
    if _line is None:
        yield new
        return
    activities = _line.activities
    activities[0].doing = "working"
    activities.append(new)
    try:
        yield new
    finally:
        with suppress(ValueError):
            activities.remove(new)


def track(items: Iterable[T], doing: str, total: float | None = None) -> Iterator[T]:
    """The items, while the line says how many of them are done."""
    with activity(doing, len(cast(Sequence, items)) if total is None else total) as its:
        for item in items:
            yield item
            its.advance()


def leave_line() -> None:
    """Leaves the line as it is now on the terminal; what comes later stands below."""
    if _line is not None:
        with suppress(OSError, ValueError), _line.lock:
            _line.leave()


def shows_line() -> bool:
    """Whether a line on a terminal says what is going on, so that plain lines need not."""
    return _line is not None and _line.is_terminal


def is_terminal(stream: TextIO) -> bool:
    """Whether a line can be written over on this stream."""
    return os.environ.get("TERM") != "dumb" and stream.isatty()


def columns_of_output() -> int | None:
    """The width of the terminal that stdout is; None if it is none."""
    return columns_of(sys.stdout) if sys.stdout is not None and is_terminal(sys.stdout) else None


def columns_of(stream: TextIO) -> int:
    """The width of a terminal; 80 where it says none."""
    with suppress(OSError, ValueError):
        return os.get_terminal_size(stream.fileno()).columns or 80
    return 80
