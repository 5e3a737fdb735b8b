"""The max pool of a ResNet's stem, with a gradient that is fast on a CPU."""

from functools import reduce

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Int8

from resjax.types import Features

WINDOW, STRIDE, PAD = 3, 2, 1


def _xla(features: Features) -> Features:
    padding = ((PAD, PAD), (PAD, PAD))
    return nnx.max_pool(features, (WINDOW, WINDOW), (STRIDE, STRIDE), padding)  # pyright: ignore[reportArgumentType]


@jax.custom_vjp
def max_pool(features: Features) -> Features:
    """Max pool over 3 x 3 pixels with stride 2 and padding 1: (batch, height, width, channel), height and width halved.

    Equal to `flax.nnx.max_pool(features, (3, 3), (2, 2), ((1, 1), (1, 1)))`, also in ties: the first of equal pixels,
    row by row, gets the gradient.

    >>> import jax.numpy as jnp
    >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    return lax.platform_dependent(features, cpu=lambda features: _largest(features)[0], default=_xla)


def _forward_rule(features: Features) -> tuple[Features, tuple[Features, Int8[Array, "batch height width channel"]]]:
    def xla(features: Features) -> tuple[Features, Array]:
        largest = _xla(features)
        return largest, jnp.zeros(largest.shape, jnp.int8)

    largest, first = lax.platform_dependent(features, cpu=_largest, default=xla)
    return largest, (features, first)


def _backward_rule(
    residuals: tuple[Features, Int8[Array, "batch height width channel"]], gradient: Features
) -> tuple[Features]:
    def xla(features: Features, first: Array, gradient: Features) -> Features:
        return jax.vjp(_xla, features)[1](gradient)[0]

    def ours(features: Features, first: Array, gradient: Features) -> Features:
        return _spread(first, gradient, features.shape[1:3])

    return (lax.platform_dependent(*residuals, gradient, cpu=ours, default=xla),)


max_pool.defvjp(_forward_rule, _backward_rule)


def _largest(features: Features) -> tuple[Features, Int8[Array, "batch height width channel"]]:
    """The maximum of the nine strided slices, and the number of the slice that holds it."""
    rows, columns = (-(-size // STRIDE) for size in features.shape[1:3])
    low = jnp.asarray(-jnp.inf, features.dtype)
    padded = lax.pad(features, low, ((0, 0, 0), (PAD, PAD, 0), (PAD, PAD, 0), (0, 0, 0)))

    def slice_at(tap: int) -> Features:
        row, column = divmod(tap, WINDOW)
        return padded[:, row : row + STRIDE * rows - 1 : STRIDE, column : column + STRIDE * columns - 1 : STRIDE]

    best = slice_at(0)
    first = jnp.zeros(best.shape, jnp.int8)
    for tap in range(1, WINDOW * WINDOW):
        seen = slice_at(tap)
        # A NaN is larger than everything, as in XLA's max pool.
        larger = (seen > best) | (seen != seen) & (best == best)
        best, first = jnp.where(larger, seen, best), jnp.where(larger, jnp.int8(tap), first)
    return best, first


def _spread(first: Int8[Array, "batch height width channel"], gradient: Features, sizes: tuple[int, ...]) -> Features:
    """The gradient of each place at its largest pixel, computed for even and odd rows and columns apart.

    Pixel 2a is the middle pixel of place a only; pixel 2a + 1 is the last of place a and the first of place a + 1.
    """
    ends = ((0, 0), (0, 1), (0, 1), (0, 0))
    gradient, first = jnp.pad(gradient, ends), jnp.pad(first, ends, constant_values=-1)
    rows, columns = (size - 1 for size in first.shape[1:3])
    seen_by = ([(1, 0)], [(2, 0), (0, 1)])

    def phase(down: list[tuple[int, int]], right: list[tuple[int, int]]) -> Features:
        parts = []
        for row, top in down:
            for column, left in right:
                place = (slice(None), slice(top, top + rows), slice(left, left + columns))
                is_largest = first[place] == WINDOW * row + column
                parts.append(jnp.where(is_largest, gradient[place], jnp.zeros((), gradient.dtype)))
        return reduce(jnp.add, parts)

    lines = [jnp.stack([phase(down, right) for right in seen_by], 3) for down in seen_by]
    spread = jnp.stack(lines, 2).reshape(len(gradient), STRIDE * rows, STRIDE * columns, -1)
    return spread[:, : sizes[0], : sizes[1]]
