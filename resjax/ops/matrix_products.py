"""Convolutions and their gradients as matrix products, for CPUs.

XLA's matrix product runs near the peak of all cores for any size; its convolution does not. Pixels are written side by
side so that one product does the work of several taps, for a few images at a time, so that they stay in the cache.
Shapes: images (batch, row, column, in), kernels (kernel row, kernel column, in, out); padding ((above, below), (left,
right)).
"""

from collections.abc import Callable
from functools import reduce

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from resjax.types import Features

Kernel = Float[Array, "kernel_row kernel_column in out"]
Padding = tuple[tuple[int, int], tuple[int, int]]

CACHED = 200_000
"""The numbers that the images of one chunk may hold. With their patches they stay in a core's second-level cache.
Chosen by measurement between 50,000 and 800,000."""
PATCHES_SHARE = 8
"""Patches may be this many times larger, because they are needed only once."""


def sizes_after(sizes: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: Padding) -> tuple[int, ...]:
    """Rows and columns of the output of a convolution."""
    pairs = zip(sizes, kernel, padding, strict=True)
    return tuple((size + sum(pads) - taps) // stride + 1 for size, taps, pads in pairs)


def in_chunks(
    function: Callable[..., Array], arrays: tuple[Array, ...], per_image: int, *, summed: bool = False
) -> Array:
    """Applies `function` to a few images at a time; joins the results along the batch, or sums them.

    A chunk has the largest number of images that divides the batch and keeps `per_image` numbers per image within
    `CACHED`; at least one.
    """
    batch = len(arrays[0])
    images = max(n for n in range(1, batch + 1) if batch % n == 0 and (n == 1 or n * per_image <= CACHED))
    if images == batch:
        return function(*arrays)
    chunks = tuple(array.reshape(-1, images, *array.shape[1:]) for array in arrays)
    if summed:
        shape = jax.eval_shape(function, *(chunk[0] for chunk in chunks))
        return lax.scan(lambda sums, one: (sums + function(*one), None), jnp.zeros(shape.shape, shape.dtype), chunks)[0]
    joined = lax.map(lambda one: function(*one), chunks)
    return joined.reshape(batch, *joined.shape[2:])


def written_out(array: Array) -> Array:
    """Forces XLA to write the array to memory before it is used.

    If XLA:CPU fuses a computation with a transposition, a slice or a reshape, it runs at a tenth of the speed. And a
    result that several products use would be computed once for each of them.
    """
    return lax.optimization_barrier(array)


def turned(array: Array, *order: int) -> Array:
    """`jnp.transpose(array, order)`, not fused with anything."""
    return written_out(written_out(array).transpose(order))


def beside(shifted: list[Array]) -> Array:
    """Joins arrays of (..., channel) to one of (..., array * channel), written to memory."""
    if len(shifted) == 1:
        return shifted[0]
    joined = written_out(jnp.stack(shifted, -2))
    return joined.reshape(*joined.shape[:-2], -1)


def columns_beside(
    images: Features, taps: int, padding: Padding, *, backwards: bool = False
) -> Float[Array, "batch row column taps_in"]:
    """Each pixel joined with the `taps` - 1 pixels to its right, or in reverse order; rows keep their padding."""
    padded = jnp.pad(images, ((0, 0), *padding, (0, 0)))
    columns = padded.shape[2] - taps + 1
    order = range(taps)[::-1] if backwards else range(taps)
    return beside([padded[:, :, tap : tap + columns] for tap in order])


def patches_beside(
    images: Features,
    kernel: tuple[int, ...],
    stride: int | tuple[int, int],
    padding: Padding,
    *,
    backwards: bool = False,
) -> Float[Array, "batch row column taps_in"]:
    """All pixels under the kernel at each place side by side (im2col), or in reverse order."""
    down, right = (stride, stride) if isinstance(stride, int) else stride
    padded = jnp.pad(images, ((0, 0), *padding, (0, 0)))
    last_row, last_column = padded.shape[1] - kernel[0], padded.shape[2] - kernel[1]
    taps = [(row, column) for row in range(kernel[0]) for column in range(kernel[1])]
    order = taps[::-1] if backwards else taps
    return beside(
        [padded[:, row : row + last_row + 1 : down, column : column + last_column + 1 : right] for row, column in order]
    )


def product(pixels: Float[Array, "batch row column in"], matrix: Float[Array, "in out"]) -> Features:
    """The 1x1 convolution: one matrix product over all pixels."""
    return (pixels.reshape(-1, pixels.shape[-1]) @ matrix).reshape(*pixels.shape[:-1], -1)


def product_over_pixels(
    left: Float[Array, "batch row column out"], right: Float[Array, "batch row column in"]
) -> Float[Array, "out in"]:
    """sum over pixels of left[pixel, out] * right[pixel, in]."""
    # XLA:CPU multiplies a transposed left matrix at a third of the speed.
    return turned(left.reshape(-1, left.shape[-1]), 1, 0) @ right.reshape(-1, right.shape[-1])


def by_patches(images: Features, kernel: Kernel, stride: int, padding: Padding, *, backwards: bool = False) -> Features:
    """y[place, o] = sum over t of patch[place, t] * kernel[t, o]: one product, of nine times the pixels for a 3x3.

    `backwards` uses the taps of the kernel in reverse order, without moving it in memory.
    """
    matrix = kernel.reshape(-1, kernel.shape[-1])
    rows, columns = sizes_after(images.shape[1:3], kernel.shape[:2], stride, padding)

    def convolve(images: Features) -> Features:
        return product(patches_beside(images, kernel.shape[:2], stride, padding, backwards=backwards), matrix)

    return in_chunks(convolve, (images,), rows * columns * len(matrix) // PATCHES_SHARE)


def by_rows(images: Features, kernel: Kernel, padding: Padding, *, backwards: bool = False) -> Features:
    """y[row, column, o] = sum over i of x[row + i, column : column + taps] * kernel[i]: one product per kernel row.

    `backwards` as for `by_patches`.
    """
    taps = kernel.shape[:2]
    rows = sizes_after(images.shape[1:3], taps, 1, padding)[0]
    matrices = kernel.reshape(taps[0], -1, kernel.shape[-1])
    matrices = [*matrices][::-1] if backwards else [*matrices]

    def convolve(images: Features) -> Features:
        laid = columns_beside(images, taps[1], padding, backwards=backwards)
        seen = [written_out(laid[:, row : row + rows]) for row in range(taps[0])]
        return reduce(jnp.add, [product(pixels, matrix) for pixels, matrix in zip(seen, matrices, strict=True)])

    return in_chunks(convolve, (images,), images[0].size)


def image_gradient_by_taps(gradient: Features, kernel: Kernel, padding: Padding) -> Features:
    """dx[pixel, c] = sum over taps t of dy[pixel - t, o] * kernel[t, c, o]: one product per tap, at stride 1.

    The kernel is not transposed, which matters for small maps, where it is larger than the images. The padding is that
    of dy.
    """
    rows, columns = sizes_after(gradient.shape[1:3], kernel.shape[:2], 1, padding)
    padded = jnp.pad(gradient, ((0, 0), *padding, (0, 0)))

    def of_tap(row: int, column: int) -> Float[Array, "pixel in"]:
        seen = padded[:, row : row + rows, column : column + columns].reshape(-1, kernel.shape[3])
        return lax.dot_general(seen, kernel[-1 - row, -1 - column], (((1,), (1,)), ((), ())))

    products = [of_tap(row, column) for row in range(kernel.shape[0]) for column in range(kernel.shape[1])]
    return reduce(jnp.add, products).reshape(len(gradient), rows, columns, -1)


def kernel_gradient_by_rows(images: Features, gradient: Features, kernel: tuple[int, ...], padding: Padding) -> Kernel:
    """dk[i, j, c, o] = sum over pixels of x[row + i, column + j, c] * dy[row, column, o], at stride 1.

    The transposed gradient times the pixels of all kernel columns side by side, once for each kernel row.
    """
    rows, outputs = gradient.shape[1], gradient.shape[-1]

    def sums(images: Features, gradient: Features) -> Float[Array, "kernel_row out taps_in"]:
        laid = columns_beside(images, kernel[1], padding)
        left = turned(gradient.reshape(-1, outputs), 1, 0)
        seen = (written_out(laid[:, row : row + rows]) for row in range(kernel[0]))
        return jnp.stack([left @ pixels.reshape(-1, pixels.shape[-1]) for pixels in seen])

    summed = in_chunks(sums, (images, gradient), images[0].size, summed=True)
    return turned(summed, 0, 2, 1).reshape(*kernel, -1, outputs)


def kernel_gradient_by_patches(
    images: Features, gradient: Features, kernel: tuple[int, ...], stride: int, padding: Padding
) -> Kernel:
    """The same for any stride: one product for all taps, with the smaller of patches and gradient transposed."""
    outputs, channels = gradient.shape[-1], images.shape[-1]
    few = gradient[..., 0].size < outputs

    def sums(images: Features, gradient: Features) -> Array:
        patches = patches_beside(images, kernel, stride, padding)
        return product_over_pixels(patches, gradient) if few else product_over_pixels(gradient, patches)

    per_image = gradient[0, ..., 0].size * kernel[0] * kernel[1] * channels
    summed = in_chunks(sums, (images, gradient), per_image // PATCHES_SHARE, summed=True)
    return (summed if few else turned(summed, 1, 0)).reshape(*kernel, channels, outputs)


def kernel_gradient_of_few_channels(
    images: Features, gradient: Features, kernel: tuple[int, ...], stride: int, padding: Padding, places: int = 4
) -> Kernel:
    """The same for a stem, whose patches are too narrow: `places` neighbours in a row are joined.

    Together they cover kernel columns + stride * (places - 1) pixels, in whole groups of stride * places pixels. The
    sums for the taps of a place lie `stride` columns further right than those of the place before; they are added up at
    the end.
    """
    channels, outputs, rows = images.shape[-1], gradient.shape[-1], gradient.shape[1]
    group = stride * places
    groups = -(-gradient.shape[2] // places)
    seen = -(-(kernel[1] + stride * (places - 1)) // group)
    width = (groups + seen - 1) * group
    left = padding[1][0]
    # Pixels on the right that no place covers are cut off; missing places get zeros.
    images = images[:, :, : width - left]
    images = jnp.pad(images, ((0, 0), padding[0], (left, width - left - images.shape[2]), (0, 0)))
    gradient = jnp.pad(gradient, ((0, 0), (0, 0), (0, groups * places - gradient.shape[2]), (0, 0)))

    def sums(images: Features, gradient: Features) -> Float[Array, "taps_in place_out"]:
        grouped = images.reshape(*images.shape[:2], -1, group * channels)
        laid = patches_beside(grouped, (kernel[0], seen), (stride, 1), ((0, 0), (0, 0)))[:, :rows]
        return product_over_pixels(laid, gradient.reshape(*gradient.shape[:2], groups, places * outputs))

    per_image = rows * groups * kernel[0] * seen * group * channels
    summed = in_chunks(sums, (images, gradient), per_image // PATCHES_SHARE, summed=True)
    taps = summed.reshape(kernel[0], seen * group, channels, places, outputs)
    return reduce(jnp.add, [taps[:, stride * at : stride * at + kernel[1], :, at] for at in range(places)])


def image_gradient_by_phases(gradient: Features, kernel: Kernel, sizes: tuple[int, ...], padding: Padding) -> Features:
    """dx at stride 2, with even and odd rows and columns apart: dx[2a + r, 2b + s] needs only some taps of the kernel.

    x[2a + r] is tap i of place a + d where 2 d = r + pad - i. So phase (r, s) is a product of dy, shifted by (d, e) and
    joined, with those taps. No multiplication with the zeros between the places is needed.
    """
    taps = [
        [
            [(tap, (phase + pads[0] - tap) // 2) for tap in range(count) if (phase + pads[0] - tap) % 2 == 0]
            for phase in (0, 1)
        ]
        for count, pads in zip(kernel.shape[:2], padding, strict=True)
    ]
    halves = tuple(-(-size // 2) for size in sizes)
    shifts = [shift for axis in taps for phase in axis for _, shift in phase]
    low, high = min(shifts), max(shifts)
    channels = kernel.shape[2]
    turned_kernel = turned(kernel, 0, 1, 3, 2)

    def spread(gradient: Features) -> Features:
        margins = [(-low, max(half + high - size, 0)) for half, size in zip(halves, gradient.shape[1:3], strict=True)]
        padded = jnp.pad(gradient, ((0, 0), *margins, (0, 0)))

        def phase(rows: list[tuple[int, int]], columns: list[tuple[int, int]]) -> Features:
            pairs = [(row, column) for row in rows for column in columns]
            if not pairs:
                return jnp.zeros((len(gradient), *halves, channels), gradient.dtype)
            starts = [(down - low, right - low) for (_, down), (_, right) in pairs]
            shifted = [padded[:, top : top + halves[0], at : at + halves[1]] for top, at in starts]
            matrix = jnp.concatenate([turned_kernel[row, column] for (row, _), (column, _) in pairs])
            return product(beside(shifted), matrix)

        rows = [jnp.stack([phase(down, right) for right in taps[1]], 3) for down in taps[0]]
        spread = jnp.stack(rows, 2).reshape(len(gradient), 2 * halves[0], 2 * halves[1], channels)
        return spread[:, : sizes[0], : sizes[1]]

    return in_chunks(spread, (gradient,), sizes[0] * sizes[1] * channels)
