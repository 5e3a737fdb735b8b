"""Plans: what oneDNN prepares for one convolution of fixed shapes, kept for as long as calls of it are likely."""

import ctypes
import json
import math
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from resjax.ops.onednn.ending import count_call
from resjax.ops.onednn.library import Failure, Handle, library

FORWARD, IMAGE_GRADIENT, KERNEL_GRADIENT = "forward", "image_gradient", "kernel_gradient"
DTYPES = {"bfloat16": 2, "float32": 3}
"""dnnl_bf16 and dnnl_f32."""
MOST_PLANS = 1000
"""Plans are dropped above it, the oldest first."""
ALIGNED = 64
"""Bytes: XLA's buffers begin at multiples of it, and so do the parts of the scratch memory."""
UNFIT = "ref", "gemm:", "x64:gemm:"
"""How the names of implementations begin that are not used. `ref` is slow, and `gemm` of oneDNN 3.2, for dilation with
strides and for padding wider than the kernel, has ended a process by a segmentation fault. All others were run between
inaccessible pages, over some 20,000 shapes."""
# Values of enums in dnnl_types.h.
_FORWARD_TRAINING, _DIRECT, _ANY, _BYTE = 64, 1, 1, 6
_USER_SCRATCHPAD, _DEFAULT_STREAM = 1, 1
_IMPLEMENTATION, _WEIGHTS_MD, _DIFF_WEIGHTS_MD, _SCRATCHPAD_MD = 8, 131, 132, 136
_SRC, _DST, _WEIGHTS, _SCRATCHPAD = 1, 17, 33, 80
_DIFF_SRC, _DIFF_DST, _DIFF_WEIGHTS = 129, 145, 161
_NOTHING = ctypes.c_void_p(0)
_Dims = ctypes.c_int64 * 12


class Refused(Exception):
    """oneDNN has no fast implementation for a convolution."""


class Description(NamedTuple):
    """A convolution, or one of its two gradients, complete: the same text means the same in every process.

    Shapes as JAX has them: images (batch, *spatial, in), outputs (batch, *spatial, out), kernel (*taps, in / groups,
    out).
    """

    kind: str
    """`forward`: outputs of images, kernel; `image_gradient`: images of outputs, kernel; `kernel_gradient`: kernel of
    images, outputs."""
    dtype: str
    images: tuple[int, ...]
    kernel: tuple[int, ...]
    outputs: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    """Of the kernel, from 1."""
    groups: int = 1
    exchanged: bool = False
    """Whether the kernel is (*taps, out / groups, in)."""

    @property
    def result(self) -> tuple[int, ...]:
        """The shape of the result."""
        return {FORWARD: self.outputs, IMAGE_GRADIENT: self.images, KERNEL_GRADIENT: self.kernel}[self.kind]

    def text(self) -> str:
        """Itself and the bytes of scratch memory that a call needs.

        Raises:
          Refused: if oneDNN has no fast implementation.
        """
        return json.dumps([scratch_bytes(self), *self])


class _Argument(ctypes.Structure):
    _fields_ = [("which", ctypes.c_int), ("memory", ctypes.c_void_p)]


class Operation:
    """oneDNN's primitives for a description, and how much scratch memory they need.

    Scratch memory holds the kernel in oneDNN's own layout, where that is another one, and what oneDNN asks for beside
    it. XLA allocates it, so it is XLA's schedule that decides how much of it there is at a time.

    Raises:
      Refused: if oneDNN has no fast implementation.
    """

    def __init__(self, described: Description):
        self.described, self._library = described, library()
        try:
            self._prepare()
        except Failure as failure:
            raise Refused(str(failure)) from failure

    def _prepare(self) -> None:
        given, make = self.described, self._library.make
        self._attributes = make("primitive_attr")
        self._library.check("dnnl_primitive_attr_set_scratchpad_mode", self._attributes, _USER_SCRATCHPAD)
        self.images, self.outputs = self._features(given.images), self._features(given.outputs)
        self.kernel, free = self._kernel_as_given(), self._kernel_in_any_layout()
        pairs = [*given.padding]
        numbers = given.strides, [rate - 1 for rate in given.dilation], [low for low, _ in pairs], [h for _, h in pairs]
        window = [_Dims(*each) for each in numbers]
        forward = self._described(
            "convolution_forward", _FORWARD_TRAINING, _DIRECT, self.images, free, None, self.outputs, *window, None
        )
        described, query = forward, _WEIGHTS_MD
        if given.kind == IMAGE_GRADIENT:
            hint = self.images, free, self.outputs, *window, forward
            described = self._described("convolution_backward_data", _DIRECT, *hint)
        if given.kind == KERNEL_GRADIENT:
            hint = self.images, free, None, self.outputs, *window, forward
            described, query = self._described("convolution_backward_weights", _DIRECT, *hint), _DIFF_WEIGHTS_MD
        self.implementation = self._implementation(described)
        if self.implementation.startswith(UNFIT):
            raise Refused(f"only an implementation that is slow or unsafe ({self.implementation})")
        strided_points = set(given.kernel[:-2]) == {1} and set(given.strides) != {1}
        if strided_points and given.kind == KERNEL_GRADIENT:
            raise Refused("the gradient of a 1x1 kernel with a stride writes past its memory (oneDNN#6035)")
        self.blocked = self._query(described, query)
        self.is_blocked = not self._library.short.dnnl_memory_desc_equal(self.blocked, self.kernel)
        self.primitive = make("primitive", described)
        reordering, self.reorder = None, None
        if self.is_blocked:
            ends = (self.kernel, self.blocked)[:: -1 if given.kind == KERNEL_GRADIENT else 1]
            engine = self._library.engine
            reordering = make(
                "reorder_primitive_desc", ends[0], engine, ends[1], engine, self._attributes, destroy="primitive_desc"
            )
            self.reorder = make("primitive", reordering)
        self.blocked_bytes = _aligned(self._bytes(self.blocked)) if self.is_blocked else 0
        scratchpads = [self._query(each, _SCRATCHPAD_MD) for each in (described, reordering) if each]
        self.scratchpad_bytes = _aligned(max(self._bytes(each) for each in scratchpads))
        # What the pointers that were queried point into.
        self._kept = described, reordering

    def _described(self, kind: str, *arguments: object) -> Handle:
        return self._library.make(
            f"{kind}_primitive_desc", self._library.engine, *arguments, self._attributes, destroy="primitive_desc"
        )

    def _implementation(self, described: Handle) -> str:
        name = ctypes.c_char_p()
        self._library.check("dnnl_primitive_desc_query", described, _IMPLEMENTATION, 0, ctypes.byref(name))
        return (name.value or b"").decode()

    def _query(self, described: Handle, what: int) -> ctypes.c_void_p:
        query = self._library.short.dnnl_primitive_desc_query_md
        query.restype = ctypes.c_void_p
        return ctypes.c_void_p(query(described, what, 0))

    def _bytes(self, memory: ctypes.c_void_p) -> int:
        size = self._library.short.dnnl_memory_desc_get_size
        size.restype = ctypes.c_size_t
        return size(memory)

    def _features(self, shape: tuple[int, ...]) -> Handle:
        """(batch, *spatial, channel) as oneDNN's (batch, channel, *spatial)."""
        batch, *spatial, channels = shape
        steps = _steps(shape)
        return self._strided((batch, channels, *spatial), (steps[0], steps[-1], *steps[1:-1]))

    def _kernel_dims(self) -> tuple[int, ...]:
        """oneDNN's (group, out / groups, in / groups, *taps); without groups there is no such axis."""
        given = self.described
        *taps, inputs, outputs = given.kernel
        both = (inputs, outputs // given.groups) if given.exchanged else (outputs // given.groups, inputs)
        return (*([given.groups] if given.groups > 1 else []), *both, *taps)

    def _kernel_as_given(self) -> Handle:
        given = self.described
        *taps, inputs, outputs = _steps(given.kernel)
        both = (inputs, outputs) if given.exchanged else (outputs, inputs)
        group = [given.kernel[-1] // given.groups] if given.groups > 1 else []
        return self._strided(self._kernel_dims(), (*group, *both, *taps))

    def _kernel_in_any_layout(self) -> Handle:
        dims = self._kernel_dims()
        return self._library.make(
            "memory_desc", len(dims), _Dims(*dims), self._dtype, _ANY, create="create_with_tag"
        )  # fmt: skip

    def _strided(self, dims: Sequence[int], steps: Sequence[int]) -> Handle:
        return self._library.make(
            "memory_desc", len(dims), _Dims(*dims), self._dtype, _Dims(*steps), create="create_with_strides"
        )

    @property
    def _dtype(self) -> int:
        return DTYPES[self.described.dtype]


class Plan:
    """An operation with memory objects, whose addresses are set in each call."""

    def __init__(self, operation: Operation):
        self._operation = operation
        oneDNN, kind = library(), operation.described.kind
        engine = oneDNN.engine
        images, kernel, outputs = (
            oneDNN.make("memory", layout, engine, _NOTHING)
            for layout in (operation.images, operation.kernel, operation.outputs)
        )
        self._stream = oneDNN.make("stream", engine, _DEFAULT_STREAM)
        inner = oneDNN.make("memory", operation.blocked, engine, _NOTHING) if operation.is_blocked else kernel
        bytes_ = _Dims(max(operation.scratchpad_bytes, 1))
        layout = oneDNN.make("memory_desc", 1, bytes_, _BYTE, _Dims(1), create="create_with_strides")
        scratchpad = oneDNN.make("memory", layout, engine, _NOTHING)
        roles = {
            FORWARD: ((_SRC, images), (_WEIGHTS, inner), (_DST, outputs)),
            IMAGE_GRADIENT: ((_DIFF_DST, outputs), (_WEIGHTS, inner), (_DIFF_SRC, images)),
            KERNEL_GRADIENT: ((_SRC, images), (_DIFF_DST, outputs), (_DIFF_WEIGHTS, inner)),
        }[kind]
        main: tuple[Any, ...] = (
            operation.primitive.pointer,
            self._stream.pointer,
            4,
            _arguments(*roles, (_SCRATCHPAD, scratchpad)),
        )
        self._steps = [main]
        if operation.reorder:
            ends = (kernel, inner)[:: -1 if kind == KERNEL_GRADIENT else 1]
            moving = _arguments((_SRC, ends[0]), (_DST, ends[1]), (_SCRATCHPAD, scratchpad))
            step = (operation.reorder.pointer, self._stream.pointer, 3, moving)
            self._steps.insert(1 if kind == KERNEL_GRADIENT else 0, step)
        order = {
            FORWARD: (images, kernel, outputs),
            IMAGE_GRADIENT: (outputs, kernel, images),
            KERNEL_GRADIENT: (images, outputs, kernel),
        }[kind]
        self._places = [memory.pointer for memory in order]
        self._scratch = []
        if operation.is_blocked:
            self._scratch.append((inner.pointer, 0))
        if operation.scratchpad_bytes:
            self._scratch.append((scratchpad.pointer, operation.blocked_bytes))
        self._kept = images, kernel, outputs, inner, layout, scratchpad
        self._set, self._execute = oneDNN.short.dnnl_memory_set_data_handle, oneDNN.long.dnnl_primitive_execute
        self._set.argtypes = [ctypes.c_void_p, ctypes.c_void_p]

    def run(self, addresses: Sequence[int]) -> None:
        """Computes; the addresses of two arguments, of the result, and of scratch memory if any is needed.

        Raises:
          Failure: if oneDNN cannot.
        """
        put = self._set
        for memory, address in zip(self._places, addresses, strict=False):
            if status := put(memory, address):
                raise Failure("dnnl_memory_set_data_handle", status)
        for memory, offset in self._scratch:
            if status := put(memory, addresses[3] + offset):
                raise Failure("dnnl_memory_set_data_handle", status)
        for step in self._steps:
            if status := self._execute(*step):
                raise Failure("dnnl_primitive_execute", status)


def _arguments(*pairs: tuple[int, Handle]) -> ctypes.Array:
    return (_Argument * len(pairs))(*((which, memory.pointer) for which, memory in pairs))


def _steps(shape: Sequence[int]) -> tuple[int, ...]:
    """How far neighbours along each axis lie apart in a dense array."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _aligned(count: int) -> int:
    return -(-count // ALIGNED) * ALIGNED


@lru_cache(maxsize=MOST_PLANS)
def operation_of(described: Description) -> Operation:
    """The operation of a description. Raises `Refused`."""
    return Operation(described)


def scratch_bytes(described: Description) -> int:
    """The scratch memory that a call needs. Raises `Refused`."""
    operation = operation_of(described)
    return operation.blocked_bytes + operation.scratchpad_bytes


_plans: dict[bytes, Plan] = {}
"""By the text of their calls."""
_turn = threading.Lock()


def run(text: bytes, addresses: Sequence[int]) -> None:
    """Computes what the text describes.

    One call at a time, though XLA calls from several threads at once: each call has all cores, and threads of oneDNN
    wait for each other without sleeping, so two calls beside each other would lose milliseconds.
    """
    with _turn:
        count_call()
        plan = _plans.get(text)
        if plan is None:
            plan = _plans[text] = _made(text, len(addresses))
        plan.run(addresses)


def _made(text: bytes, buffers: int) -> Plan:
    expected, described = read(text)
    needed = scratch_bytes(described)
    if needed > expected or buffers != 3 + bool(expected):
        raise ValueError(f"{described} needs {needed} bytes of scratch memory, and the program has {expected}")
    while len(_plans) >= MOST_PLANS:
        del _plans[next(iter(_plans))]
    return Plan(operation_of(described))


def read(text: bytes) -> tuple[int, Description]:
    """The bytes of scratch memory and the description, of `Description.text`."""
    scratch, *fields = json.loads(text)
    return scratch, Description._make(_as_tuple(field) for field in fields)


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(each) for each in value) if isinstance(value, list) else value


def forget() -> None:
    """Drops all plans, in a process that was forked from one whose other threads may compute."""
    global _turn
    _turn = threading.Lock()
    _plans.clear()
    operation_of.cache_clear()
