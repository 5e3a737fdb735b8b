"""The custom call: convolutions of JAX arrays, computed by oneDNN when the compiled program runs."""

import os
from functools import lru_cache

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array

from resjax.ops.onednn import plans
from resjax.ops.onednn.library import library
from resjax.ops.onednn.plans import KERNEL_GRADIENT, Description, Refused

TARGET = "resjax_onednn_convolution"


def convolve(described: Description, first: Array, second: Array) -> Array | None:
    """The result of a convolution or gradient in float32 or bfloat16, or None if oneDNN has nothing fast for it.

    Under `jax.vmap` an axis of the images alone joins the batch; otherwise the calls follow each other.

    Args:
      described: what to compute.
      first, second: its two arrays, in the order of `Description.kind`.

    Raises:
      Unavailable: if there is no oneDNN for this machine.
    """
    _register()
    described, first = _without_points_between(described, first)
    try:
        text = described.text()
    except Refused:
        return None
    plans.prepare(text)

    @custom_vmap
    def call(first: Array, second: Array) -> Array:
        results = [jax.ShapeDtypeStruct(described.result, described.dtype)]
        if scratch := plans.scratch_bytes(described):
            results.append(jax.ShapeDtypeStruct((scratch,), jnp.uint8))
        return jax.ffi.ffi_call(TARGET, results)(first, second, convolution=text)[0]

    @call.def_vmap
    def _(axis_size: int, batched: list[bool], first: Array, second: Array) -> tuple[Array, bool]:
        if described.kind != KERNEL_GRADIENT and batched == [True, False]:
            joined = convolve(_of_batch(described, axis_size), first.reshape(-1, *first.shape[2:]), second)
            if joined is not None:
                return joined.reshape(axis_size, -1, *joined.shape[1:]), True

        def one(arrays: tuple[Array, ...]) -> Array:
            given = iter(arrays)
            return call(*(next(given) if is_batched else shared[place] for place, is_batched in enumerate(batched)))

        shared = first, second
        moving = tuple(array for array, is_batched in zip(shared, batched, strict=True) if is_batched)
        return jax.lax.map(one, moving), True

    return call(first, second)


def _without_points_between(described: Description, images: Array) -> tuple[Description, Array]:
    """For the gradient of a 1x1 kernel with a stride, without padding: the same at stride 1, of every n-th pixel.

    oneDNN itself writes past its memory there (https://github.com/uxlfoundation/oneDNN/issues/6035).
    """
    taps, strides = described.kernel[:-2], described.strides
    if described.kind != KERNEL_GRADIENT or {*taps} != {1} or {*strides} == {1} or any(map(any, described.padding)):
        return described, images
    sizes = zip(described.outputs[1:-1], strides, strict=True)
    seen = images[:, *(slice(0, (size - 1) * stride + 1, stride) for size, stride in sizes)]
    return described._replace(images=seen.shape, strides=(1,) * len(strides)), seen


def _of_batch(described: Description, times: int) -> Description:
    images, outputs = ((times * shape[0], *shape[1:]) for shape in (described.images, described.outputs))
    return described._replace(images=images, outputs=outputs)


@lru_cache(maxsize=1)
def _register() -> None:
    """Loads oneDNN and makes it known to XLA, once in a process."""
    found = library()
    found.handler.register(TARGET, plans.add)

    def in_child() -> None:
        # OpenMP's threads do not survive a fork, and a team that is missing some would be waited for.
        found.compute_alone()
        plans.forget()

    os.register_at_fork(after_in_child=in_child)
