"""What a probe does to the blocks of a network while images pass."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from resjax.types import Features


class BlockScales(NamedTuple):
    """What one block's branch and shortcut are multiplied by before they are added; None for as they are."""

    branch: Float[Array, ""] | None = None
    shortcut: Float[Array, ""] | None = None


class Changes(NamedTuple):
    """Numbers for the blocks of a network in order; None changes nothing, to the last bit.

    Arrays, so that under `jax.jit` one compiled program serves every lesion and every dose.
    """

    branch: Float[Array, " block"] | None = None
    """Multiplies the branch of each block, 1 for as it is, 0 for deleted. A block without a shortcut is mixed with its
    input instead, so that 0 puts the identity in its place; where such a block changes the shape, it stays."""
    shortcut: Float[Array, " block"] | None = None
    """Multiplies the shortcut of each block, 1 for as it is."""
    added: Sequence[Features] | None = None
    """Added to what enters each block, and last to what leaves the last one: the gradient by these is the gradient by
    the features."""

    def scales(self, place: int) -> BlockScales:
        """The scales of the block at this place, counted from 0 through all stages."""
        return BlockScales(
            None if self.branch is None else self.branch[place],
            None if self.shortcut is None else self.shortcut[place],
        )


def scaled(features: Features, scale: Float[Array, ""] | None) -> Features:
    """The features times a number in their dtype; None for as they are."""
    return features if scale is None else features * jnp.asarray(scale, features.dtype)


def mixed_with_input(output: Features, entering: Features, scale: Float[Array, ""] | None) -> Features:
    """scale * output + (1 - scale) * input of a plain block, at 0 the identity in its place.

    A block that changes the shape stays as it is.
    """
    if scale is None or output.shape != entering.shape:
        return output
    return scaled(output, scale) + scaled(entering, 1 - scale)
