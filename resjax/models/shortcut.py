"""The shortcut around a block, and the addition that a plain network does not have (He et al. 2015, section 3.3)."""

import jax.numpy as jnp
from flax import nnx

from resjax.models.layers import convolution, layer_key
from resjax.models.normalization import Norm, make_norm
from resjax.types import Features, PRNGKey


class IdentityShortcut(nnx.Module):
    """The block's input as it is: features (batch, height, width, channel) keep their shape."""

    def __call__(self, features: Features) -> Features:
        return features


class PadShortcut(nnx.Module):
    """Option A: every `stride`-th pixel, and zeros for the new channels; no parameters.

    (batch, height, width, inputs) becomes (batch, height / stride, width / stride, outputs), rounded up.

    Args:
      inputs: channels that come in.
      outputs: channels that go out, `inputs` or more.
      stride: 1, or 2 to halve height and width.
    """

    def __init__(self, inputs: int, outputs: int, stride: int):
        self.new_channels, self.stride = outputs - inputs, stride

    def __call__(self, features: Features) -> Features:
        kept = features[:, :: self.stride, :: self.stride]
        return jnp.pad(kept, ((0, 0), (0, 0), (0, 0), (0, self.new_channels)))


class ProjectionShortcut(nnx.Module):
    """Options B and C: a 1x1 convolution with the block's stride, followed by a norm.

    (batch, height, width, inputs) becomes (batch, height / stride, width / stride, outputs), rounded up.

    Args:
      inputs: channels that come in.
      outputs: channels that go out.
      stride: 1, or 2 to halve height and width.
      normalization: as in `Architecture`; only batch and group norm put a norm after the convolution.
      normalized: False for no norm in any case, as in pre-activated blocks (He et al. 2016).
      dtype: what is computed in; parameters are float32.
      key: the shortcut's key.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        *,
        normalization: str = "batch",
        normalized: bool = True,
        dtype: jnp.dtype | None = None,
        key: PRNGKey,
    ):
        self.conv = convolution(
            inputs, outputs, 1, stride, normalization=normalization, dtype=dtype, key=layer_key(key, "conv")
        )
        has_norm = normalized and normalization in ("batch", "group")
        self.norm: Norm | None = nnx.data(make_norm(normalization, outputs) if has_norm else None)

    def __call__(self, features: Features) -> Features:
        projected = self.conv(features)
        return projected if self.norm is None else self.norm(projected)


Shortcut = IdentityShortcut | PadShortcut | ProjectionShortcut


def make_shortcut(
    kind: str,
    inputs: int,
    outputs: int,
    stride: int,
    *,
    normalization: str = "batch",
    normalized: bool = True,
    dtype: jnp.dtype | None = None,
    key: PRNGKey,
) -> Shortcut | None:
    """The shortcut of a block, None for a plain one. Where the shape stays it is the identity, except in `project_all`.

    Args:
      kind: `none`, `pad` (option A), `project` (B) or `project_all` (C).
      inputs, outputs, stride: sizes of the block.
      normalization, normalized, dtype, key: as of `ProjectionShortcut`.
    """
    if kind == "none":
        return None
    keeps_shape = stride == 1 and inputs == outputs
    if kind == "project_all" or (kind == "project" and not keeps_shape):
        return ProjectionShortcut(
            inputs, outputs, stride, normalization=normalization, normalized=normalized, dtype=dtype, key=key
        )
    return IdentityShortcut() if keeps_shape else PadShortcut(inputs, outputs, stride)


def addition(branch: Features, shortcut: Features) -> Features:
    """F(x) + S(x): the addition that a plain network does not have."""
    return branch + shortcut
