"""Convolutions and squeeze-and-excitation, and the initial numbers of their kernels."""

import math
import zlib
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn import dtypes
from jaxtyping import Array, Float

from resjax.ops import conv_general_dilated
from resjax.types import Features, PRNGKey

LEAST_SQUEEZED = 8
"""Channels that squeeze-and-excitation keeps at least, as timm does: a gate of one or two would often be dead."""


PRNG = "threefry2x32"
"""How the keys that we make ourselves draw their bits. They name it, because JAX takes the implementation of other keys
from a setting of the user's environment (JAX_DEFAULT_PRNG_IMPL), and another one draws other numbers."""


def key_of_seed(seed: int) -> PRNGKey:
    """The key of a seed: the same draws whatever JAX's default implementation is.

    >>> jax.random.key_impl(key_of_seed(0))
    'threefry2x32'
    """
    return jax.random.key(seed, impl=PRNG)


def layer_key(key: PRNGKey, name: str) -> PRNGKey:
    """The key of the layer called `name`: twins draw the same numbers for the layers that both have."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


class LayerKey:
    """What nnx's layers take as `rngs`: it hands out the one key that a layer draws its kernel with.

    nnx.Rngs would count its uses in a Variable, and tracing such a count takes time that grows with the square of the
    network's depth. The key is the one that nnx.Rngs would give first, so the numbers are the same.
    """

    def __init__(self, key: PRNGKey):
        self._key = key

    def params(self) -> PRNGKey:
        return jax.random.fold_in(self._key, 0)


def he_normal(key: PRNGKey, shape: tuple[int, ...], dtype: jnp.dtype) -> Float[Array, "*window in out"]:
    """Kernels of variance 2 / fan-out, not truncated (He et al. 2015, "Delving deep")."""
    # Drawn flat: the numbers are the same, and XLA compiles it in a tenth of the time.
    numbers = jax.random.normal(key, (math.prod(shape),), dtype).reshape(shape)
    fan_out = math.prod(shape[:-2]) * shape[-1]
    return numbers * jnp.sqrt(jnp.asarray(2 / fan_out, dtype))


def standardize_kernel(kernel: Float[Array, "row column in out"]) -> Float[Array, "row column in out"]:
    """Each output channel's weights less their mean, divided by their deviation and by the root of their number.

    Weight standardization (Qiao et al. 2019), with the root so that variances are kept (Brock et al. 2021, section 3):
    before a norm it changes nothing, before an addition it does.
    """
    fan_in = math.prod(kernel.shape[:3])
    centred = kernel - kernel.mean((0, 1, 2), keepdims=True)
    return centred * jax.lax.rsqrt(fan_in * jnp.square(centred).mean((0, 1, 2), keepdims=True) + 1e-6)


def _standardize_and_promote(arrays: tuple, dtype: jnp.dtype | None = None, **others: Any) -> tuple:
    images, kernel, bias = arrays
    return dtypes.promote_dtype((images, standardize_kernel(kernel), bias), dtype=dtype, **others)


class Convolution(nnx.Conv):
    """A square convolution without bias: (batch, height, width, inputs) to (batch, height / stride, width / stride,
    outputs), rounded up.

    The padding is kernel // 2 on each side, said explicitly: "SAME" would shift a 3x3 with stride 2 by a pixel against
    the 1x1 beside it.

    Args:
      inputs: channels that come in.
      outputs: channels that go out.
      kernel: height and width of the kernel, an odd number.
      stride: 1, or 2 to halve height and width.
      groups: groups of channels that are convolved apart, a divisor of inputs and outputs.
      standardized: whether the kernel is standardized when it is used, see `standardize_kernel`.
      scale: what the initial kernel, He-normal by fan-out, is multiplied by.
      dtype: what is computed in; parameters are float32.
      key: what the initial kernel is drawn with.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        *,
        groups: int = 1,
        standardized: bool = False,
        scale: float = 1.0,
        dtype: jnp.dtype | None = None,
        key: PRNGKey,
    ):
        super().__init__(
            inputs,
            outputs,
            (kernel, kernel),
            strides=stride,
            padding=[(kernel // 2, kernel // 2)] * 2,
            feature_group_count=groups,
            use_bias=False,
            kernel_init=he_normal,
            conv_general_dilated=conv_general_dilated,
            dtype=dtype,
            # nnx.Conv hands its kernel to this function just before it is used.
            promote_dtype=_standardize_and_promote if standardized else dtypes.promote_dtype,
            rngs=cast(nnx.Rngs, LayerKey(key)),
        )
        if scale != 1:
            self.kernel[...] = scale * self.kernel[...]


class ShiftedConvolution(Convolution):
    """A convolution of its input plus a scalar that starts at 0 (Fixup: Zhang et al. 2019, figure 1)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        *,
        groups: int = 1,
        scale: float = 1.0,
        dtype: jnp.dtype | None = None,
        key: PRNGKey,
    ):
        super().__init__(inputs, outputs, kernel, stride, groups=groups, scale=scale, dtype=dtype, key=key)
        self.shift = nnx.Param(jnp.zeros((), jnp.float32))

    def __call__(self, inputs: Features, out_sharding: Any = None) -> Features:
        return super().__call__(inputs + self.shift[...].astype(inputs.dtype), out_sharding)


def convolution(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    normalization: str = "batch",
    scale: float = 1.0,
    dtype: jnp.dtype | None = None,
    key: PRNGKey,
) -> Convolution:
    """The convolution of a network of this normalization; other arguments as of `Convolution`.

    Group norm comes with standardized kernels, and Fixup with a scalar bias before the convolution.
    """
    if normalization == "fixup":
        return ShiftedConvolution(inputs, outputs, kernel, stride, groups=groups, scale=scale, dtype=dtype, key=key)
    standardized = normalization == "group"
    return Convolution(
        inputs, outputs, kernel, stride, groups=groups, standardized=standardized, scale=scale, dtype=dtype, key=key
    )


class SqueezeExcitation(nnx.Module):
    """Each channel times a gate in (0, 1) that all channels' means decide (Hu et al. 2018, figures 2 and 3).

    (batch, height, width, channel) keeps its shape. The two layers between have channels // reduction channels, 8 at
    least.
    """

    def __init__(self, channels: int, reduction: int, *, dtype: jnp.dtype | None = None, key: PRNGKey):
        squeezed = max(channels // reduction, LEAST_SQUEEZED)
        self.squeeze = self._linear(channels, squeezed, dtype, layer_key(key, "squeeze"))
        self.excite = self._linear(squeezed, channels, dtype, layer_key(key, "excite"))

    @staticmethod
    def _linear(inputs: int, outputs: int, dtype: jnp.dtype | None, key: PRNGKey) -> nnx.Linear:
        rngs = cast(nnx.Rngs, LayerKey(key))
        return nnx.Linear(inputs, outputs, kernel_init=he_normal, dtype=dtype, rngs=rngs)

    def __call__(self, features: Features) -> Features:
        gate = nnx.sigmoid(self.excite(nnx.relu(self.squeeze(features.mean((1, 2))))))
        return features * gate[:, None, None, :]
