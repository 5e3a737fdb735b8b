"""The end of a process while compiled programs still run: they are ended before the interpreter is.

A thread of XLA that asks for Python's lock while the interpreter is being torn down is ended by Python, and then the
process would wait for its program forever: after Ctrl-C in a loop of steps, for instance, which are queued. So at exit,
calls fail from now on, which ends their programs, and the process goes on as soon as no other thread works.
"""

import atexit
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

MOST_SECONDS = 5.0
"""How long to wait; threads that are not XLA's may work on."""
_PAUSE, _QUIET = 0.005, 3
"""Seconds between two looks, and how many in a row must see no thread at work."""

_is_ending = False


class Ending(RuntimeError):
    """The interpreter is ending."""


def require_running() -> None:
    """Raises `Ending` while programs are being ended."""
    if _is_ending:
        raise Ending("the interpreter is ending")


def _end_programs() -> None:
    global _is_ending
    _is_ending, quiet, end = True, 0, time.monotonic() + MOST_SECONDS
    while quiet < _QUIET and time.monotonic() < end:
        time.sleep(_PAUSE)
        quiet = 0 if _others_work() else quiet + 1
    _is_ending = False


def _others_work() -> bool:
    """Whether another thread of this process computes, wants to, or waits for a page of memory."""
    own = threading.get_native_id()
    for task in Path("/proc/self/task").iterdir():
        # Threads may have ended meanwhile.
        with suppress(OSError):
            if int(task.name) != own and (task / "stat").read_text().rpartition(")")[2].split()[0] in "RD":
                return True
    return False


def end_programs_at_exit() -> None:
    """Registers this for the end of the process; after JAX was imported, so that JAX ends later."""
    atexit.register(_end_programs)
    os.register_at_fork(after_in_child=lambda: atexit.unregister(_end_programs))
