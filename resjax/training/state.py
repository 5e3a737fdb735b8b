"""The training state of one replica, as a pytree of arrays."""

import zlib
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int32

from resjax.functional import Functional
from resjax.models.layers import key_of_seed
from resjax.models.torch_weights import StateDict, fill
from resjax.types import PRNGKey, Variables


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything that the next step depends on, except the data."""

    step: Int32[Array, ""]
    """Number of finished steps."""
    variables: Variables
    optimizer: optax.OptState
    key: PRNGKey
    """The replica's key. It never changes: every use folds in its purpose and, if it repeats, a count."""


def purpose_key(key: PRNGKey, purpose: str, count: int | Int32[Array, ""] = 0) -> PRNGKey:
    """The key for one purpose and one count. A resumed run sees the same keys as an uninterrupted one."""
    return jax.random.fold_in(jax.random.fold_in(key, zlib.crc32(purpose.encode())), count)


def initial_state(
    functional: Functional, optimizer: optax.GradientTransformation, seed: int, weights: StateDict | None = None
) -> TrainState:
    """The state before the first step. Twins get the same numbers in the parameters that they share.

    Args:
      functional: the network.
      optimizer: whose state is part of it.
      seed: of the replica.
      weights: weights that the network starts from, under torch's names. A head for another number of classes starts
        from the seed's random numbers all the same.

    Raises:
      BadInput: if the weights do not fit the network.
    """
    key = key_of_seed(seed)
    variables = functional.init(purpose_key(key, "parameters"))
    if weights is not None:
        variables = fill(variables, weights).variables
    return TrainState(jnp.zeros((), jnp.int32), variables, optimizer.init(variables.parameters), key)
