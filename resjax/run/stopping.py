"""Stopping with everything saved: on SIGTERM, SIGHUP or Ctrl-C, or before a time limit (`--max_minutes`).

Signals set a mark that is tested before each step and each evaluation. Inside an epoch the state is saved with the
sums so far and the epoch resumes bit for bit. A thread reads signals from a pipe, because Python's handlers wait for
compiled code: it acknowledges the first one, and where no finished step is unsaved it ends the process 0.4 s later by
`os._exit`, after releasing the locks, as a kill would do. With unsaved steps, an epoch in one compiled call and a
compilation in the main thread are finished first. A second signal leaves at once only if it is Ctrl-C, because GNU
`timeout` sends SIGTERM twice. About half a second of steps is queued on the device. With several processes all stop
after the epoch; JAX takes SIGTERM when it connects them, and we take it back.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

NAMES = {"SIGINT": "Ctrl-C", "SIGTERM": "SIGTERM", "SIGHUP": "SIGHUP"}
# Windows has no SIGHUP.
SIGNALS = {getattr(signal, name): said for name, said in NAMES.items() if hasattr(signal, name)}
NEXT_EPOCH = 1.2
"""How much longer than the longest epoch so far the next epoch may take."""
GRACE_SECONDS = 0.4
"""How long Python gets to end the program by itself where nothing is unsaved. Compiled code may keep it for long."""

EXIT_SECONDS = 5.0
"""How long the interpreter gets to shut down after an error: threads of libraries may wait for what does not come."""


class Stopped(BaseException):
    """The run ends here, with everything on disk that it needs to resume; `status` is the program's exit status."""

    def __init__(self, reason: str, status: int):
        super().__init__(reason)
        self.reason, self.status = reason, status


class _Process:
    """What this process was asked, and whether it has something to save. Signals go to a process, not to a run."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.waits = False
        """Whether a signal waits for the next check."""
        self.steps = 0
        """Train steps that began since everything was on disk: the last of them may be unfinished."""
        self.is_alone = True
        """Whether no other process computes with this one: those would wait for a process that left."""
        self.resume = "the same command"
        self.releases: list[Callable[[], object]] = []

    @property
    def has_unsaved(self) -> bool:
        """Whether a finished step is not on disk."""
        return self.waits and self.steps > 1


_process = _Process()

_ending: list[float] = []
"""Status and seconds of `end_even_if_stuck`."""


@contextmanager
def listening(resume: str = "the same command") -> Iterator[None]:
    """Handles signals until the end of the block. Does nothing outside the main thread, which alone may do this.

    A signal is acknowledged on stderr at once, whatever the main thread computes. Where there is nothing to save, the
    process leaves soon after, even in the middle of a compilation. A second Ctrl-C ends the process at once; a second
    SIGTERM does not, because `timeout` sends it to the process and to its group. A SIGHUP that is ignored (`nohup`)
    stays ignored.

    Args:
      resume: the command that resumes this program.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _process.__init__()
    _process.resume = resume
    is_ignored = {number: signal.getsignal(number) == signal.SIG_IGN for number in SIGNALS}
    heard = [number for number, name in SIGNALS.items() if name != "SIGHUP" or not is_ignored[number]]
    before = {number: signal.signal(number, _heard) for number in heard}
    # Python's handlers wait until compiled code returns, but a thread does not. The pipe gets each signal's number.
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    ended = threading.Event()
    threading.Thread(target=_watch, args=(reading, ended), daemon=True).start()
    unraisable = sys.unraisablehook

    def without_stopped(failed: Any) -> None:
        if not isinstance(failed.exc_value, Stopped):
            unraisable(failed)

    sys.unraisablehook = without_stopped
    try:
        yield
    except (ImportError, SystemError):
        # A module that is being imported may make this of a signal.
        if _process.signal is None:
            raise
        raise Stopped(_reason(_process.signal), 128 + _process.signal) from None
    finally:
        # The block may have set a hook that stays.
        if sys.unraisablehook is without_stopped:
            sys.unraisablehook = unraisable
        ended.set()
        signal.set_wakeup_fd(wakeup)
        os.close(writing)
        for number, handler in before.items():
            signal.signal(number, handler)
        _process.__init__()


@contextmanager
def released_on_leaving(release: Callable[[], object]) -> Iterator[None]:
    """Inside the block, `release` is called before the process leaves at once; afterwards the caller releases."""
    _process.releases.append(release)
    try:
        yield
    finally:
        _process.releases.remove(release)


def compute_together() -> None:
    """Says that other processes compute with this one until the end of `listening`: none leaves the others at once."""
    _process.is_alone = False
    # JAX takes SIGTERM for itself, below Python, when it connects processes.
    for number in SIGNALS:
        if signal.getsignal(number) is _heard:
            signal.signal(number, _heard)


class Stopping:
    """Whether the run was asked to stop; checked between two steps (`before_step`) and after an epoch.

    Args:
      max_minutes: time limit of the run, from the import of this module; None for no limit.
    """

    def __init__(self, max_minutes: float | None = None):
        self._limit = None if max_minutes is None else STARTED + 60 * max_minutes
        self._minutes = max_minutes
        self._longest = 0.0

    @property
    def signalled(self) -> bool:
        """Whether a signal came."""
        return _process.signal is not None

    @property
    def asked(self) -> bool:
        """Whether a signal came or the time limit has passed."""
        return self.signalled or (self._limit is not None and time.monotonic() > self._limit)

    def before_step(self) -> bool:
        """As `asked`, called before each step, so that it is known whether finished steps are not saved."""
        if self.asked:
            return True
        _process.steps += 1
        return False

    @contextmanager
    def saved_at_end(self) -> Iterator[None]:
        """Around the training of some replicas: at the end of the block all their steps are on disk."""
        _process.steps = 0
        try:
            yield
        finally:
            _process.steps = 0

    def check(self) -> None:
        """Raises `Stopped` if the run was asked to stop."""
        if _process.signal is not None:
            raise Stopped(_reason(_process.signal), 128 + _process.signal)
        if self.asked:
            raise self._time_is_over()

    def after_epoch(self, seconds: float) -> None:
        """As `check`, after an epoch of this many seconds; also if the next epoch would end after the time limit."""
        self.check()
        self._longest = max(self._longest, seconds)
        if self._limit is not None and time.monotonic() + NEXT_EPOCH * self._longest > self._limit:
            raise self._time_is_over()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Inside the block a signal waits for the next `check`; outside it raises at once."""
        _process.waits = True
        try:
            yield
        finally:
            _process.waits = False
        if self.signalled:
            self.check()

    def _time_is_over(self) -> Stopped:
        return Stopped(f"stopped before the end of --max_minutes={self._minutes:g}", 0)


def _reason(number: int) -> str:
    return f"stopped by {SIGNALS[signal.Signals(number)]}"


def _heard(number: int, frame: FrameType | None) -> None:
    if _process.signal is None:
        _process.signal = number
    if not _process.waits:
        raise Stopped(_reason(_process.signal), 128 + _process.signal)


def _watch(reading: int, ended: threading.Event) -> None:
    """Reads the signals from a pipe: acknowledges the first one, and leaves at the second Ctrl-C."""
    first = None
    while data := os.read(reading, 1):
        number = data[0]
        if number not in SIGNALS:
            continue
        if first is None:
            first = number
            if not _process.is_alone:
                doing = "after this epoch, with the other processes"
            elif _process.has_unsaved:
                doing = "saving after this step; Ctrl-C again leaves at once"
            else:
                doing = "nothing is unsaved"
            # The main thread may have said the last word already.
            if ended.is_set():
                continue
            say(f"\nstopping ({SIGNALS[signal.Signals(number)]}): {doing}")
            threading.Thread(target=_leave_when_saved, args=(number, ended), daemon=True).start()
        elif number == signal.SIGINT:
            leave(128 + number)
    os.close(reading)


def _leave_when_saved(number: int, ended: threading.Event) -> None:
    """Leaves if the main thread is still there a while after everything was saved: it may be compiling."""
    idle = 0.0
    while idle < GRACE_SECONDS:
        if ended.wait(0.05):
            return
        idle = 0.0 if _process.has_unsaved or not _process.is_alone else idle + 0.05
    say(f"\n{resume_line(_reason(number), _process.resume)}")
    leave(128 + number)


def leave(status: int) -> NoReturn:
    """Ends the process at once, as a kill would, but releases what other runs may wait for."""
    for release in reversed(_process.releases):
        with suppress(Exception):
            release()
    # The main thread may hold the stream while it waits for a reader.
    flush = threading.Thread(target=_flush, daemon=True)
    flush.start()
    flush.join(0.1)
    os._exit(status)


def end_even_if_stuck(status: int, seconds: float = EXIT_SECONDS) -> None:
    """Has the process end with this status so many seconds after its main thread, even if other threads are stuck."""
    _ending[:] = status, seconds
    if not any(thread.name == _end_after_main.__name__ for thread in threading.enumerate()):
        threading.Thread(target=_end_after_main, name=_end_after_main.__name__, daemon=True).start()


def _end_after_main() -> None:
    # The interpreter marks the main thread as ended before it waits for the others.
    threading.main_thread().join()
    status, seconds = _ending
    time.sleep(seconds)
    os._exit(int(status))


def resume_line(reason: str, command: str) -> str:
    """The last line of a program that was stopped."""
    return f"{reason}; resume with the same command: {command}"


def say(text: str) -> None:
    """Writes a line to stderr, past Python's stream, which the main thread may hold. The terminal may be gone."""
    with suppress(OSError):
        os.write(2, f"{text}\n".encode(errors="replace"))


def _flush() -> None:
    with suppress(Exception):
        sys.stdout.flush()


STARTED = time.monotonic()
"""When this module was imported, which is at the start of the program."""
