"""Batch norm with the statistics that torch keeps, and what stands in its place."""

import math
from typing import cast

import jax
import jax.numpy as jnp
from flax import nnx

from resjax.ops.normalization import at_least_float32, batch_norm
from resjax.types import Features

MOMENTUM = 0.9
"""The share of the old running statistics that stays when a batch is seen; torch calls the rest its momentum."""


class _NoKey:
    """Nothing in a norm is random, but nnx asks for a key all the same; see `resjax.models.layers.LayerKey`."""

    def params(self) -> None:
        return None


class BatchNorm(nnx.BatchNorm):
    """Batch norm (Ioffe and Szegedy 2015), epsilon 1e-5, momentum 0.9 (torch's 0.1).

    The running variance is the unbiased one, as torch keeps it; nnx.BatchNorm keeps the biased one. What comes in
    narrower than float32 is normalized in float32, by float32 statistics, and goes out as it came.

    >>> import jax.numpy as jnp
    >>> norm = BatchNorm(4)
    >>> norm(jnp.ones((2, 8, 8, 4))).shape, norm.mean[...].tolist()
    ((2, 8, 8, 4), [0.10000000149011612, 0.10000000149011612, 0.10000000149011612, 0.10000000149011612])
    """

    def __init__(self, channels: int, *, scale: float = 1.0):
        super().__init__(
            channels,
            momentum=MOMENTUM,
            epsilon=1e-5,
            scale_init=nnx.initializers.constant(scale),
            rngs=cast(nnx.Rngs, _NoKey()),
        )

    def __call__(self, features: Features, use_running_average: bool | None = None) -> Features:
        if self.use_running_average if use_running_average is None else use_running_average:
            return super().__call__(at_least_float32(features), True).astype(features.dtype)
        scale, bias = cast(nnx.Param, self.scale), cast(nnx.Param, self.bias)
        normalized, mean, variance = batch_norm(features, scale[...], bias[...], self.epsilon)
        values = features.size // features.shape[-1]
        seen = {"mean": mean, "var": variance * (values / max(values - 1, 1))}
        for name, new in seen.items():
            statistic = getattr(self, name)
            # `statistic[...] =` would ask a tracer for its sharding, which takes longer the more was traced before.
            statistic.set_value(self.momentum * statistic[...] + (1 - self.momentum) * jax.lax.stop_gradient(new))
        return normalized


class GroupNorm(nnx.GroupNorm):
    """Group norm (Wu and He 2018): 32 groups, fewer where a group would hold fewer than two channels; epsilon 1e-5."""

    def __init__(self, channels: int, *, scale: float = 1.0):
        super().__init__(
            channels,
            num_groups=math.gcd(32, max(channels // 2, 1), channels),
            epsilon=1e-5,
            scale_init=nnx.initializers.constant(scale),
            use_fast_variance=False,
            rngs=cast(nnx.Rngs, _NoKey()),
        )

    def __call__(self, features: Features) -> Features:
        return super().__call__(at_least_float32(features)).astype(features.dtype)


class Bias(nnx.Module):
    """A number for each channel is added, from 0 on: what is left of a norm where nothing is normalized."""

    def __init__(self, channels: int):
        self.bias = nnx.Param(jnp.zeros(channels, jnp.float32))

    def __call__(self, features: Features) -> Features:
        return features + self.bias[...].astype(features.dtype).reshape(1, 1, 1, -1)


class ScalarBias(nnx.Module):
    """One number is added, from 0 on; with `multiplied` the features are multiplied by another, from 1 on, before.

    The scalars of Fixup (Zhang et al. 2019, figure 1).
    """

    def __init__(self, *, multiplied: bool = False):
        self.scale = nnx.Param(jnp.ones((), jnp.float32)) if multiplied else nnx.data(None)
        self.bias = nnx.Param(jnp.zeros((), jnp.float32))

    def __call__(self, features: Features) -> Features:
        if self.scale is not None:
            features = features * self.scale[...].astype(features.dtype)
        return features + self.bias[...].astype(features.dtype)


Norm = BatchNorm | GroupNorm | Bias | ScalarBias
"""What follows a convolution: features (batch, height, width, channel) keep their shape."""


def make_norm(kind: str, channels: int, *, scale: float = 1.0, last: bool = False) -> Norm:
    """What follows a convolution in a network of this normalization.

    Args:
      kind: `batch`, `group`, `none`, `skipinit` or `fixup`, as in `Architecture`.
      channels: number of channels.
      scale: where the factors of batch and group norm start.
      last: whether it ends a branch, where Fixup has a multiplier besides its bias.
    """
    if kind == "batch":
        return BatchNorm(channels, scale=scale)
    if kind == "group":
        return GroupNorm(channels, scale=scale)
    return ScalarBias(multiplied=last) if kind == "fixup" else Bias(channels)
