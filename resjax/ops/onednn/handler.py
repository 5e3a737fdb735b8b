"""The C handlers of the custom calls, compiled and loaded when they are first needed, and the plans that they know."""

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

SOURCES = [Path(__file__).with_name(name) for name in ("handler.c", "adam.c")]
OPTIONS = "-std=gnu11", "-O3", "-march=native", "-shared", "-fPIC", "-pthread"
EXACT = "-ffp-contract=off", "-fno-math-errno"
"""Every sum and product is rounded by itself, so all processors compute the same bits."""
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
    """The loaded handlers.

    Args:
      onednn: the library, with OpenMP's functions.

    Raises:
      Unavailable: if there is no C compiler, or it fails, or this is another OpenMP than GCC's.
      OSError: if the compiler cannot be started, or what it makes cannot be loaded.
    """

    def __init__(self, onednn: ctypes.PyDLL):
        try:
            threads = onednn.GOMP_parallel, onednn.omp_get_thread_num, onednn.omp_get_num_threads
        except AttributeError as error:
            raise Unavailable(f"oneDNN has no OpenMP that code of GCC can call: {error}") from error
        self._c = _compiled()
        self._make: Make | None = None
        # C may call it at any time, so it lives as long as the process.
        self._callback = _MAKE(self._make_from_c)
        _call(self._c.resjax_begin, onednn.dnnl_memory_set_data_handle, onednn.dnnl_primitive_execute, self._callback)
        _call(self._c.resjax_begin_adam, *threads)

    def register(self, target: str, make: Make) -> None:
        """Makes the handler of convolutions known to XLA; `make` adds the plan of a text that is not known."""
        self._make = make
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(self._c.resjax_handler), platform="cpu")

    def register_adam(self, target: str) -> None:
        """Makes the handler of Adam known to XLA."""
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(self._c.resjax_adam), platform="cpu")

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


def _call(begin: Any, *functions: Any) -> None:
    begin(*(ctypes.cast(each, ctypes.c_void_p) for each in functions))


def _compiled() -> ctypes.CDLL:
    compiler = _compiler()
    with tempfile.TemporaryDirectory(prefix="resjax-") as folder:
        made = Path(folder) / "handler.so"
        command: list[Any] = [compiler, *OPTIONS, *EXACT, f"-I{jax.ffi.include_dir()}", *SOURCES, "-o", made]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            reason = next((line for line in error.stderr.splitlines() if "error" in line), "it fails")
            raise Unavailable(f"the C compiler {compiler} cannot compile the handlers: {reason}") from error
        # The file may go when it is loaded.
        return ctypes.CDLL(str(made))


def _compiler() -> str:
    for name in (os.environ.get("CC"), *COMPILERS):
        if found := name and shutil.which(name):
            return found
    raise Unavailable("there is no C compiler (cc), which oneDNN is called through")
