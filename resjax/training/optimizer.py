"""The optimizer and the learning-rate schedule of a recipe, built from optax."""

from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float32, Int32

from resjax.errors import BadInput
from resjax.functional import Functional, frozen_mask
from resjax.ops.adam import Moments, adam
from resjax.training.recipe import Recipe
from resjax.types import Parameters


class Rates(NamedTuple):
    """The numbers of a recipe that are inputs of a compiled program. Recipes that differ only in them share it.

    Without an axis for one replica, (replica,) for several.
    """

    learning_rate: Float32[Array | np.ndarray, "*replica"]
    weight_decay: Float32[Array | np.ndarray, "*replica"]

    @classmethod
    def of(cls, recipe: Recipe) -> "Rates":
        """The rates of a recipe, as float32 on the host."""
        return cls(np.asarray(recipe.learning_rate, np.float32), np.asarray(recipe.weight_decay, np.float32))


def learning_rate_schedule(recipe: Recipe, steps_per_epoch: int, rates: Rates | None = None) -> optax.Schedule:
    """The learning rate as a function of the number of finished steps.

    Warm-up is linear from 0 and reaches the full rate after `warmup_epochs`, or it is a tenth of the full rate until
    then. `step` divides by 10 at each milestone: the default ones are 32k and 48k of 64k steps (He et al. 2015,
    section 4.2). The peak is that of `rates` if given, else of the recipe. A schedule of one's own is taken as it is.
    """
    total = recipe.epochs * steps_per_epoch
    warmup = round(recipe.warmup_epochs * steps_per_epoch)

    def factor(step: Int32[Array, ""]) -> Float32[Array, ""]:
        rise = 1.0
        if warmup:
            rise = jnp.where(step < warmup, 0.1 if recipe.warmup_shape == "tenth" else step / warmup, 1.0)
        if recipe.schedule == "cosine":
            progress = jnp.clip((step - warmup) / max(total - warmup, 1), 0.0, 1.0)
            return rise * 0.5 * (1.0 + jnp.cos(jnp.pi * progress))
        if recipe.schedule == "step":
            milestones = jnp.asarray([int(total * share) for share in recipe.milestones], jnp.int32)
            tenths = jnp.asarray([10.0**-power for power in range(len(recipe.milestones) + 1)], jnp.float32)
            return rise * tenths[(step >= milestones).sum()]
        return jnp.asarray(rise)

    if not isinstance(recipe.schedule, str):
        return recipe.schedule
    peak = recipe.learning_rate if rates is None else rates.learning_rate
    return lambda step: peak * factor(jnp.asarray(step))


def kernel_mask(parameters: Parameters) -> Parameters:
    """True for kernels (of convolutions and of the head), False for biases and for batch norm's scales."""
    return jax.tree.map(lambda array: array.ndim > 1, parameters)


def make_optimizer(recipe: Recipe, steps_per_epoch: int, rates: Rates | None = None) -> optax.GradientTransformation:
    """The recipe's optimizer.

    `adam` with weight decay is torch.optim.Adam: the moments are those of g + decay * w (L2). `adamw` subtracts
    learning rate * decay * w separately (Loshchilov and Hutter 2019). `sgd` is torch.optim.SGD with momentum. Frozen
    parameters do not change at all and have no moments. One of optax is taken as it is, or called with the schedule.
    Gradients are clipped before anything else, by the norm of all parameters that are not frozen, as by
    torch.nn.utils.clip_grad_norm_.

    Args:
      recipe: which optimizer.
      steps_per_epoch: train steps per epoch, for the schedule.
      rates: used instead of the recipe's own; may be traced. The optimizer's state does not contain them.
    """
    optimizer = _unfrozen_optimizer(recipe, steps_per_epoch, rates)
    if recipe.clip_norm:
        optimizer = optax.chain(optax.clip_by_global_norm(recipe.clip_norm), optimizer)
    if not recipe.freeze:
        return optimizer

    def kinds(parameters: Parameters) -> Parameters:
        return jax.tree.map(lambda held: "frozen" if held else "trained", frozen_mask(parameters, recipe.freeze))

    return optax.partition({"trained": optimizer, "frozen": optax.set_to_zero()}, kinds)


class Adam(optax.GradientTransformation):
    """optax's chain for Adam, or for AdamW where the decay is `apart`, which can also do its step in one operation."""

    rate: optax.Schedule
    strength: Any
    """Of the weight decay; a float, or traced."""
    only_kernels: bool
    """Whether nothing else decays."""
    apart: bool

    def apply(
        self, gradients: Parameters, state: optax.OptState, parameters: Parameters
    ) -> tuple[Parameters, optax.OptState]:
        """The parameters and the state after a step."""
        parts: list[Any] = [*cast(tuple, state)]
        place = 0 if self.apart else 1
        moments, schedule = parts[place], parts[2]
        step = optax.safe_increment(moments.count)
        decaying = kernel_mask(parameters) if self.only_kernels else jax.tree.map(lambda _: True, parameters)
        parameters, after = adam(
            gradients,
            parameters,
            Moments(moments.mu, moments.nu),
            step=step,
            rate=self.rate(schedule.count),
            decays=jax.tree.map(lambda decays: self.strength if decays else 0.0, decaying),
            apart=self.apart,
        )
        parts[place] = moments._replace(count=step, mu=after.means, nu=after.squares)
        parts[2] = schedule._replace(count=optax.safe_increment(schedule.count))
        return parameters, tuple(parts)


def apply_gradients(
    optimizer: optax.GradientTransformation, gradients: Parameters, state: optax.OptState, parameters: Parameters
) -> tuple[Parameters, optax.OptState]:
    """The parameters and the optimizer's state after a step."""
    if isinstance(optimizer, Adam):
        return optimizer.apply(gradients, state, parameters)
    updates, state = optimizer.update(gradients, state, parameters)
    changed: Any = optax.apply_updates(parameters, updates)
    return changed, state


def has_own_rate(recipe: Recipe) -> bool:
    """Whether the optimizer has its learning rate inside, so that nobody else knows it."""
    return not isinstance(recipe.optimizer, str) and not callable(recipe.optimizer)


def require_optimizer(recipe: Recipe, functionals: Iterable[Functional]) -> None:
    """Refuses an optimizer of one's own whose state could not be saved and resumed.

    Raises:
      BadInput: if it holds something else than arrays, changes their shapes, needs more than gradients and parameters,
        or is no transformation of optax.
    """
    if isinstance(recipe.optimizer, str) and isinstance(recipe.schedule, str):
        return

    def updated(parameters: Parameters) -> tuple[Any, Any, Any]:
        optimizer = make_optimizer(recipe, 1)
        state = optimizer.init(parameters)
        updates, after = optimizer.update(parameters, state, parameters)
        return state, after, optax.apply_updates(parameters, updates)

    for functional in functionals:
        parameters = functional.shapes().parameters
        try:
            state, after, changed = jax.eval_shape(updated, parameters)
        except Exception as error:  # Whatever its code raises.
            reason = " ".join(str(error).split())[:300]
            raise BadInput(
                f"optimizer for {functional.name}: {type(error).__name__}: {reason}; expected an optax transformation "
                "whose state is arrays and whose update takes gradients, state and parameters"
            ) from error
        for what, first, second in (("state", state, after), ("parameters", parameters, changed)):
            if _forms(first) != _forms(second):
                raise BadInput(
                    f"optimizer for {functional.name}: its {what} has another structure, shape or type after a step; "
                    "expected the same, so that training can be resumed"
                )


def _forms(tree: Any) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


def _unfrozen_optimizer(recipe: Recipe, steps_per_epoch: int, rates: Rates | None) -> optax.GradientTransformation:
    rate = learning_rate_schedule(recipe, steps_per_epoch, rates)
    if not isinstance(recipe.optimizer, str):
        return recipe.optimizer(rate) if callable(recipe.optimizer) else recipe.optimizer
    # Optax's annotation leaves numpy's arrays out.
    strength: Any = rates.weight_decay if rates is not None and recipe.weight_decay else recipe.weight_decay
    decay = optax.add_decayed_weights(strength, mask=kernel_mask if recipe.decayed == "kernels" else None)
    if recipe.optimizer in ("adam", "adamw"):
        apart = recipe.optimizer == "adamw"
        parts = [optax.scale_by_adam(), decay] if apart else [decay, optax.scale_by_adam()]
        made = Adam(*optax.chain(*parts, optax.scale_by_learning_rate(rate)))
        made.rate, made.strength, made.only_kernels, made.apart = rate, strength, recipe.decayed == "kernels", apart
        return made
    return optax.chain(decay, optax.trace(recipe.momentum), optax.scale_by_learning_rate(rate))
