"""The shared library of the wheel `onednn-cpu-gomp`, loaded when it is first needed.

oneDNN is what PyTorch computes convolutions with on a CPU: https://uxlfoundation.github.io/oneDNN. The wheel holds
version 3.2 for Linux on x86-64; the C interface is the same in all versions 3. Its threads are OpenMP's (libgomp): as
many as the process may use cores (`taskset`), or OMP_NUM_THREADS.
"""

import ctypes
import importlib.metadata
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from resjax.ops.onednn.handler import Handler
from resjax.ops.onednn.objects import Failure, Handle, Unavailable

WHEEL, FILE = "onednn-cpu-gomp", "libdnnl.so.3"
LEAST_VERSION = (3, 2)
AVX2 = 0x7
"""dnnl_cpu_isa_avx2: the bits that every processor with AVX2 has."""
THREADPOOL = 8
"""DNNL_RUNTIME_THREADPOOL: such a build has no threads of its own."""
CPU = 1
"""dnnl_cpu, a kind of engine."""


class _Version(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("major", "minor", "patch")] + [
        ("hash", ctypes.c_char_p),
        ("cpu_runtime", ctypes.c_uint),
        ("gpu_runtime", ctypes.c_uint),
    ]


class Library:
    """The loaded library.

    Raises:
      Unavailable: if this processor or this build is not supported, or the handler cannot be compiled.
      OSError: if the file cannot be loaded.
    """

    def __init__(self, path: str):
        with _waits_without_sleep():
            self._c = ctypes.PyDLL(path)
        self._c.dnnl_version.restype = ctypes.POINTER(_Version)
        found = self._c.dnnl_version().contents
        self.version = found.major, found.minor, found.patch
        if not LEAST_VERSION <= self.version < (4,):
            raise Unavailable(f"oneDNN {self.name} at {path}; expected 3.2 or a later version 3")
        if found.cpu_runtime == THREADPOOL:
            raise Unavailable(f"oneDNN at {path} has no threads of its own")
        self._c.dnnl_get_effective_cpu_isa.restype = ctypes.c_int
        if self._c.dnnl_get_effective_cpu_isa() & AVX2 != AVX2:
            raise Unavailable("the processor has no AVX2")
        self.engine = self.make("engine", CPU, ctypes.c_size_t(0))
        self.handler = Handler(self._c)

    @property
    def name(self) -> str:
        """The version as text."""
        return ".".join(str(number) for number in self.version)

    def make(self, kind: str, *arguments: Any, create: str = "create", destroy: str = "") -> Handle:
        """A new object: `dnnl_KIND_CREATE(&object, *arguments)`.

        Raises:
          Failure: if oneDNN refuses.
        """
        pointer = ctypes.c_void_p()
        self.check(f"dnnl_{kind}_{create}", ctypes.byref(pointer), *arguments)
        return Handle(pointer, self._c[f"dnnl_{destroy or kind}_destroy"])

    def check(self, name: str, *arguments: Any) -> None:
        """Calls a function. Raises `Failure` if it fails."""
        if status := self._c[name](*arguments):
            raise Failure(name, status)

    def number(self, name: str, *arguments: Any, kind: Any = ctypes.c_int) -> Any:
        """What a function returns that is no status, of the C type `kind`."""
        called = self._c[name]
        called.restype = kind
        return called(*arguments)

    def threads(self) -> int:
        """How many threads an operation of this thread has."""
        return self.number("omp_get_max_threads")

    def compute_alone(self) -> None:
        """Has this thread compute alone from now on."""
        self._c.omp_set_num_threads(1)


@contextmanager
def _waits_without_sleep() -> Iterator[None]:
    """Makes OpenMP's threads spin for about a millisecond after a call, and sleep only then.

    Waking a thread takes 10 microseconds, twice a call. XLA calls from several threads, and each has its own team of
    OpenMP threads. With more threads than cores libgomp lets them sleep at once, unless the policy is `active`.
    Spinning makes a narrow network's step a fifth shorter. libgomp reads these settings when it is loaded. A user's
    own OMP_WAIT_POLICY or GOMP_SPINCOUNT stays.
    """
    names = {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "300000"}
    if names.keys() & os.environ.keys():
        yield
        return
    os.environ.update(names)
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]


@lru_cache(maxsize=1)
def _library_or_reason() -> Library | str:
    try:
        return Library(_file())
    except Unavailable as reason:
        return str(reason)
    except OSError as error:
        return f"{FILE} does not load: {' '.join(str(error).split())}"


def _file() -> str:
    try:
        files = importlib.metadata.distribution(WHEEL).files or []
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable(f"{WHEEL} is not installed") from None
    for file in files:
        if file.name == FILE:
            return str(Path(str(file.locate())).resolve())
    raise Unavailable(f"{WHEEL} has no {FILE}")


def library() -> Library:
    """The library, loaded at the first call.

    Raises:
      Unavailable: if there is none for this machine, at every call with the same reason.
    """
    found = _library_or_reason()
    if isinstance(found, str):
        raise Unavailable(found)
    return found
