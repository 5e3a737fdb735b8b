"""The basic block, with and without its shortcut."""

import math
import zlib

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from resjax.models.normalization import BatchNorm
from resjax.types import Features, PRNGKey


def layer_key(key: PRNGKey, name: str) -> PRNGKey:
    """The key of the layer called `name`: twins draw the same numbers for the layers that both have."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def he_normal(key: PRNGKey, shape: tuple[int, int, int, int], dtype: jnp.dtype) -> Float[Array, "row column in out"]:
    """Kernels of variance 2 / fan-out, not truncated (He et al. 2015, "Delving deep")."""
    rows, columns, _, outputs = shape
    # Drawn flat: the numbers are the same, and XLA compiles it in a tenth of the time.
    numbers = jax.random.normal(key, (math.prod(shape),), dtype).reshape(shape)
    return numbers * jnp.sqrt(jnp.asarray(2 / (rows * columns * outputs), dtype))


def convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, dtype: jnp.dtype | None = None, key: PRNGKey
) -> nnx.Conv:
    """A square convolution without bias, He-normal by fan-out.

    The padding is kernel // 2 on each side, said explicitly: "SAME" would shift a 3x3 with stride 2 by a pixel against
    the 1x1 beside it.
    """
    return nnx.Conv(
        inputs,
        outputs,
        (kernel, kernel),
        strides=stride,
        padding=[(kernel // 2, kernel // 2)] * 2,
        use_bias=False,
        kernel_init=he_normal,
        dtype=dtype,
        rngs=nnx.Rngs(key),
    )


class PadShortcut(nnx.Module):
    """Option A: every `stride`-th pixel, and zeros for the new channels; no parameters (He et al. 2015, 3.3)."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        self.new_channels, self.stride = outputs - inputs, stride

    def __call__(self, features: Features) -> Features:
        kept = features[:, :: self.stride, :: self.stride]
        return jnp.pad(kept, ((0, 0), (0, 0), (0, 0), (0, self.new_channels)))


class ProjectionShortcut(nnx.Module):
    """Options B and C: a 1x1 convolution with the block's stride, then batch norm."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, dtype: jnp.dtype | None, key: PRNGKey):
        self.conv = convolution(inputs, outputs, 1, stride, dtype=dtype, key=layer_key(key, "conv"))
        self.norm = BatchNorm(outputs)

    def __call__(self, features: Features) -> Features:
        return self.norm(self.conv(features))


class IdentityShortcut(nnx.Module):
    """The block's input as it is."""

    def __call__(self, features: Features) -> Features:
        return features


def make_shortcut(
    kind: str, inputs: int, outputs: int, stride: int, *, dtype: jnp.dtype | None, key: PRNGKey
) -> nnx.Module | None:
    """The shortcut of a block: None for `none`, and the identity where the shape stays, unless for `project_all`."""
    if kind == "none":
        return None
    same_shape = stride == 1 and inputs == outputs
    if kind == "project_all" or (kind == "project" and not same_shape):
        return ProjectionShortcut(inputs, outputs, stride, dtype=dtype, key=key)
    return IdentityShortcut() if same_shape else PadShortcut(inputs, outputs, stride)


def add_shortcut(residual: Features, shortcut: Features) -> Features:
    """The addition that a plain network lacks."""
    return residual + shortcut


class BasicBlock(nnx.Module):
    """Two 3x3 convolutions with batch norm; relu after the first, and after the addition (He et al. 2015, figure 2).

    With `shortcut="none"` it is the same less the addition. (batch, height, width, inputs) becomes
    (batch, height / stride, width / stride, outputs), rounded up.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        *,
        shortcut: str = "project",
        zero_gamma: bool = False,
        dtype: jnp.dtype | None = None,
        key: PRNGKey,
    ):
        self.conv1 = convolution(inputs, outputs, 3, stride, dtype=dtype, key=layer_key(key, "conv1"))
        self.norm1 = BatchNorm(outputs)
        self.conv2 = convolution(outputs, outputs, 3, dtype=dtype, key=layer_key(key, "conv2"))
        self.norm2 = BatchNorm(outputs, scale=0.0 if zero_gamma else 1.0)
        made = make_shortcut(shortcut, inputs, outputs, stride, dtype=dtype, key=layer_key(key, "shortcut"))
        self.shortcut = nnx.data(made)

    def __call__(self, features: Features) -> Features:
        out = nnx.relu(self.norm1(self.conv1(features)))
        out = self.norm2(self.conv2(out))
        if self.shortcut is not None:
            out = add_shortcut(out, self.shortcut(features))
        return nnx.relu(out)
