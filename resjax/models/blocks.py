"""The blocks, basic and bottleneck, with and without their shortcut."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from resjax.models.layers import SqueezeExcitation, convolution, layer_key
from resjax.models.normalization import make_norm
from resjax.types import Features, PRNGKey


class PadShortcut(nnx.Module):
    """Option A: every `stride`-th pixel, and zeros for the new channels; no parameters (He et al. 2015, 3.3)."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        self.new_channels, self.stride = outputs - inputs, stride

    def __call__(self, features: Features) -> Features:
        kept = features[:, :: self.stride, :: self.stride]
        return jnp.pad(kept, ((0, 0), (0, 0), (0, 0), (0, self.new_channels)))


class ProjectionShortcut(nnx.Module):
    """Options B and C: a 1x1 convolution with the block's stride, then batch norm or what the network has for it.

    Without the latter where the block is pre-activated (He et al. 2016) or nothing is normalized.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        *,
        normalization: str = "batch",
        normalized: bool = True,
        dtype: jnp.dtype | None,
        key: PRNGKey,
    ):
        self.conv = convolution(
            inputs, outputs, 1, stride, normalization=normalization, dtype=dtype, key=layer_key(key, "conv")
        )
        has_norm = normalized and normalization in ("batch", "group")
        self.norm = nnx.data(make_norm(normalization, outputs) if has_norm else None)

    def __call__(self, features: Features) -> Features:
        projected = self.conv(features)
        return projected if self.norm is None else self.norm(projected)


class IdentityShortcut(nnx.Module):
    """The block's input as it is."""

    def __call__(self, features: Features) -> Features:
        return features


def make_shortcut(
    kind: str,
    inputs: int,
    outputs: int,
    stride: int,
    *,
    normalization: str = "batch",
    normalized: bool = True,
    dtype: jnp.dtype | None,
    key: PRNGKey,
) -> nnx.Module | None:
    """The shortcut of a block: None for `none`, and the identity where the shape stays, unless for `project_all`."""
    if kind == "none":
        return None
    same_shape = stride == 1 and inputs == outputs
    if kind == "project_all" or (kind == "project" and not same_shape):
        return ProjectionShortcut(
            inputs, outputs, stride, normalization=normalization, normalized=normalized, dtype=dtype, key=key
        )
    return IdentityShortcut() if same_shape else PadShortcut(inputs, outputs, stride)


def add_shortcut(residual: Features, shortcut: Features) -> Features:
    """The addition that a plain network lacks."""
    return residual + shortcut


def drop_branches(branch: Features, rate: float, key: PRNGKey) -> Features:
    """Zeros in place of whole images of the batch, at that rate; the others are divided by 1 - rate.

    Stochastic depth (Huang et al. 2016) image by image and scaled while training, as torchvision and timm have it: the
    paper drops for a whole mini-batch, and scales at the end.
    """
    kept = jax.random.bernoulli(key, 1 - rate, (len(branch), 1, 1, 1))
    return jnp.where(kept, branch / jnp.asarray(1 - rate, branch.dtype), jnp.zeros((), branch.dtype))


class Layer(NamedTuple):
    """One convolution of a block."""

    kernel: int
    inputs: int
    outputs: int
    stride: int = 1
    groups: int = 1


class Block(nnx.Module):
    """A branch of convolutions, each with its norm, and a shortcut around it; with `shortcut="none"` the branch alone.

    relu follows each norm, the last one's after the addition (He et al. 2015, figure 2). With `preactivation` norm and
    relu come before each convolution, and nothing comes after the addition; an identity shortcut leaves from the raw
    features, any other one from the activated ones (He et al. 2016, figure 1 and appendix). (batch, height, width,
    inputs) becomes (batch, height / stride, width / stride, outputs), rounded up.

    Args:
      layers: the convolutions in order.
      shortcut, preactivation, normalization, zero_gamma, squeeze_excitation: as in `Architecture`.
      activated: whether the features come in activated, so that a pre-activated block has no first norm.
      drop_rate: how often stochastic depth drops the branch of an image.
      kernel_scale: what the initial kernels are multiplied by, the last one's excepted (Fixup).
      dtype: what is computed in; parameters are float32.
      key: the block's key.
    """

    def __init__(
        self,
        layers: tuple[Layer, ...],
        *,
        shortcut: str = "project",
        preactivation: bool = False,
        activated: bool = False,
        normalization: str = "batch",
        zero_gamma: bool = False,
        squeeze_excitation: int = 0,
        drop_rate: float = 0.0,
        kernel_scale: float = 1.0,
        dtype: jnp.dtype | None = None,
        key: PRNGKey,
    ):
        inputs, outputs, stride = layers[0].inputs, layers[-1].outputs, math.prod(layer.stride for layer in layers)
        self.depth, self.preactivation, self.drop_rate = len(layers), preactivation, drop_rate
        for number, layer in enumerate(layers, 1):
            last = number == len(layers)
            conv = convolution(
                layer.inputs,
                layer.outputs,
                layer.kernel,
                layer.stride,
                groups=layer.groups,
                normalization=normalization,
                scale=0.0 if last and normalization == "fixup" else kernel_scale,
                dtype=dtype,
                key=layer_key(key, f"conv{number}"),
            )
            if preactivation:
                norm = None if activated and number == 1 else make_norm(normalization, layer.inputs)
            else:
                scale = 0.0 if last and zero_gamma else 1.0
                norm = make_norm(normalization, layer.outputs, scale=scale, last=last)
            setattr(self, f"conv{number}", conv)
            setattr(self, f"norm{number}", nnx.data(norm))
        gate = None
        if squeeze_excitation:
            gate = SqueezeExcitation(outputs, squeeze_excitation, dtype=dtype, key=layer_key(key, "gate"))
        self.gate = nnx.data(gate)
        # SkipInit: a scalar that starts at 0 (De and Smith 2020, section 4).
        self.scale = nnx.Param(jnp.zeros((), jnp.float32)) if normalization == "skipinit" else nnx.data(None)
        made = make_shortcut(
            shortcut,
            inputs,
            outputs,
            stride,
            normalization=normalization,
            normalized=not preactivation,
            dtype=dtype,
            key=layer_key(key, "shortcut"),
        )
        self.shortcut = nnx.data(made)

    def __call__(
        self,
        features: Features,
        *,
        key: PRNGKey | None = None,
        branch_scale: Float[Array, ""] | None = None,
        shortcut_scale: Float[Array, ""] | float | None = None,
    ) -> Features:
        """The block's output; without a key, stochastic depth drops nothing.

        Branch and shortcut are multiplied by their scales before they are added. A block without a shortcut is mixed
        with its input instead, branch_scale * output + (1 - branch_scale) * input, where the shape stays; where it
        changes, the block stays as it is.
        """
        layers = [(getattr(self, f"conv{n}"), getattr(self, f"norm{n}")) for n in range(1, self.depth + 1)]
        entering = branch = features
        if self.preactivation:
            for number, (conv, norm) in enumerate(layers):
                branch = branch if norm is None else nnx.relu(norm(branch))
                if number == 0 and not isinstance(self.shortcut, IdentityShortcut):
                    entering = branch
                branch = conv(branch)
        else:
            for number, (conv, norm) in enumerate(layers):
                branch = norm(conv(nnx.relu(branch) if number else branch))
        if self.gate is not None:
            branch = self.gate(branch)
        if self.scale is not None:
            branch = branch * self.scale[...].astype(branch.dtype)
        if self.drop_rate and key is not None:
            branch = drop_branches(branch, self.drop_rate, key)
        if self.shortcut is None:
            output = branch if self.preactivation else nnx.relu(branch)
            if branch_scale is None or output.shape != features.shape:
                return output
            return _scaled(output, branch_scale) + _scaled(features, 1 - branch_scale)
        if branch_scale is not None:
            branch = _scaled(branch, branch_scale)
        shortcut = self.shortcut(entering)
        if shortcut_scale is not None:
            shortcut = _scaled(shortcut, shortcut_scale)
        branch = add_shortcut(branch, shortcut)
        return branch if self.preactivation else nnx.relu(branch)


def _scaled(features: Features, scale: Float[Array, ""] | float) -> Features:
    return features * jnp.asarray(scale, features.dtype)


class BasicBlock(Block):
    """Two 3x3 convolutions, the first with the stride (He et al. 2015, figure 5, left); options as of `Block`.

    >>> import jax, jax.numpy as jnp
    >>> block = BasicBlock(4, 8, stride=2, shortcut="pad", key=jax.random.key(0))
    >>> block(jnp.ones((1, 9, 9, 4))).shape
    (1, 5, 5, 8)
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, **options: Any):
        super().__init__((Layer(3, inputs, outputs, stride), Layer(3, outputs, outputs)), **options)


class BottleneckBlock(Block):
    """1x1, 3x3 with the stride and the groups, and 1x1 convolutions (He et al. 2015, figure 5, right).

    V1.5: the stride is on the 3x3, as in torchvision; the paper has it on the first 1x1. Options as of `Block`.

    >>> import jax, jax.numpy as jnp
    >>> block = BottleneckBlock(16, 4, 32, stride=2, groups=2, key=jax.random.key(0))
    >>> block(jnp.ones((1, 8, 8, 16))).shape
    (1, 4, 4, 32)
    """

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int = 1, groups: int = 1, **options: Any):
        layers = Layer(1, inputs, inner), Layer(3, inner, inner, stride, groups), Layer(1, inner, outputs)
        super().__init__(layers, **options)
