"""One step of Adam for all parameters of a network, on a CPU in one pass over them.

XLA:CPU makes three loops for each array; this is one call of C. It rounds as IEEE 754 says, without fused
multiplications, so it gives the same bits on every processor. Elsewhere the formula is in optax's order, and gives
optax's bits. The state is that of optax's chain. XLA has nothing to copy as long as a step's state has the same order
before and after: donated arrays are paired with results by shape, in order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.typing import ArrayLike
from jaxtyping import Array, Float32

from resjax.ops.cpu import ONEDNN, asked, resolved
from resjax.ops.onednn import library
from resjax.ops.operation import Operation
from resjax.types import Parameters

MEAN_DECAY, SQUARE_DECAY, EPSILON = 0.9, 0.999, 1e-8
"""beta 1, beta 2 and epsilon of Kingma and Ba 2015, algorithm 1; optax's and torch's defaults."""
TARGET = "resjax_adam"


class Moments(NamedTuple):
    """The running averages of the gradients and of their squares, with the structure of the parameters."""

    means: Parameters
    squares: Parameters


def adam(
    gradients: Parameters,
    parameters: Parameters,
    moments: Moments,
    *,
    step: ArrayLike,
    rate: ArrayLike,
    decays: Parameters,
    apart: bool = False,
) -> tuple[Parameters, Moments]:
    """The parameters and moments after a step of Adam, by optax's formula with its default constants.

    Args:
      gradients, parameters, moments: before the step; dicts of arrays of the same structure and shapes.
      step: the number of this step, from 1.
      rate: the learning rate.
      decays: the weight decay of each parameter, a number each.
      apart: whether the decay is subtracted apart from the moments (AdamW, Loshchilov and Hutter 2019), and not added
        to the gradient.

    >>> import jax.numpy as jnp
    >>> weights, zeros = {"kernel": jnp.ones(2)}, {"kernel": jnp.zeros(2)}
    >>> one = dict(step=jnp.int32(1), rate=jnp.float32(0.1), decays={"kernel": 0.0})
    >>> changed, moments = adam({"kernel": jnp.array([3.0, -4.0])}, weights, Moments(zeros, zeros), **one)
    >>> [round(weight, 4) for weight in changed["kernel"].tolist()]
    [0.9, 1.1]
    """
    leaves, structure = jax.tree.flatten(parameters)
    shares = [1 - decay ** jnp.asarray(step) for decay in (MEAN_DECAY, SQUARE_DECAY)]
    numbers = [rate, *shares, float(apart), *jax.tree.leaves(decays)]
    arrays = (leaf for tree in (gradients, parameters, *moments) for leaf in jax.tree.leaves(tree))
    results = _Adam(len(leaves), apart, asked())(jnp.stack([jnp.asarray(n, jnp.float32) for n in numbers]), *arrays)
    after = [jax.tree.unflatten(structure, each) for each in _parts(results, len(leaves))]
    return after[0], Moments(*after[1:])


@dataclass(frozen=True)
class _Adam(Operation):
    """Parameters, means and squares after a step, of the numbers that adam.c has, and of gradients and all three."""

    leaves: int
    apart: bool
    by: str | None
    """What was asked for on a CPU."""

    def anywhere(self, numbers: Float32[Array, " number"], *arrays: Array) -> tuple[Array, ...]:
        rate, mean_share, square_share, _, *decays = numbers
        results = []
        for decay, *its in zip(decays, *_parts(arrays, self.leaves), strict=True):
            gradient, parameter, mean, square = its
            decay, shares = (
                decay.astype(parameter.dtype),
                (mean_share.astype(mean.dtype), square_share.astype(mean.dtype)),
            )
            slope = gradient if self.apart else gradient + decay * parameter
            mean = (1 - MEAN_DECAY) * slope + MEAN_DECAY * mean
            square = (1 - SQUARE_DECAY) * slope**2 + SQUARE_DECAY * square
            moved = (mean / shares[0]) / (jnp.sqrt(square / shares[1]) + EPSILON)
            moved = moved + decay * parameter if self.apart else moved
            results.append((parameter - rate.astype(parameter.dtype) * moved, mean, square))
        return tuple(leaf for part in zip(*results, strict=True) for leaf in part)

    def foreign(self, *arrays: Array) -> tuple[Array, ...] | None:
        if resolved(self.by) != ONEDNN or any(array.dtype != jnp.float32 for array in arrays):
            return None
        _register()
        results = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in arrays[1 + self.leaves :]]
        aliases = {1 + self.leaves + place: place for place in range(len(results))}

        @custom_vmap
        def call(*arrays: Array) -> tuple[Array, ...]:
            return tuple(jax.ffi.ffi_call(TARGET, results, input_output_aliases=aliases)(*arrays))

        @call.def_vmap
        def _(axis_size: int, batched: Sequence[bool], *arrays: Array) -> tuple[tuple[Array, ...], tuple[bool, ...]]:
            axes = [0 if is_batched else None for is_batched in batched]
            return jax.vmap(self.anywhere, axes, axis_size=axis_size)(*arrays), (True,) * len(results)

        return call(*arrays)


def _parts(arrays: Sequence[Array], length: int) -> list[Sequence[Array]]:
    return [arrays[start : start + length] for start in range(0, len(arrays), length)]


@lru_cache(maxsize=1)
def _register() -> None:
    """Makes Adam known to XLA, once in a process."""
    library().handler.register_adam(TARGET)
