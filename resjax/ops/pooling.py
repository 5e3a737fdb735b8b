"""The max pool of a ResNet's stem, with a gradient that is fast on a CPU."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Int8

from resjax.errors import BadInput
from resjax.ops.operation import Operation
from resjax.types import Features

WINDOW, STRIDE, PAD = 3, 2, 1

Places = Int8[Array, "batch height width channel"]
"""Which of a window's nine pixels is the largest, the first of equal ones."""


def _xla(features: Features) -> Features:
    padding = ((PAD, PAD), (PAD, PAD))
    return nnx.max_pool(features, (WINDOW, WINDOW), (STRIDE, STRIDE), padding)  # pyright: ignore[reportArgumentType]


def max_pool(features: Features) -> Features:
    """Max pool over 3 x 3 pixels with stride 2 and padding 1: (batch, height, width, channel), height and width halved.

    Equal to `flax.nnx.max_pool(features, (3, 3), (2, 2), ((1, 1), (1, 1)))`, also in ties: the first of equal pixels,
    row by row, gets the gradient.

    >>> import jax.numpy as jnp
    >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]

    Raises:
      BadInput: for features without four axes.
    """
    if jnp.ndim(features) != 4:
        raise BadInput(f"features of shape {jnp.shape(features)}: expected (batch, height, width, channel)")
    return _Largest()(features)[0]


@dataclass(frozen=True)
class _Largest(Operation):
    """The maximum and its place. On a CPU the gradient uses the place, elsewhere it finds it again."""

    def anywhere(self, features: Features) -> tuple[Features, Places]:
        largest = _xla(features)
        return largest, jnp.zeros(largest.shape, jnp.int8)

    def on_cpu(self, features: Features) -> tuple[Features, Places]:
        return _largest(features)

    def tangent(self) -> tuple[Operation, tuple[int, ...]]:
        return _Select(), (0, 2, 3)


@dataclass(frozen=True)
class _Select(Operation):
    """The tangent: that of the largest pixel. Its place jumps, so it has no derivative by the features."""

    groups = ((2,),)

    def anywhere(self, features: Features, first: Places, moved: Features) -> tuple[Features]:
        return (_select(_largest(lax.stop_gradient(features))[1], moved),)

    def on_cpu(self, features: Features, first: Places, moved: Features) -> tuple[Features]:
        return (_select(first, moved),)

    def transposed(self, group: int) -> tuple[Operation, tuple[int, ...]]:
        return _Spread(), (0, 1, 3)


@dataclass(frozen=True)
class _Spread(Operation):
    """The gradient: to the largest pixel."""

    groups = ((2,),)

    def anywhere(self, features: Features, first: Places, gradient: Features) -> tuple[Features]:
        return jax.vjp(_xla, lax.stop_gradient(features))[1](gradient)

    def on_cpu(self, features: Features, first: Places, gradient: Features) -> tuple[Features]:
        return (_spread(first, gradient, features.shape[1:3]),)

    def transposed(self, group: int) -> tuple[Operation, tuple[int, ...]]:
        return _Select(), (0, 1, 3)


def _slices(features: Features, padding: float) -> Iterator[Features]:
    """The nine pixels of each window, row by row: (batch, height / 2, width / 2, channel) each, rounded up."""
    rows, columns = (-(-size // STRIDE) for size in features.shape[1:3])
    pad = jnp.asarray(padding, features.dtype)
    padded = lax.pad(features, pad, ((0, 0, 0), (PAD, PAD, 0), (PAD, PAD, 0), (0, 0, 0)))
    for row in range(WINDOW):
        for column in range(WINDOW):
            yield padded[:, row : row + STRIDE * rows - 1 : STRIDE, column : column + STRIDE * columns - 1 : STRIDE]


def _largest(features: Features) -> tuple[Features, Places]:
    """The maximum of the nine strided slices, and the number of the slice that holds it."""
    best, *others = _slices(features, -jnp.inf)
    first = jnp.zeros(best.shape, jnp.int8)
    for tap, seen in enumerate(others, 1):
        # A NaN is larger than everything, as in XLA's max pool.
        larger = (seen > best) | (seen != seen) & (best == best)
        best, first = jnp.where(larger, seen, best), jnp.where(larger, jnp.int8(tap), first)
    return best, first


def _select(first: Places, moved: Features) -> Features:
    """The tangent of the slice that holds the maximum."""
    nothing = jnp.zeros((), moved.dtype)
    return reduce(jnp.add, [jnp.where(first == tap, seen, nothing) for tap, seen in enumerate(_slices(moved, 0.0))])


def _spread(first: Places, gradient: Features, sizes: tuple[int, ...]) -> Features:
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
