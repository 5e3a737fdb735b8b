"""The C handler of the custom calls, compiled and loaded when it is first needed, and the plans that it knows."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from resjax.ops.onednn.objects import Handle, Unavailable

SOURCE = Path(__file__).with_name("handler.c")
COMPILERS = "cc", "gcc", "clang"
_MAKE = ctypes.CFUNCTYPE(
    ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64
)
Make = Callable[[bytes, int], None]
"""Adds the plan for the text of a call with this number of buffers; raises if it cannot."""


class _Argument(ctypes.Structure):
    _fields_ = [("which", ctypes.c_int), ("memory", ctypes.c_void_p)]


class _Place(ctypes.Structure):
    _fields_ = [("memory", ctypes.c_void_p), ("buffer", ctypes.c_int64), ("offset", ctypes.c_int64)]


class _Step(ctypes.Structure):
    _fields_ = [("primitive", ctypes.c_void_p), ("count", ctypes.c_int64), ("arguments", ctypes.c_void_p)]


class _Plan(ctypes.Structure):
    _fields_ = [
        ("text", ctypes.c_char_p),
        ("length", ctypes.c_int64),
        ("buffers", ctypes.c_int64),
        ("place_count", ctypes.c_int64),
        ("places", ctypes.c_void_p),
        ("step_count", ctypes.c_int64),
        ("steps", ctypes.c_void_p),
        ("stream", ctypes.c_void_p),
        ("next", ctypes.c_void_p),
    ]


class Place(NamedTuple):
    """Where a memory object of oneDNN lies in a call."""

    memory: Handle
    buffer: int
    """The number of the call's buffer: arguments first, then results."""
    offset: int = 0
    """Bytes from the beginning of the buffer."""


class Step(NamedTuple):
    """A primitive with its memory objects, by oneDNN's numbers of arguments."""

    primitive: Handle
    memories: dict[int, Handle]


class Handler:
    """The loaded handler.

    Args:
      set_address, execute: oneDNN's functions of these purposes.

    Raises:
      Unavailable: if there is no C compiler, or it fails.
      OSError: if it cannot be started, or what it makes cannot be loaded.
    """

    def __init__(self, set_address: Any, execute: Any):
        self._c = _compiled()
        self._make: Make | None = None
        # C may call it at any time, so it lives as long as the process.
        self._callback = _MAKE(self._make_from_c)
        self._c.resjax_begin(*(ctypes.cast(each, ctypes.c_void_p) for each in (set_address, execute, self._callback)))

    def register(self, target: str, make: Make) -> None:
        """Makes the handler known to XLA; `make` adds the plan of a text that is not known."""
        self._make = make
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(self._c.resjax_handler), platform="cpu")

    def add(self, text: bytes, buffers: int, places: Sequence[Place], steps: Sequence[Step], stream: Handle) -> None:
        """Has calls with this text and so many buffers run these steps. oneDNN's objects must live until `remove`."""
        placed = (_Place * len(places))(*((each.memory.pointer, each.buffer, each.offset) for each in places))
        arguments = [
            (_Argument * len(each.memories))(*((which, memory.pointer) for which, memory in each.memories.items()))
            for each in steps
        ]
        stepped = (_Step * len(steps))(
            *(
                (each.primitive.pointer, len(its), ctypes.addressof(its))
                for each, its in zip(steps, arguments, strict=True)
            )
        )
        parts = len(placed), ctypes.addressof(placed), len(stepped), ctypes.addressof(stepped)
        self._c.resjax_add(ctypes.byref(_Plan(text, len(text), buffers, *parts, stream.pointer)))

    def remove(self, text: bytes) -> None:
        """Drops the plan of a text."""
        self._c.resjax_remove(text, ctypes.c_int64(len(text)))

    def forget(self) -> None:
        """Drops all plans, in a process that was forked."""
        self._c.resjax_forget()

    def compute(self, text: bytes, addresses: Sequence[int]) -> bool:
        """Whether what the text describes was computed, as a call from XLA would have it."""
        given = (ctypes.c_void_p * len(addresses))(*addresses)
        return not self._c.resjax_compute(text, ctypes.c_int64(len(text)), given, ctypes.c_int64(len(given)))

    def _make_from_c(self, text: int, length: int, buffers: int, message: int, room: int) -> int:
        try:
            assert self._make is not None
            self._make(ctypes.string_at(text, length), buffers)
            return 0
        except BaseException as error:
            said = f"{type(error).__name__}: {error}".encode(errors="replace")[: room - 1]
            ctypes.memmove(message, said + b"\0", len(said) + 1)
            return 1


def _compiled() -> ctypes.CDLL:
    compiler = _compiler()
    with tempfile.TemporaryDirectory(prefix="resjax-") as folder:
        made = Path(folder) / "handler.so"
        command: list[Any] = [compiler, "-std=gnu11", "-O1", "-shared", "-fPIC", "-pthread"]
        command += [f"-I{jax.ffi.include_dir()}", SOURCE, "-o", made]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            reason = next((line for line in error.stderr.splitlines() if "error" in line), "it fails")
            raise Unavailable(f"the C compiler {compiler} cannot compile {SOURCE.name}: {reason}") from error
        # The file may go when it is loaded.
        return ctypes.CDLL(str(made))


def _compiler() -> str:
    for name in (os.environ.get("CC"), *COMPILERS):
        if found := name and shutil.which(name):
            return found
    raise Unavailable("there is no C compiler (cc), which oneDNN is called through")
