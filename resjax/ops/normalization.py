"""Batch norm by the batch's own statistics, with a gradient that needs only two sums."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from resjax.types import Features

PerChannel = Float[Array, " channel"]
Results = tuple[Features, PerChannel, PerChannel]


@jax.custom_vjp
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

    >>> import jax.numpy as jnp
    >>> normalized, mean, variance = batch_norm(jnp.array([1.0, 3.0]).reshape(2, 1, 1, 1), jnp.ones(1), jnp.zeros(1))
    >>> mean.tolist(), variance.tolist()
    ([2.0], [1.0])
    """
    return _forward_rule(features, scale, bias, epsilon)[0]


# Both rules under jit, so that layers with the same shape are traced and lowered once.
@jax.jit
def _forward_rule(features: Features, scale: PerChannel, bias: PerChannel, epsilon: float) -> tuple[Results, tuple]:
    count = features.size // features.shape[-1]
    numbers = at_least_float32(features)
    mean = numbers.sum((0, 1, 2)) / count
    variance = jnp.maximum((numbers * numbers).sum((0, 1, 2)) / count - mean * mean, 0.0)
    inverse = lax.rsqrt(variance + epsilon)
    normalized = (numbers - _per_pixel(mean)) * _per_pixel(inverse * scale) + _per_pixel(bias)
    return (normalized.astype(features.dtype), mean, variance), (features, mean, inverse, scale)


@jax.jit
def _backward_rule(residuals: tuple, gradients: Results) -> tuple[Features, PerChannel, PerChannel, None]:
    features, mean, inverse, scale = residuals
    gradient, of_mean, of_variance = gradients
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
    return of_features.astype(features.dtype), of_scale, of_bias, None


batch_norm.defvjp(_forward_rule, _backward_rule)


def _per_pixel(per_channel: PerChannel) -> Float[Array, "1 1 1 channel"]:
    return per_channel.reshape(1, 1, 1, -1)


def at_least_float32(features: Features) -> Features:
    """The features in float32 if their dtype is narrower, otherwise unchanged."""
    return features.astype(jnp.float32) if features.dtype.itemsize < 4 else features
