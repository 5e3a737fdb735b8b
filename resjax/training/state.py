"""The state of one replica's training, as a pytree of arrays."""

import zlib
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int32

from resjax.functional import Functional
from resjax.models.torch_weights import StateDict, fill
from resjax.types import PRNGKey, Variables


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """All that the next step depends on, the data excepted."""

    step: Int32[Array, ""]
    variables: Variables
    optimizer: optax.OptState
    key: PRNGKey
    """The replica's key. It never changes: every use folds in its purpose and, where it repeats, a count."""


def purpose_key(key: PRNGKey, purpose: str, count: int | Int32[Array, ""] = 0) -> PRNGKey:
    """The key for one purpose and one count, so that a resumed run sees the keys that it would have seen."""
    return jax.random.fold_in(jax.random.fold_in(key, zlib.crc32(purpose.encode())), count)


def initial_state(
    functional: Functional, optimizer: optax.GradientTransformation, seed: int, weights: StateDict | None = None
) -> TrainState:
    """The state before the first step; twins get the same numbers in the parameters that they share.

    With `weights` the network starts from these, under torch's names; a head for another number of classes from the
    seed's numbers.

    Raises:
      BadInput: where the weights do not fit the network.
    """
    key = jax.random.key(seed)
    variables = functional.init(purpose_key(key, "parameters"))
    if weights is not None:
        variables = fill(variables, weights).variables
    return TrainState(jnp.zeros((), jnp.int32), variables, optimizer.init(variables.parameters), key)
