"""What one network computes: a train step, the full batches of an epoch in one call, and logits in evaluation mode.

Sums by step leave the device as they are and are added on the host in float64, so the mean of an epoch is exact.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Float32, Int32

from resjax.data.augmentation import Augmentation, augment, mix, standardize, to_float
from resjax.data.pipeline import Side, padded_batches, take
from resjax.errors import BadInput
from resjax.functional import Functional
from resjax.training.ahead_of_time import AheadOfTimeJit, CompilingThread
from resjax.training.loss import batch_loss
from resjax.training.optimizer import Rates, apply_gradients, make_optimizer
from resjax.training.recipe import Recipe
from resjax.training.state import AveragedState, TrainState, purpose_key
from resjax.types import Batch, Parameters, PixelImages, Variables

EVALUATION_BATCH = 128
"""Largest batch, in images, in evaluation mode; the results do not depend on it."""


class StepSums(NamedTuple):
    """Sums over the images of each train step. The loop adds them up in float64 on the host and divides once.

    No axis for a single step; `step` for several; (`step`, `replica`) for replicas that are trained together.
    """

    loss: Float32[Array | np.ndarray, "*step_replica"]
    """Cross-entropy without class weights and smoothing, in nats; of mixed images, with both labels by their shares."""
    correct: Int32[Array | np.ndarray, "*step_replica"]
    """Images whose largest logit is the label's; of mixed images, that of the label with the larger share."""


NO_STEPS = StepSums(np.zeros(0, np.float32), np.zeros(0, np.int32))


def make_train_step(
    functional: Functional,
    optimizer: optax.GradientTransformation,
    augmentations: tuple[Augmentation, ...] = (),
    class_weights: tuple[float, ...] | None = None,
    *,
    mixup: float = 0.0,
    cutmix: float = 0.0,
    label_smoothing: float = 0.0,
    ema_decay: float = 0.0,
) -> Callable[[TrainState, Batch], tuple[TrainState, StepSums]]:
    """A pure function of (state, batch): augment, mix, forward, mean cross-entropy, backward, update, average.

    The batch is uint8 images (batch, height, width, 3) and labels (batch,). Jit it with `donate_argnums=0`. Weights of
    the classes and label smoothing are in the loss that is minimized (see `batch_loss`) and never in the sums.

    Args:
      functional: the network.
      optimizer: whose state is part of the training state.
      augmentations: random changes of the images.
      class_weights: of the loss that is minimized.
      mixup: alpha of mixup, 0 for none.
      cutmix: alpha of CutMix, 0 for none.
      label_smoothing: of the loss that is minimized.
      ema_decay: of the averages, if the state is an `AveragedState`.

    Raises:
      BadInput: from the step while it is traced, unless images are uint8 and labels are integers, (batch,).
    """

    # Jitted, so that the programs of the full batch and of the last batch trace it once.
    @jax.jit
    def update(gradients: Parameters, state: optax.OptState, parameters: Parameters):
        return apply_gradients(optimizer, gradients, state, parameters)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, StepSums]:
        _require_labels(batch)
        key = purpose_key(state.key, "augmentation", state.step)
        images, own_share = augment(augmentations, key, to_float(batch.images)), None
        if mixup or cutmix:
            images, own_share = mix(purpose_key(state.key, "mixing", state.step), images, mixup, cutmix)
        images = standardize(images)
        drop_key = purpose_key(state.key, "stochastic_depth", state.step)

        def minimized(parameters):
            variables = Variables(parameters, state.variables.statistics)
            logits, statistics = functional.apply_train(variables, images, drop_key)
            loss = batch_loss(logits, batch.labels, class_weights, label_smoothing, own_share)
            return loss.minimized, (statistics, StepSums(loss.plain.sum(), loss.correct))

        gradients, (statistics, sums) = jax.grad(minimized, has_aux=True)(state.variables.parameters)
        parameters, optimizer_state = update(gradients, state.optimizer, state.variables.parameters)
        variables = Variables(parameters, statistics)
        after = replace(state, step=state.step + 1, variables=variables, optimizer=optimizer_state)
        return after.averaged(ema_decay) if isinstance(after, AveragedState) else after, sums

    return train_step


def _require_labels(batch: Batch) -> None:
    labels, images = batch.labels, len(batch.images)
    if labels.shape != (images,) or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise BadInput(
            f"labels of {labels.dtype} and shape {labels.shape}: expected integers of shape ({images},), a class for "
            "each image"
        )


class TrainProgram(NamedTuple):
    """Everything that a compiled train step depends on. Replicas with equal ones share it, whatever their `Rates`."""

    functional: Functional
    recipe: Recipe
    """Without its rates: see `Recipe.without_rates`."""
    steps_per_epoch: int
    class_weights: tuple[float, ...] | None = None
    """Of the loss that is minimized; None if all images count the same."""

    @classmethod
    def of(
        cls,
        functional: Functional,
        recipe: Recipe,
        steps_per_epoch: int,
        class_weights: tuple[float, ...] | None = None,
    ) -> "TrainProgram":
        """The program for a network, a recipe, a number of steps per epoch, and weights of the classes."""
        return cls(functional, recipe.without_rates(), steps_per_epoch, class_weights)

    def train_step(self, state: TrainState, batch: Batch, rates: Rates) -> tuple[TrainState, StepSums]:
        """`make_train_step` with the recipe's optimizer at these rates."""
        optimizer = make_optimizer(self.recipe, self.steps_per_epoch, rates)
        recipe = self.recipe
        step = make_train_step(
            self.functional,
            optimizer,
            recipe.augmentations,
            self.class_weights,
            mixup=recipe.mixup,
            cutmix=recipe.cutmix,
            label_smoothing=recipe.label_smoothing,
            ema_decay=recipe.ema_decay,
        )
        return step(state, batch)


@lru_cache(maxsize=64)
def compiled_step(program: TrainProgram) -> AheadOfTimeJit:
    """The jitted `program.train_step`, shared by all trainers of this program. It donates the state."""
    return AheadOfTimeJit(jax.jit(program.train_step, donate_argnums=0), lambda state, batch, rates: batch.images.shape)


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def run_steps(
    program: TrainProgram, state: TrainState, side: Batch, order: Int32[Array, "step batch"], rates: Rates
) -> tuple[TrainState, StepSums]:
    """One train step for each row of `order`, in one compiled call, on images on the device. It donates the state."""
    return jax.lax.scan(lambda s, indices: program.train_step(s, take(side, indices), rates), state, order)


@lru_cache(maxsize=64)
def _compiled_logits(functional: Functional) -> AheadOfTimeJit:
    def batch_logits(variables: Variables, images: PixelImages):
        return functional.apply_eval(variables, standardize(to_float(images)))

    return AheadOfTimeJit(jax.jit(batch_logits), lambda variables, images: images.shape)


def predict_logits(functional: Functional, variables: Variables, side: Side) -> Float[np.ndarray, "image class"]:
    """The logits of all images of a side in evaluation mode, in the side's order, as float32 on the host."""
    count = len(side.labels)
    batches = side.batches([*padded_batches(count, EVALUATION_BATCH)])
    batch_logits = _compiled_logits(functional)
    logits = [batch_logits(variables, batch.images) for batch in batches]
    return np.concatenate(jax.device_get(logits)).astype(np.float32)[:count]


def compile_epoch_ahead(
    executor: CompilingThread,
    program: TrainProgram,
    state: TrainState,
    rates: Rates,
    images_per_side: tuple[int, int],
    size: tuple[int, int],
) -> None:
    """Compiles the programs of an epoch with one call per step in a thread, in the order of their first calls.

    Args:
      executor: from `resjax.training.ahead_of_time.compiling`.
      program: of the train step.
      state: of `jax.ShapeDtypeStruct`s.
      rates: on the device.
      images_per_side: number of training images, number of validation images.
      size: height and width of an image in pixels.
    """
    train, val = images_per_side
    full, rest = divmod(train, program.recipe.batch_size)
    for count in [program.recipe.batch_size] * bool(full) + [rest] * bool(rest):
        compiled_step(program).compile(executor, state, _batch_shapes(count, size), rates)
    images = _batch_shapes(padded_batches(val, EVALUATION_BATCH).shape[1], size).images
    _compiled_logits(program.functional).compile(executor, state.variables, images)


def _batch_shapes(images: int, size: tuple[int, int]) -> Batch:
    return jax.eval_shape(lambda: Batch(jnp.zeros((images, *size, 3), jnp.uint8), jnp.zeros(images, jnp.int32)))
