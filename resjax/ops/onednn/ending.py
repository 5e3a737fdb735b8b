"""The end of a process while compiled programs still run: they finish before the interpreter does.

A thread of XLA that asks for Python's lock while the interpreter is being torn down is ended by Python, and then the
process would wait for its program forever: after Ctrl-C in a loop of steps, for instance, which are queued. So at exit
the process goes on as soon as no other thread works. Programs are not ended by an error: one device of several would
leave the others waiting for it in a collective.
"""

import atexit
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

MOST_SECONDS = 5.0
"""How long to wait after the last call of oneDNN; threads that are not XLA's may work on."""
_PAUSE, _QUIET = 0.005, 3
"""Seconds between two looks, and how many in a row must see no thread at work."""

_calls = 0


def count_call() -> None:
    """Notes that a program runs."""
    global _calls
    _calls += 1


def _wait_for_programs() -> None:
    quiet, seen, end = 0, _calls, time.monotonic() + MOST_SECONDS
    while quiet < _QUIET and time.monotonic() < end:
        time.sleep(_PAUSE)
        quiet = 0 if _others_work() else quiet + 1
        if _calls != seen:
            seen, end = _calls, time.monotonic() + MOST_SECONDS


def _others_work() -> bool:
    """Whether another thread of this process computes, wants to, or waits for a page of memory."""
    own = threading.get_native_id()
    for task in Path("/proc/self/task").iterdir():
        # Threads may have ended meanwhile.
        with suppress(OSError):
            if int(task.name) != own and (task / "stat").read_text().rpartition(")")[2].split()[0] in "RD":
                return True
    return False


def wait_for_programs_at_exit() -> None:
    """Registers this for the end of the process; after JAX was imported, so that JAX ends later."""
    atexit.register(_wait_for_programs)
    os.register_at_fork(after_in_child=lambda: atexit.unregister(_wait_for_programs))
