"""A drop-in for `jax.lax.conv_general_dilated` that is fast on a CPU.

On GPU and TPU it is XLA's own convolution. On a CPU, XLA's convolution (jaxlib 0.10) uses one core for 64 outputs or
fewer, leaves its fast path where the map is smaller than the kernel, and takes two to ten times as long as a matrix
product for the gradient of the kernel. So on a CPU, 2-D convolutions in float32 without dilation and groups are
computed by the fastest of several formulations. The three functions at the end choose it from the shapes, by
measurement. All other convolutions are XLA's own, also those with a symbolic batch size as in `jax.export`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from resjax.ops import matrix_products
from resjax.ops.matrix_products import Kernel, Padding, sizes_after
from resjax.ops.operation import Operation
from resjax.types import Features

CHANNELS_LAST = ("NHWC", "HWIO", "NHWC")
FEW_CHANNELS = 16
"""With fewer channels, patches are too narrow to be written fast, and XLA's convolution is used. Stems are an
exception: they have their own formulation of the kernel's gradient."""
ONE_CORE = 64
"""XLA:CPU's convolution uses only one core for up to this many outputs."""
SMALL_MAP = 49
"""Up to this many pixels a kernel with many channels is larger than the images."""


class Convolution(NamedTuple):
    """Stride and padding of a convolution."""

    stride: int
    padding: Padding


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

    Flax layers take it as an argument:

    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> from resjax.ops import conv_general_dilated
    >>> layer = nnx.Conv(8, 16, (3, 3), conv_general_dilated=conv_general_dilated, rngs=nnx.Rngs(0))
    >>> layer(jnp.zeros((2, 10, 10, 8))).shape
    (2, 10, 10, 16)

    Forward and reverse mode work at any order, and the gradients of a backward pass have CPU formulations too.

    Args:
      lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers, feature_group_count,
        batch_group_count, **options: as for `jax.lax.conv_general_dilated`.

    Raises:
      The errors of `jax.lax.conv_general_dilated`.
    """
    numbers = {"lhs_dilation": lhs_dilation, "rhs_dilation": rhs_dilation, "dimension_numbers": dimension_numbers}
    groups = {"feature_group_count": feature_group_count, "batch_group_count": batch_group_count}
    plain = feature_group_count == batch_group_count == 1 and not any(value is not None for value in options.values())
    dilated = any(rate != 1 for rates in (lhs_dilation, rhs_dilation) for rate in rates or ())
    if plain and not dilated and _is_channels_last(lhs, rhs, dimension_numbers):
        pads = (
            lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], window_strides, padding)
            if isinstance(padding, str)
            else padding
        )
        described = Convolution(window_strides[0], cast(Padding, tuple((int(low), int(high)) for low, high in pads)))
        if len(set(window_strides)) == 1 and _is_served(lhs, rhs, described):
            return _Forward(described, lhs.shape[1:3], rhs.shape[:2])(lhs, rhs)[0]
    return lax.conv_general_dilated(lhs, rhs, window_strides, padding, **numbers, **groups, **options)


def _is_channels_last(lhs: Array, rhs: Array, dimension_numbers: Any) -> bool:
    if lhs.ndim != 4 or rhs.ndim != 4 or dimension_numbers is None:
        return False
    return lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers) == lax.conv_dimension_numbers(
        lhs.shape, rhs.shape, CHANNELS_LAST
    )


def _is_served(images: Features, kernel: Kernel, described: Convolution) -> bool:
    within = all(0 <= pad < taps for taps, pads in zip(kernel.shape, described.padding, strict=False) for pad in pads)
    sizes = sizes_after(images.shape[1:3], kernel.shape[:2], *described)
    same_type = images.dtype == kernel.dtype == jnp.float32
    fits = images.shape[3] == kernel.shape[2] and images.size and kernel.size and min(sizes) > 0
    is_stem = kernel.shape[0] >= 7
    wide = kernel.shape[3] >= FEW_CHANNELS and (kernel.shape[2] >= FEW_CHANNELS or is_stem)
    # The size of the chunks depends on the batch size, so that must be a number.
    numbered = all(isinstance(size, int) for size in images.shape)
    return bool(numbered and wide and same_type and fits and within and described.stride in (1, 2))


def _xla(images: Features, kernel: Kernel, described: Convolution) -> Features:
    strides = (described.stride, described.stride)
    return lax.conv_general_dilated(images, kernel, strides, described.padding, dimension_numbers=CHANNELS_LAST)


@dataclass(frozen=True)
class _Bilinear(Operation):
    """What a convolution and its two gradients have in common: each is linear in each of its two arrays.

    The transposes of each are the other two, so three functions serve every derivative. `on_cpu` says how each is
    computed on a CPU; three calls of a foreign library would stand there, and nothing else would change.
    """

    described: Convolution
    sizes: tuple[int, ...]
    """Rows and columns of the images."""
    taps: tuple[int, ...]
    """Rows and columns of the kernel."""
    groups = (0,), (1,)

    def other(self, kind: "type[_Bilinear]", *places: int) -> tuple["_Bilinear", tuple[int, ...]]:
        return kind(self.described, self.sizes, self.taps), places


class _Forward(_Bilinear):
    """y of images and kernel."""

    def anywhere(self, images: Features, kernel: Kernel) -> tuple[Features]:
        return (_xla(images, kernel, self.described),)

    def on_cpu(self, images: Features, kernel: Kernel) -> tuple[Features]:
        return (_forward(images, kernel, self.described),)

    def transposed(self, group: int) -> tuple[_Bilinear, tuple[int, ...]]:
        return self.other(_ImageGradient, 2, 1) if group == 0 else self.other(_KernelGradient, 0, 2)


class _ImageGradient(_Bilinear):
    """dx of dy and kernel."""

    def anywhere(self, gradient: Features, kernel: Kernel) -> tuple[Features]:
        images = jax.ShapeDtypeStruct((len(gradient), *self.sizes, kernel.shape[2]), gradient.dtype)
        return jax.linear_transpose(lambda images: _xla(images, kernel, self.described), images)(gradient)

    def on_cpu(self, gradient: Features, kernel: Kernel) -> tuple[Features]:
        return (_image_gradient(gradient, kernel, self.sizes, self.described),)

    def transposed(self, group: int) -> tuple[_Bilinear, tuple[int, ...]]:
        return self.other(_Forward, 2, 1) if group == 0 else self.other(_KernelGradient, 2, 0)


class _KernelGradient(_Bilinear):
    """dk of images and dy."""

    def anywhere(self, images: Features, gradient: Features) -> tuple[Kernel]:
        shape = (*self.taps, images.shape[3], gradient.shape[3])
        # On a mesh of explicit axes, every device has the whole kernel.
        whole = jax.typeof(images).sharding.update(spec=jax.P(None, None, None, None))
        kernel = jax.ShapeDtypeStruct(shape, gradient.dtype, sharding=whole)
        return jax.linear_transpose(lambda kernel: _xla(images, kernel, self.described), kernel)(gradient)

    def on_cpu(self, images: Features, gradient: Features) -> tuple[Kernel]:
        return (_kernel_gradient(images, gradient, self.taps, self.described),)

    def transposed(self, group: int) -> tuple[_Bilinear, tuple[int, ...]]:
        return self.other(_ImageGradient, 1, 2) if group == 0 else self.other(_Forward, 0, 2)


def _forward(images: Features, kernel: Kernel, described: Convolution) -> Features:
    stride, padding = described
    sizes = sizes_after(images.shape[1:3], kernel.shape[:2], stride, padding)
    formulation = forward_formulation(kernel.shape, stride, sizes)
    if formulation == "product":
        return matrix_products.product(images[:, ::stride, ::stride], kernel[0, 0])
    if formulation == "patches":
        return matrix_products.by_patches(images, kernel, stride, padding)
    if formulation == "rows":
        return matrix_products.by_rows(images, kernel, padding)
    return _direct(images, kernel, described)


def _image_gradient(gradient: Features, kernel: Kernel, sizes: tuple[int, ...], described: Convolution) -> Features:
    if described.stride == 2:
        if image_gradient_formulation(kernel.shape, 2, gradient.shape[1:3]) == "phases":
            return matrix_products.image_gradient_by_phases(gradient, kernel, sizes, described.padding)
        return _ImageGradient(described, sizes, kernel.shape[:2]).anywhere(gradient, kernel)[0]
    # At stride 1 this is a convolution with the kernel reversed, and its inputs and outputs exchanged.
    (top, bottom), (left, right) = described.padding
    down, along = kernel.shape[0] - 1, kernel.shape[1] - 1
    padding = (down - top, down - bottom), (along - left, along - right)
    formulation = image_gradient_formulation(kernel.shape, 1, sizes)
    if formulation == "taps":
        return matrix_products.image_gradient_by_taps(gradient, kernel, padding)
    if formulation == "direct":
        # XLA transposes the kernel itself, faster than a separate transposition.
        return _direct(gradient, kernel[::-1, ::-1], Convolution(1, padding), ("NHWC", "HWOI", "NHWC"))
    turned = kernel.transpose(0, 1, 3, 2)
    if formulation == "product":
        return matrix_products.product(gradient, turned[0, 0])
    return matrix_products.by_rows(gradient, turned, padding, backwards=True)


def _direct(
    images: Features, kernel: Kernel, described: Convolution, dimensions: tuple[str, str, str] = CHANNELS_LAST
) -> Features:
    """XLA's convolution. Small maps are padded first: XLA:CPU is slow on maps smaller than the kernel or the output."""
    stride, padding = described
    sizes, taps = images.shape[1:3], kernel.shape[:2]
    after = sizes_after(sizes, taps, stride, padding)
    if any(size < max(needed) for size, *needed in zip(sizes, taps, after, strict=True)):
        images = lax.optimization_barrier(jnp.pad(images, ((0, 0), *padding, (0, 0))))
        padding = (0, 0), (0, 0)
    return lax.conv_general_dilated(images, kernel, (stride, stride), padding, dimension_numbers=dimensions)


def _kernel_gradient(images: Features, gradient: Features, taps: tuple[int, ...], described: Convolution) -> Kernel:
    stride, padding = described
    kernel = (*taps, images.shape[3], gradient.shape[3])
    formulation = kernel_gradient_formulation(kernel, stride, gradient.shape[1:3])
    if formulation == "few channels":
        return matrix_products.kernel_gradient_of_few_channels(images, gradient, taps, stride, padding)
    if formulation == "rows":
        return matrix_products.kernel_gradient_by_rows(images, gradient, taps, padding)
    return matrix_products.kernel_gradient_by_patches(images, gradient, taps, stride, padding)


def forward_formulation(kernel: tuple[int, ...], stride: int, sizes: tuple[int, ...]) -> str:
    """The formulation of y on a CPU; kernel: (rows, columns, in, out); sizes: rows and columns of y."""
    pixels, inputs, outputs = sizes[0] * sizes[1], *kernel[2:]
    if kernel[:2] == (1, 1):
        return "product"  # `_is_served` excludes padding for these.
    if inputs < FEW_CHANNELS:
        return "direct"
    if stride == 2 or pixels <= 4 or (pixels <= SMALL_MAP and inputs >= 512):
        return "patches"
    return "rows" if outputs <= ONE_CORE and pixels >= 1000 else "direct"


def image_gradient_formulation(kernel: tuple[int, ...], stride: int, sizes: tuple[int, ...]) -> str:
    """The formulation of dx on a CPU; sizes: rows and columns of dy at stride 2, of x at stride 1."""
    pixels, inputs = sizes[0] * sizes[1], kernel[2]
    if stride == 2:
        return "phases" if kernel[0] * kernel[1] <= 9 and (pixels <= 4 or pixels >= 400) else "direct"
    if kernel[:2] == (1, 1):
        return "product"
    if pixels <= SMALL_MAP:
        return "taps"
    return "rows" if inputs <= ONE_CORE and kernel[3] >= FEW_CHANNELS and pixels >= 1000 else "direct"


def kernel_gradient_formulation(kernel: tuple[int, ...], stride: int, sizes: tuple[int, ...]) -> str:
    """The formulation of the kernel's gradient on a CPU; sizes: rows and columns of dy."""
    if kernel[2] < FEW_CHANNELS and kernel[0] * kernel[1] > 1:
        return "few channels"
    return "rows" if stride == 1 and sizes[0] * sizes[1] > 16 else "patches"
