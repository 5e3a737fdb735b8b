"""What a probe does to the blocks of a network while images pass."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Array, Float

from resjax.types import Features


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
