"""oneDNN's objects as Python sees them, and how it fails."""

import ctypes
import sys
from collections.abc import Callable

VERBS = {0: "success", 1: "out of memory", 2: "invalid arguments", 3: "not implemented", 5: "runtime error"}


class Unavailable(Exception):
    """oneDNN cannot be used here; the text says why in one line."""


class Failure(Exception):
    """A call of oneDNN failed."""

    def __init__(self, name: str, status: int):
        super().__init__(f"{name}: {VERBS.get(status, f'status {status}')}")


class Handle:
    """An object of oneDNN, destroyed with this one; not at the end of the process, when programs may still run."""

    def __init__(self, pointer: ctypes.c_void_p, destroy: Callable[[ctypes.c_void_p], object]):
        self.pointer, self._destroy = pointer, destroy

    @property
    def _as_parameter_(self) -> ctypes.c_void_p:
        return self.pointer

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self._destroy(self.pointer)
