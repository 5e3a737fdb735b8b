"""Which matrix product computes a convolution or a gradient on a CPU without oneDNN; chosen by measurement.

XLA's convolution (jaxlib 0.10) uses one core for 64 outputs or fewer, leaves its fast path where the map is smaller
than the kernel, and takes two to ten times as long as a matrix product for the gradient of the kernel. Shapes are those
of `matrix_products`.
"""

import jax.numpy as jnp
from jax import lax

from resjax.ops import matrix_products
from resjax.ops.matrix_products import Kernel, Padding, sizes_after
from resjax.types import Features

CHANNELS_LAST = ("NHWC", "HWIO", "NHWC")
FEW_CHANNELS = 16
"""With fewer channels, patches are too narrow to be written fast, and XLA's convolution is used. Stems are an
exception: they have their own formulation of the kernel's gradient."""
ONE_CORE = 64
"""XLA:CPU's convolution uses only one core for up to this many outputs."""
SMALL_MAP = 49
"""Up to this many pixels a kernel with many channels is larger than the images."""


def serves(images: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: Padding) -> bool:
    """Whether there are matrix products for these shapes, in float32."""
    within = all(0 <= pad < taps for taps, pads in zip(kernel, padding, strict=False) for pad in pads)
    sizes = sizes_after(images[1:3], kernel[:2], stride, padding)
    fits = 0 not in images + kernel and min(sizes) > 0
    is_stem = kernel[0] >= 7
    wide = kernel[3] >= FEW_CHANNELS and (kernel[2] >= FEW_CHANNELS or is_stem)
    return wide and fits and within and stride in (1, 2)


def forward(images: Features, kernel: Kernel, stride: int, padding: Padding) -> Features:
    """y of images and kernel."""
    sizes = sizes_after(images.shape[1:3], kernel.shape[:2], stride, padding)
    formulation = forward_formulation(kernel.shape, stride, sizes)
    if formulation == "product":
        return matrix_products.product(images[:, ::stride, ::stride], kernel[0, 0])
    if formulation == "patches":
        return matrix_products.by_patches(images, kernel, stride, padding)
    if formulation == "rows":
        return matrix_products.by_rows(images, kernel, padding)
    return _direct(images, kernel, stride, padding)


def image_gradient(
    gradient: Features, kernel: Kernel, sizes: tuple[int, ...], stride: int, padding: Padding
) -> Features | None:
    """dx of dy and kernel; None where XLA's own is the fastest."""
    if stride == 2:
        if image_gradient_formulation(kernel.shape, 2, gradient.shape[1:3]) == "phases":
            return matrix_products.image_gradient_by_phases(gradient, kernel, sizes, padding)
        return None
    # At stride 1 this is a convolution with the kernel reversed, and its inputs and outputs exchanged.
    (top, bottom), (left, right) = padding
    down, along = kernel.shape[0] - 1, kernel.shape[1] - 1
    padding = (down - top, down - bottom), (along - left, along - right)
    formulation = image_gradient_formulation(kernel.shape, 1, sizes)
    if formulation == "taps":
        return matrix_products.image_gradient_by_taps(gradient, kernel, padding)
    if formulation == "direct":
        # XLA transposes the kernel itself, faster than a separate transposition.
        return _direct(gradient, kernel[::-1, ::-1], 1, padding, ("NHWC", "HWOI", "NHWC"))
    turned = kernel.transpose(0, 1, 3, 2)
    if formulation == "product":
        return matrix_products.product(gradient, turned[0, 0])
    return matrix_products.by_rows(gradient, turned, padding, backwards=True)


def _direct(
    images: Features,
    kernel: Kernel,
    stride: int,
    padding: Padding,
    dimensions: tuple[str, str, str] = CHANNELS_LAST,
) -> Features:
    """XLA's convolution. Small maps are padded first: XLA:CPU is slow on maps smaller than the kernel or the output."""
    sizes, taps = images.shape[1:3], kernel.shape[:2]
    after = sizes_after(sizes, taps, stride, padding)
    if any(size < max(needed) for size, *needed in zip(sizes, taps, after, strict=True)):
        images = lax.optimization_barrier(jnp.pad(images, ((0, 0), *padding, (0, 0))))
        padding = (0, 0), (0, 0)
    return lax.conv_general_dilated(images, kernel, (stride, stride), padding, dimension_numbers=dimensions)


def kernel_gradient(
    images: Features, gradient: Features, taps: tuple[int, ...], stride: int, padding: Padding
) -> Kernel:
    """dk of images and dy."""
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
        return "product"  # `serves` excludes padding for these.
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
