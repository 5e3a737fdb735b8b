"""XLA's foreign function interface as far as it is needed: a Python function as the handler of a custom call.

The layouts are those of `xla/ffi/api/c_api.h` (in `jax.ffi.include_dir()`), equal in jaxlib 0.10 and 0.12. A frame is
read with `struct`, because ctypes takes several times as long to follow its pointers.
"""

import ctypes
import struct
from collections.abc import Callable, Sequence
from ctypes import string_at

import jax

API_VERSION = 0, 1
INTERNAL, RESOURCE_EXHAUSTED = 13, 8
_FRAME = struct.Struct("4Qi4x" + 2 * "2Qq2Q" + "2Qq3Q")
"""Size, extension, api, context, stage; arguments and results (size, extension, count, types, buffers); attributes
(size, extension, count, types, names, values)."""
_POINTER, _TWO, _THREE, _SPAN = struct.Struct("Q"), struct.Struct("2Q"), struct.Struct("3Q"), struct.Struct("2Q")
_POINTERS = {1: _POINTER, 2: _TWO, 3: _THREE}
_DATA = 24
"""Where a buffer has its address: behind size, extension and dtype."""
_ERROR_CREATE = 48
"""Where the table of XLA's functions has XLA_FFI_Error_Create."""


class _ErrorArguments(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("extension", ctypes.c_void_p),
        ("message", ctypes.c_char_p),
        ("code", ctypes.c_int),
    ]


_create_error = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(_ErrorArguments))
_UNSPEAKABLE = _ErrorArguments(ctypes.sizeof(_ErrorArguments), None, b"an error without a message", INTERNAL)
_kept: list[object] = []
"""What XLA may call at any time must never be collected."""

Run = Callable[[bytes, Sequence[int]], None]
"""Takes the text attribute of a call and the addresses of its buffers: two arguments, then one or two results."""


def register(name: str, run: Run) -> None:
    """Makes `run` the target of custom calls of this name: two arguments, one or two results, one text attribute.

    Whatever it raises comes back as the error of the compiled program, because XLA would go on with garbage after an
    exception in a ctypes callback.
    """

    def handler(address: int) -> int | None:
        frame = _FRAME.unpack(string_at(address, _FRAME.size))
        try:
            if frame[1]:
                _tell_version(frame[1])
                return None
            first, second = _TWO.unpack(string_at(frame[9], 16))
            results = _POINTERS[frame[12]].unpack(string_at(frame[14], 8 * frame[12]))
            (value,) = _POINTER.unpack(string_at(frame[20], 8))
            text = string_at(*_SPAN.unpack(string_at(value, 16)))
            data = [_POINTER.unpack(string_at(buffer + _DATA, 8))[0] for buffer in (first, second, *results)]
            run(text, data)
            return None
        except BaseException as error:
            return _as_error(frame[2], error)

    callback = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(handler)
    _kept.append(callback)
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(callback), platform="cpu")


def _tell_version(extension: int) -> None:
    """Answers XLA's question at registration: the version of the interface, and no traits."""
    (metadata,) = _POINTER.unpack(string_at(extension + 24, 8))
    struct.pack_into("iii", (ctypes.c_char * 12).from_address(metadata + 24), 0, *API_VERSION, 0)


def _as_error(api: int, error: BaseException) -> int | None:
    create = _create_error(_POINTER.unpack(string_at(api + _ERROR_CREATE, 8))[0])
    try:
        code = RESOURCE_EXHAUSTED if isinstance(error, MemoryError) else INTERNAL
        message = f"{type(error).__name__}: {error}".encode(errors="replace")
        arguments = _ErrorArguments(ctypes.sizeof(_ErrorArguments), None, message, code)
    except BaseException:
        arguments = _UNSPEAKABLE
    return create(ctypes.byref(arguments))
