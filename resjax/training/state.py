"""The training state of one replica, as a pytree of arrays."""

import math
import zlib
from dataclasses import dataclass, replace

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

    @property
    def evaluated(self) -> Variables:
        """The variables that validation, the best checkpoint and predictions use."""
        return self.variables


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class AveragedState(TrainState):
    """A training state with an exponential moving average of its variables (EMA), which is what is evaluated.

    Batch norm's statistics are averaged as the parameters are: so do torchvision's `ExponentialMovingAverage` with
    `use_buffers=True` and timm's `ModelEmaV3`. The current ones would belong to other parameters.
    """

    averages: Variables

    @property
    def evaluated(self) -> Variables:
        return self.averages

    def averaged(self, decay: float) -> "AveragedState":
        """The state with the variables of its newest step in the averages.

        After t steps the averages are sum_i d^(t - i) v_i / sum_i d^(t - i) over the variables v_i after each step i.
        The variables before the first step have no weight, however short the run: this is the bias correction of Adam
        (Kingma and Ba 2015, section 3) and of `optax.ema`.
        """
        step = self.step.astype(jnp.float32)
        rate = (1.0 - decay) / -jnp.expm1(step * math.log(decay))
        averages = jax.tree.map(lambda mean, new: (1.0 - rate) * mean + rate * new, self.averages, self.variables)
        return replace(self, averages=averages)


def purpose_key(key: PRNGKey, purpose: str, count: int | Int32[Array, ""] = 0) -> PRNGKey:
    """The key for one purpose and one count. A resumed run sees the same keys as an uninterrupted one."""
    return jax.random.fold_in(jax.random.fold_in(key, zlib.crc32(purpose.encode())), count)


def first_state(
    variables: Variables, optimizer: optax.GradientTransformation, key: PRNGKey, *, averaged: bool = False
) -> TrainState:
    """The state of these variables before the first step, with their average if `averaged`."""
    parts = jnp.zeros((), jnp.int32), variables, optimizer.init(variables.parameters), key
    # Copies: a step donates the state, and nothing can be donated twice.
    return AveragedState(*parts, jax.tree.map(jnp.copy, variables)) if averaged else TrainState(*parts)


def initial_state(
    functional: Functional,
    optimizer: optax.GradientTransformation,
    seed: int,
    weights: StateDict | None = None,
    *,
    averaged: bool = False,
) -> TrainState:
    """The state before the first step. Twins get the same numbers in the parameters that they share.

    Args:
      functional: the network.
      optimizer: whose state is part of it.
      seed: of the replica.
      weights: weights that the network starts from, under torch's names. A head for another number of classes starts
        from the seed's random numbers all the same.
      averaged: whether the state has averages of the variables.

    Raises:
      BadInput: if the weights do not fit the network.
    """
    key = key_of_seed(seed)
    variables = functional.init(purpose_key(key, "parameters"))
    if weights is not None:
        variables = fill(variables, weights).variables
    return first_state(variables, optimizer, key, averaged=averaged)
