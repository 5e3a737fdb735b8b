"""Plans: what oneDNN prepares for one convolution of fixed shapes, kept for as long as calls of it are likely."""

import ctypes
import json
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from resjax.ops.onednn.handler import Place, Step
from resjax.ops.onednn.library import library
from resjax.ops.onednn.objects import Failure, Handle

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
HALF_VECTOR = 8
"""The numbers in a vector of AVX2, half of one of AVX-512."""
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
        forward = (
            "convolution_forward",
            _FORWARD_TRAINING,
            _DIRECT,
            self.images,
            free,
            None,
            self.outputs,
            *window,
            None,
        )
        query = _WEIGHTS_MD
        if given.kind == FORWARD:
            described = self._chosen(*forward)
        elif given.kind == IMAGE_GRADIENT:
            hint = self.images, free, self.outputs, *window, self._described(*forward)
            described = self._chosen("convolution_backward_data", _DIRECT, *hint)
        else:
            hint = self.images, free, None, self.outputs, *window, self._described(*forward)
            described, query = self._chosen("convolution_backward_weights", _DIRECT, *hint), _DIFF_WEIGHTS_MD
        self.implementation = self._implementation(described)
        if self.implementation.startswith(UNFIT):
            raise Refused(f"only an implementation that is slow or unsafe ({self.implementation})")
        strided_points = set(given.kernel[:-2]) == {1} and set(given.strides) != {1}
        if strided_points and given.kind == KERNEL_GRADIENT:
            raise Refused("the gradient of a 1x1 kernel with a stride writes past its memory (oneDNN#6035)")
        is_deep = len(given.strides) == 3 and given.strides[0] > 1 and max(given.padding[0]) > 1
        if is_deep and given.kind == KERNEL_GRADIENT:
            raise Refused("the gradient of a 3-D kernel with a stride and wide padding along depth leaves its memory")
        self.blocked = self._query(described, query)
        self.is_blocked = not self._library.number("dnnl_memory_desc_equal", self.blocked, self.kernel)
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

    def _chosen(self, kind: str, *arguments: object) -> Handle:
        """oneDNN's descriptor with the implementation that was the fastest in our measurements."""
        names, described = [], self._described(kind, *arguments)
        names.append(self._implementation(described))
        while not self._library.number("dnnl_primitive_desc_next_impl", described):
            names.append(self._implementation(described))
        described = self._described(kind, *arguments)
        for _ in range(names.index(fastest(names, self.described))):
            self._library.check("dnnl_primitive_desc_next_impl", described)
        return described

    def _implementation(self, described: Handle) -> str:
        name = ctypes.c_char_p()
        self._library.check("dnnl_primitive_desc_query", described, _IMPLEMENTATION, 0, ctypes.byref(name))
        return (name.value or b"").decode()

    def _query(self, described: Handle, what: int) -> ctypes.c_void_p:
        found = self._library.number("dnnl_primitive_desc_query_md", described, what, 0, kind=ctypes.c_void_p)
        return ctypes.c_void_p(found)

    def _bytes(self, memory: ctypes.c_void_p) -> int:
        return self._library.number("dnnl_memory_desc_get_size", memory, kind=ctypes.c_size_t)

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


def fastest(names: Sequence[str], described: Description) -> str:
    """The implementation that was the fastest in our measurements, of those that oneDNN offers in its own order.

    In float32, with 8 channels or fewer, AVX2 is up to twice as fast as AVX-512, because half of a longer vector
    would be empty. Otherwise `jit` is up to a third faster than `brgconv`, and twice as fast for the image gradient
    of a strided convolution. In other dtypes oneDNN's first one is taken.
    """
    if described.dtype != "float32":
        return names[0]
    if described.result[-1] <= HALF_VECTOR:
        return next((name for name in names if "avx2" in name), names[0])
    return next((name for name in names if name.startswith("jit") and "avx512" in name), names[0])


class Plan:
    """What the handler runs for an operation, and the objects of oneDNN that this needs."""

    def __init__(self, operation: Operation):
        make, described = library().make, operation.described
        engine = library().engine
        images, kernel, outputs = (
            make("memory", layout, engine, _NOTHING)
            for layout in (operation.images, operation.kernel, operation.outputs)
        )
        inner = make("memory", operation.blocked, engine, _NOTHING) if operation.is_blocked else kernel
        bytes_ = _Dims(max(operation.scratchpad_bytes, 1))
        layout = make("memory_desc", 1, bytes_, _BYTE, _Dims(1), create="create_with_strides")
        scratchpad = make("memory", layout, engine, _NOTHING)
        roles, order = {
            FORWARD: ({_SRC: images, _WEIGHTS: inner, _DST: outputs}, (images, kernel, outputs)),
            IMAGE_GRADIENT: ({_DIFF_DST: outputs, _WEIGHTS: inner, _DIFF_SRC: images}, (outputs, kernel, images)),
            KERNEL_GRADIENT: ({_SRC: images, _DIFF_DST: outputs, _DIFF_WEIGHTS: inner}, (images, outputs, kernel)),
        }[described.kind]
        self.places = [Place(memory, number) for number, memory in enumerate(order)]
        if operation.is_blocked:
            self.places.append(Place(inner, len(order)))
        if operation.scratchpad_bytes:
            self.places.append(Place(scratchpad, len(order), operation.blocked_bytes))
        self.steps = [Step(operation.primitive, roles | {_SCRATCHPAD: scratchpad})]
        if operation.reorder:
            is_last = described.kind == KERNEL_GRADIENT
            first, second = (inner, kernel) if is_last else (kernel, inner)
            moving = Step(operation.reorder, {_SRC: first, _DST: second, _SCRATCHPAD: scratchpad})
            self.steps.insert(len(self.steps) if is_last else 0, moving)
        self.stream = make("stream", engine, _DEFAULT_STREAM)
        self._kept = operation, layout


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
"""By the text of their calls. It holds the objects that the handler uses."""


def prepare(text: str) -> None:
    """Adds the plan of a text, so that its program needs no Python when it runs."""
    if text.encode() not in _plans:
        add(text.encode(), 4 if read(text.encode())[0] else 3)


def add(text: bytes, buffers: int) -> None:
    """Makes the plan of a text and gives it to the handler.

    Raises:
      ValueError: if the call has less scratch memory than oneDNN needs here.
      Refused: if oneDNN has no fast implementation here.
    """
    expected, described = read(text)
    needed = scratch_bytes(described)
    if needed > expected or buffers != 3 + bool(expected):
        raise ValueError(f"{described} needs {needed} bytes of scratch memory, and the program has {expected}")
    while len(_plans) >= MOST_PLANS:
        oldest = next(iter(_plans))
        library().handler.remove(oldest)
        del _plans[oldest]
    made = Plan(operation_of(described))
    library().handler.add(text, buffers, made.places, made.steps, made.stream)
    _plans[text] = made


def read(text: bytes) -> tuple[int, Description]:
    """The bytes of scratch memory and the description, of `Description.text`."""
    scratch, *fields = json.loads(text)
    return scratch, Description._make(_as_tuple(field) for field in fields)


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(each) for each in value) if isinstance(value, list) else value


def forget() -> None:
    """Drops all plans, in a process that was forked from one whose other threads may compute."""
    library().handler.forget()
    _plans.clear()
    operation_of.cache_clear()
