"""Batch norm by the batch's own statistics, with a gradient that needs only two sums."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from resjax.errors import BadInput
from resjax.ops.operation import Operation
from resjax.types import Features

PerChannel = Float[Array, " channel"]
Results = tuple[Features, PerChannel, PerChannel]


def batch_norm(features: Features, scale: PerChannel, bias: PerChannel, epsilon: float = 1e-5) -> Results:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, with the mean and biased variance of each channel.

    Ioffe and Szegedy 2015, algorithm 1, over batch, height and width. The variance is E[x^2] - mean^2 as in Flax, at
    least 0. Dtypes narrower than float32 are normalized in float32, and the result has the dtype of `features`. The
    gradient (section 3 of the paper) is written with the sums of dy and dy * (x - mean) alone, so XLA fuses the
    gradient of a following relu into these sums, and only x is kept in memory.

    Args:
      features: (batch, height, width, channel).
      scale, bias: (channel,).

    Returns:
      The normalized features, and mean and variance, (channel,), in at least float32.

    Raises:
      BadInput: for features without four axes, and for a scale or bias of another shape than (channel,).

    >>> import jax.numpy as jnp
    >>> normalized, mean, variance = batch_norm(jnp.array([1.0, 3.0]).reshape(2, 1, 1, 1), jnp.ones(1), jnp.zeros(1))
    >>> mean.tolist(), variance.tolist()
    ([2.0], [1.0])
    """
    if jnp.ndim(features) != 4:
        raise BadInput(f"features of shape {jnp.shape(features)}: expected (batch, height, width, channel)")
    for name, values in (("scale", scale), ("bias", bias)):
        if jnp.shape(values) != features.shape[-1:]:
            raise BadInput(f"{name} of shape {jnp.shape(values)}: expected {features.shape[-1:]}, one for each channel")
    return _batch_norm(features, scale, bias, epsilon)


@partial(jax.custom_jvp, nondiff_argnums=(3,))
def _batch_norm(features: Features, scale: PerChannel, bias: PerChannel, epsilon: float) -> Results:
    return _normalize(features, scale, bias, epsilon)[0]


# Under jit, so that layers with the same shapes are traced and lowered once.
@jax.jit
def _normalize(features: Features, scale: PerChannel, bias: PerChannel, epsilon: float) -> tuple[Results, tuple]:
    count = features.size // features.shape[-1]
    numbers = at_least_float32(features)
    mean = numbers.sum((0, 1, 2)) / count
    variance = jnp.maximum((numbers * numbers).sum((0, 1, 2)) / count - mean * mean, 0.0)
    inverse = lax.rsqrt(variance + epsilon)
    normalized = (numbers - _per_pixel(mean)) * _per_pixel(inverse * scale) + _per_pixel(bias)
    return (normalized.astype(features.dtype), mean, variance), (features, mean, inverse, scale)


@_batch_norm.defjvp
def _jvp_rule(epsilon: float, primals: tuple, tangents: tuple) -> tuple[Results, tuple[Array, ...]]:
    results, residuals = _normalize(*primals, epsilon)
    return results, _Tangent()(*residuals, *tangents)


@dataclass(frozen=True)
class _Tangent(Operation):
    """The tangents of the results, linear in those of features, scale and bias."""

    groups = ((4, 5, 6),)

    def anywhere(
        self,
        features: Features,
        mean: PerChannel,
        inverse: PerChannel,
        scale: PerChannel,
        of_features: Features,
        of_scale: PerChannel,
        of_bias: PerChannel,
    ) -> Results:
        count = features.size // features.shape[-1]
        centred, moved = at_least_float32(features) - _per_pixel(mean), at_least_float32(of_features)
        of_mean = moved.sum((0, 1, 2)) / count
        of_variance = 2 * (moved * centred).sum((0, 1, 2)) / count
        of_factor = inverse * of_scale - scale * inverse**3 * of_variance / 2
        moved = (moved - _per_pixel(of_mean)) * _per_pixel(inverse * scale)
        moved = moved + centred * _per_pixel(of_factor) + _per_pixel(of_bias)
        return moved.astype(features.dtype), of_mean, of_variance

    def transposed(self, group: int) -> tuple[Operation, tuple[int, ...]]:
        return _Gradient(), (0, 1, 2, 3, 7, 8, 9)


@dataclass(frozen=True)
class _Gradient(Operation):
    """The gradients by features, scale and bias, linear in those by the results."""

    groups = ((4, 5, 6),)

    def anywhere(
        self,
        features: Features,
        mean: PerChannel,
        inverse: PerChannel,
        scale: PerChannel,
        gradient: Features,
        of_mean: PerChannel,
        of_variance: PerChannel,
    ) -> tuple[Features, PerChannel, PerChannel]:
        count = features.size // features.shape[-1]
        # Centred before the sum: sum(dy x) - mean sum(dy) would cancel where the mean is large.
        centred, gradient = at_least_float32(features) - _per_pixel(mean), at_least_float32(gradient)
        of_bias = gradient.sum((0, 1, 2))
        of_scale = (gradient * centred).sum((0, 1, 2)) * inverse
        # dx = a dy + b (x - mean) + c with a, b and c for each channel.
        factor = scale * inverse
        slope = (2 * of_variance - factor * inverse * of_scale) / count
        constant = (of_mean - factor * of_bias) / count
        of_features = gradient * _per_pixel(factor) + centred * _per_pixel(slope) + _per_pixel(constant)
        return of_features.astype(features.dtype), of_scale, of_bias

    def transposed(self, group: int) -> tuple[Operation, tuple[int, ...]]:
        return _Tangent(), (0, 1, 2, 3, 7, 8, 9)


def _per_pixel(per_channel: PerChannel) -> Float[Array, "1 1 1 channel"]:
    return per_channel.reshape(1, 1, 1, -1)


def at_least_float32(features: Features) -> Features:
    """The features in float32 if their dtype is narrower, otherwise unchanged."""
    return features.astype(jnp.float32) if features.dtype.itemsize < 4 else features
