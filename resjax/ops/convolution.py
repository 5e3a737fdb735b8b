"""A drop-in for `jax.lax.conv_general_dilated` that is fast on a CPU.

On GPU and TPU it is XLA's own convolution. On a CPU it is oneDNN's, which PyTorch's speed comes from
(`resjax.ops.onednn`): forward and both gradients, in 1-D to 3-D, float32 and bfloat16, with strides, padding, dilation
of images (transposed convolutions) and kernels, groups and any order of dimensions. What oneDNN refuses is XLA's own.

Without oneDNN, and where XLA divides a program over several devices (`jax.jit` with a sharded batch: it cannot divide a
foreign call, while `jax.shard_map` divides by itself), 2-D convolutions in float32 without dilation and groups are
matrix products (`formulations`), and all others XLA's own. Exported programs (`jax.export`) have XLA's own
convolutions, because they run where there is no oneDNN.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from resjax.ops import formulations, onednn
from resjax.ops.cpu import ONEDNN, XLA, asked, resolved
from resjax.ops.matrix_products import Padding
from resjax.ops.onednn import FORWARD, IMAGE_GRADIENT, KERNEL_GRADIENT
from resjax.ops.operation import Operation

Shape = tuple[int, ...]
DTYPES = (jnp.float32, jnp.bfloat16)
"""Other dtypes are XLA's everywhere."""


@dataclass(frozen=True)
class Convolution:
    """A convolution, as `jax.lax.conv_general_dilated` has it, and what computes it on a CPU."""

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    image_dilation: tuple[int, ...]
    kernel_dilation: tuple[int, ...]
    numbers: lax.ConvDimensionNumbers
    groups: int
    by: str | None
    """What was asked for to compute it on a CPU, as `resjax.ops.cpu.resolved` takes it."""

    def __call__(self, images: Array, kernel: Array) -> Array:
        """XLA's own."""
        return lax.conv_general_dilated(
            images,
            kernel,
            self.strides,
            self.padding,
            self.image_dilation,
            self.kernel_dilation,
            self.numbers,
            self.groups,
        )

    def sizes_after(self, sizes: Shape, taps: Shape) -> Shape:
        """Of the outputs, from those of images and kernel, without batch and channels."""
        seen = ((size - 1) * rate + 1 for size, rate in zip(sizes, self.image_dilation, strict=True))
        each = zip(seen, self.covered(taps), self.padding, self.strides, strict=True)
        return tuple((size + sum(pads) - covered) // stride + 1 for size, covered, pads, stride in each)

    def covered(self, taps: Shape) -> Shape:
        """The pixels that the dilated kernel covers along each axis."""
        return tuple((count - 1) * rate + 1 for count, rate in zip(taps, self.kernel_dilation, strict=True))

    def channels_last(self, role: str) -> Shape:
        """The axes of images, kernel or outputs in the order (batch, *spatial, channel), or (*spatial, in, out)."""
        if role == "kernel":
            outputs, inputs, *spatial = self.numbers.rhs_spec
            return (*spatial, inputs, outputs)
        batch, channel, *spatial = self.numbers.lhs_spec if role == "images" else self.numbers.out_spec
        return (batch, *spatial, channel)


def conv_general_dilated(
    lhs: Array,
    rhs: Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    **options: Any,
) -> Array:
    """`jax.lax.conv_general_dilated` with the same arguments, results (up to rounding) and gradients.

    With oneDNN (Linux on x86-64) it has PyTorch's speed. For Flax layers:

    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> from resjax.ops import conv_general_dilated
    >>> layer = nnx.Conv(8, 16, (3, 3), conv_general_dilated=conv_general_dilated, rngs=nnx.Rngs(0))
    >>> layer(jnp.zeros((2, 10, 10, 8))).shape
    (2, 10, 10, 16)

    It works under every transformation, and forward and reverse mode at any order. `resjax.ops.cpu_convolutions` and
    the environment variable RESJAX_CPU_CONVOLUTIONS choose what computes it on a CPU.

    Args:
      lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers, feature_group_count,
        batch_group_count, **options: as for `jax.lax.conv_general_dilated`.

    Raises:
      ValueError, TypeError: those of `jax.lax.conv_general_dilated`, for a kernel with another number of input
        channels or axes, or of another dtype.
    """
    spatial = lhs.ndim - 2
    ones = (1,) * spatial
    arguments = window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers
    plain = batch_group_count == 1 and not any(value is not None for value in options.values())
    if not plain or lhs.dtype != rhs.dtype or lhs.dtype not in DTYPES or not 1 <= spatial <= 3 or rhs.ndim != lhs.ndim:
        return lax.conv_general_dilated(lhs, rhs, *arguments, feature_group_count, batch_group_count, **options)
    numbers = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    rates, image_rates = tuple(rhs_dilation or ones), tuple(lhs_dilation or ones)
    sizes = tuple(lhs.shape[axis] for axis in numbers.lhs_spec[2:])
    taps = tuple(rhs.shape[axis] for axis in numbers.rhs_spec[2:])
    if isinstance(padding, str):
        if any(rate != 1 for rate in image_rates):
            # XLA's own raises.
            return lax.conv_general_dilated(lhs, rhs, *arguments)
        covered = [(count - 1) * rate + 1 for count, rate in zip(taps, rates, strict=True)]
        padding = lax.padtype_to_pads(sizes, covered, window_strides, padding)
    pads = tuple((int(low), int(high)) for low, high in padding)
    described = Convolution(tuple(window_strides), pads, image_rates, rates, numbers, feature_group_count, asked())
    return _Forward(described, sizes, taps)(lhs, rhs)[0]


@dataclass(frozen=True)
class _Bilinear(Operation):
    """What a convolution and its two gradients have in common: each is linear in each of its two arrays.

    The transposes of each are the other two, so three functions serve every derivative.
    """

    described: Convolution
    sizes: tuple[int, ...]
    """Of the images without batch and channels."""
    taps: tuple[int, ...]
    """Of the kernel without channels."""
    groups = (0,), (1,)

    def other(self, kind: "type[_Bilinear]", *places: int) -> tuple["_Bilinear", tuple[int, ...]]:
        return kind(self.described, self.sizes, self.taps), places

    kind: ClassVar[str]
    roles: ClassVar[tuple[str, str, str]]
    """What the two arrays and the result are: images, kernel or outputs."""

    def foreign(self, *arrays: Array) -> tuple[Array, ...] | None:
        given = self.described
        if resolved(given.by) != ONEDNN:
            return None
        first, second, result = self.roles
        one, other = (
            jnp.transpose(array, given.channels_last(role)) for array, role in zip(arrays, self.roles, strict=False)
        )
        shapes: dict[str, Shape] = {first: one.shape, second: other.shape}
        shapes[result] = self._shape_of_third(shapes)
        if min(min(shape) for shape in shapes.values()) < 1:
            return None
        described = onednn.Description(
            *(self.kind, str(one.dtype), shapes["images"], shapes["kernel"], shapes["outputs"]),
            *(given.strides, given.padding, given.kernel_dilation, given.groups),
        )
        found = (
            self._transposed(described, one, other)
            if set(given.image_dilation) != {1}
            else (onednn.convolve(described, one, other))
        )
        return None if found is None else (jnp.transpose(found, _inverse(given.channels_last(result))),)

    def _transposed(self, described: onednn.Description, one: Array, other: Array) -> Array | None:
        """The same where images are dilated: the gradient of a convolution whose stride is that dilation.

        Its images are our outputs and its outputs our images. Its kernel is ours with all taps in reverse order.
        """
        given = self.described
        if set(given.strides) != {1}:
            return None
        pads = zip(given.covered(self.taps), given.padding, strict=True)
        described = described._replace(
            kind={FORWARD: IMAGE_GRADIENT, IMAGE_GRADIENT: FORWARD}.get(self.kind, self.kind),
            images=described.outputs,
            outputs=described.images,
            strides=given.image_dilation,
            padding=tuple((covered - 1 - low, covered - 1 - high) for covered, (low, high) in pads),
            exchanged=True,
        )
        taps = tuple(range(len(self.taps)))
        if self.kind == KERNEL_GRADIENT:
            found = onednn.convolve(described, other, one)
            return None if found is None else jnp.flip(found, taps)
        return onednn.convolve(described, one, jnp.flip(other, taps))

    def _shape_of_third(self, shapes: dict[str, Shape]) -> Shape:
        """The shape of the result, channels last."""
        if self.kind == FORWARD:
            sizes = self.described.sizes_after(self.sizes, self.taps)
            return (shapes["images"][0], *sizes, shapes["kernel"][-1])
        if self.kind == IMAGE_GRADIENT:
            return (shapes["outputs"][0], *self.sizes, shapes["kernel"][-2] * self.described.groups)
        return (*self.taps, shapes["images"][-1] // self.described.groups, shapes["outputs"][-1])

    def on_cpu(self, *arrays: Array) -> tuple[Array, ...]:
        given, (one, other) = self.described, arrays
        simple = given.by != XLA and len(self.sizes) == 2 and one.dtype == jnp.float32
        layout = lax.conv_dimension_numbers((1,) * 4, (1,) * 4, formulations.CHANNELS_LAST)
        if not simple or given.numbers != layout or given.groups != 1 or len(set(given.strides)) != 1:
            return self.anywhere(*arrays)
        if {*given.image_dilation, *given.kernel_dilation} != {1}:
            return self.anywhere(*arrays)
        shapes: dict[str, Shape] = {self.roles[0]: one.shape, self.roles[1]: other.shape}
        shapes[self.roles[2]] = self._shape_of_third(shapes)
        stride, padding = given.strides[0], cast(Padding, given.padding)
        if not formulations.serves(shapes["images"], shapes["kernel"], stride, padding):
            return self.anywhere(*arrays)
        found = self.by_products(one, other, stride, padding)
        return self.anywhere(*arrays) if found is None else (found,)

    @abstractmethod
    def by_products(self, one: Array, other: Array, stride: int, padding: Padding) -> Array | None:
        """The result by matrix products; None where XLA's own is faster."""


class _Forward(_Bilinear):
    """y of images and kernel."""

    kind, roles = FORWARD, ("images", "kernel", "outputs")

    def anywhere(self, images: Array, kernel: Array) -> tuple[Array]:
        return (self.described(images, kernel),)

    def by_products(self, one: Array, other: Array, stride: int, padding: Padding) -> Array:
        return formulations.forward(one, other, stride, padding)

    def transposed(self, group: int) -> tuple[_Bilinear, tuple[int, ...]]:
        return self.other(_ImageGradient, 2, 1) if group == 0 else self.other(_KernelGradient, 0, 2)


class _ImageGradient(_Bilinear):
    """dx of dy and kernel."""

    kind, roles = IMAGE_GRADIENT, ("outputs", "kernel", "images")

    def anywhere(self, gradient: Array, kernel: Array) -> tuple[Array]:
        numbers, groups = self.described.numbers, self.described.groups
        batch, inputs = gradient.shape[numbers.out_spec[0]], kernel.shape[numbers.rhs_spec[1]] * groups
        shape = _ordered((batch, *self.sizes, inputs), self.described.channels_last("images"))
        images = jax.ShapeDtypeStruct(shape, gradient.dtype)
        return jax.linear_transpose(lambda images: self.described(images, kernel), images)(gradient)

    def by_products(self, one: Array, other: Array, stride: int, padding: Padding) -> Array | None:
        return formulations.image_gradient(one, other, self.sizes, stride, padding)

    def transposed(self, group: int) -> tuple[_Bilinear, tuple[int, ...]]:
        return self.other(_Forward, 2, 1) if group == 0 else self.other(_KernelGradient, 2, 0)


class _KernelGradient(_Bilinear):
    """dk of images and dy."""

    kind, roles = KERNEL_GRADIENT, ("images", "outputs", "kernel")

    def anywhere(self, images: Array, gradient: Array) -> tuple[Array]:
        numbers, groups = self.described.numbers, self.described.groups
        channels = images.shape[numbers.lhs_spec[1]] // groups, gradient.shape[numbers.out_spec[1]]
        shape = _ordered((*self.taps, *channels), self.described.channels_last("kernel"))
        # On a mesh of explicit axes, every device has the whole kernel.
        whole = jax.typeof(images).sharding.update(spec=jax.P(*[None] * len(shape)))
        kernel = jax.ShapeDtypeStruct(shape, gradient.dtype, sharding=whole)
        return jax.linear_transpose(lambda kernel: self.described(images, kernel), kernel)(gradient)

    def by_products(self, one: Array, other: Array, stride: int, padding: Padding) -> Array:
        return formulations.kernel_gradient(one, other, self.taps, stride, padding)

    def transposed(self, group: int) -> tuple[_Bilinear, tuple[int, ...]]:
        return self.other(_ImageGradient, 1, 2) if group == 0 else self.other(_Forward, 0, 2)


def _inverse(order: Shape) -> Shape:
    return tuple(order.index(axis) for axis in range(len(order)))


def _ordered(shape: Shape, order: Shape) -> Shape:
    """The shape of an array whose axes in this order have these sizes."""
    return tuple(shape[place] for place in _inverse(order))
