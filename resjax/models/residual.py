"""What all blocks share: the layers of their variants, and what happens between a branch and its addition."""

from abc import abstractmethod
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from resjax.models.changes import BlockScales, scaled
from resjax.models.layers import Convolution, SqueezeExcitation, convolution, layer_key
from resjax.models.normalization import Norm, make_norm
from resjax.models.shortcut import Shortcut, addition, make_shortcut
from resjax.types import Features, PRNGKey


@dataclass(frozen=True)
class BlockVariant:
    """What later papers changed in a block; the defaults are the block of He et al. 2015.

    >>> BlockVariant(squeeze_excitation=16).normalization
    'batch'
    """

    normalization: str = "batch"
    """What follows each convolution, as in `Architecture`: `batch`, `group`, `none`, `skipinit` or `fixup`."""
    zero_gamma: bool = False
    """Whether the last norm's factors start at 0 (Goyal et al. 2017). Pre-activated blocks do not end in a norm."""
    squeeze_excitation: int = 0
    """The reduction of the gate at the end of the branch (Hu et al. 2018); 0 for no gate."""
    drop_rate: float = 0.0
    """How often stochastic depth drops the branch of an image in training (Huang et al. 2016)."""
    kernel_scale: float = 1.0
    """What the initial kernels are multiplied by, except the last one (Fixup: Zhang et al. 2019)."""


ORIGINAL = BlockVariant()
"""The block of He et al. 2015."""


class BlockLayers:
    """Makes the layers of one block as its variant has them: convolutions, norms, gate and shortcut.

    Each layer draws its initial numbers from a key of its own name: the layers that plain twins share start equal.

    Args:
      variant: what later papers changed.
      dtype: what is computed in; parameters are float32.
      key: the block's key.
    """

    def __init__(self, variant: BlockVariant, dtype: jnp.dtype | None, key: PRNGKey):
        self.variant, self.dtype, self.key = variant, dtype, key

    def conv(
        self, name: str, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, *, last: bool = False
    ) -> Convolution:
        """A convolution without bias, `kernel` x `kernel`; the `last` one of a branch starts at zero with Fixup."""
        normalization = self.variant.normalization
        return convolution(
            inputs,
            outputs,
            kernel,
            stride,
            groups=groups,
            normalization=normalization,
            scale=0.0 if last and normalization == "fixup" else self.variant.kernel_scale,
            dtype=self.dtype,
            key=layer_key(self.key, name),
        )

    def norm(self, channels: int, *, last: bool = False) -> Norm:
        """A norm, or what the variant has in its place; the `last` one of a branch starts at zero with zero-gamma."""
        scale = 0.0 if last and self.variant.zero_gamma else 1.0
        return make_norm(self.variant.normalization, channels, scale=scale, last=last)

    def gate(self, channels: int) -> SqueezeExcitation | None:
        """Squeeze-and-excitation, None where the variant has none."""
        reduction = self.variant.squeeze_excitation
        if not reduction:
            return None
        return SqueezeExcitation(channels, reduction, dtype=self.dtype, key=layer_key(self.key, "gate"))

    def shortcut(
        self, kind: str, inputs: int, outputs: int, stride: int, *, normalized: bool = True
    ) -> Shortcut | None:
        """The shortcut of this kind, None for a plain block; see `make_shortcut`."""
        return make_shortcut(
            kind,
            inputs,
            outputs,
            stride,
            normalization=self.variant.normalization,
            normalized=normalized,
            dtype=self.dtype,
            key=layer_key(self.key, "shortcut"),
        )


class Block(nnx.Module):
    """The base of all blocks: what comes after the last convolution of the branch.

    Args:
      make: makes the block's layers.
      outputs: channels of the branch.
      shortcut: what is added to the branch; None for a plain block.
    """

    def __init__(self, make: BlockLayers, outputs: int, shortcut: Shortcut | None):
        self.shortcut: Shortcut | None = nnx.data(shortcut)
        self.gate: SqueezeExcitation | None = nnx.data(make.gate(outputs))
        # SkipInit: a scalar that starts at 0 (De and Smith 2020, section 4).
        has_scale = make.variant.normalization == "skipinit"
        self.scale: nnx.Param | None = nnx.data(nnx.Param(jnp.zeros((), jnp.float32)) if has_scale else None)
        self.drop_rate = make.variant.drop_rate

    @abstractmethod
    def __call__(
        self, features: Features, *, key: PRNGKey | None = None, scales: BlockScales | None = None
    ) -> Features:
        """The block's output.

        Args:
          features: (batch, height, width, inputs).
          key: decides which images' branches stochastic depth drops; None drops nothing.
          scales: what a probe multiplies branch and shortcut by; None for as they are.
        """

    def add_shortcut(
        self, branch: Features, entering: Features, key: PRNGKey | None, scales: BlockScales | None
    ) -> Features:
        """The branch, gated, scaled and dropped as the variant says, plus the shortcut of what enters it.

        A plain block adds nothing. Then `scales` is not used, see `Changes`.
        """
        if self.gate is not None:
            branch = self.gate(branch)
        if self.scale is not None:
            branch = branch * self.scale[...].astype(branch.dtype)
        if self.drop_rate and key is not None:
            branch = drop_branches(branch, self.drop_rate, key)
        if self.shortcut is None:
            return branch
        shortcut = self.shortcut(entering)
        if scales is not None:
            branch, shortcut = scaled(branch, scales.branch), scaled(shortcut, scales.shortcut)
        return addition(branch, shortcut)


def drop_branches(branch: Features, rate: float, key: PRNGKey) -> Features:
    """Zeros in place of whole images of the batch, at that rate; the others are divided by 1 - rate.

    Stochastic depth (Huang et al. 2016) image by image and scaled in training, as torchvision and timm have it: the
    paper drops for a whole mini-batch, and scales at the end.
    """
    kept = jax.random.bernoulli(key, 1 - rate, (len(branch), 1, 1, 1))
    return jnp.where(kept, branch / jnp.asarray(1 - rate, branch.dtype), jnp.zeros((), branch.dtype))
