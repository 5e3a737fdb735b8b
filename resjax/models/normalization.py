"""Batch norm with the statistics that torch keeps."""

import jax
import jax.numpy as jnp
from flax import nnx

from resjax.types import Features


class BatchNorm(nnx.BatchNorm):
    """Batch norm (Ioffe and Szegedy 2015), epsilon 1e-5, momentum 0.9 (torch's 0.1).

    The running variance is the unbiased one, as torch keeps it; nnx.BatchNorm keeps the biased one. What comes in
    narrower than float32 is normalized in float32, by float32 statistics, and goes out as it came.
    """

    def __init__(self, channels: int, *, scale: float = 1.0):
        super().__init__(
            channels,
            momentum=0.9,
            epsilon=1e-5,
            scale_init=nnx.initializers.constant(scale),
            # Nothing here is random; nnx asks for generators all the same.
            rngs=nnx.Rngs(0),
        )

    def __call__(self, features: Features, use_running_average: bool | None = None) -> Features:
        before = self.var[...]
        wide = features.astype(jnp.float32) if features.dtype.itemsize < 4 else features
        normalized = super().__call__(wide, use_running_average)
        if not (self.use_running_average if use_running_average is None else use_running_average):
            # nnx has just mixed in the biased variance v; n / (n - 1) of that share makes it unbiased.
            values = features.size // features.shape[-1]
            mixed_in = self.var[...] - self.momentum * before
            self.var[...] = self.var[...] + jax.lax.stop_gradient(mixed_in) / max(values - 1, 1)
        return normalized.astype(features.dtype)
