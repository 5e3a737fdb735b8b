"""Training of one replica: a step, an epoch, and the whole run."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Float32, Int32

from resjax.data.augmentation import Augmentation, augment, standardize, to_float
from resjax.data.pipeline import ResidentSide, Side, epoch_order, padded_batches, take
from resjax.evaluation.metrics import loss_and_accuracy
from resjax.functional import Functional
from resjax.models.torch_weights import StateDict
from resjax.training.ahead import Ahead
from resjax.training.optimizer import Rates, learning_rate_schedule, make_optimizer
from resjax.training.recipe import Recipe
from resjax.training.state import TrainState, initial_state, purpose_key
from resjax.types import Batch, Parameters, PixelImages, Variables

EVALUATION_BATCH = 128
"""Images at once, at most, where nothing is learned; the results do not depend on it."""


class StepSums(NamedTuple):
    """What a step, or each of several, adds to its epoch's metrics; summed on the host in float64 and divided once."""

    loss: Float32[Array | np.ndarray, "*step"]
    correct: Int32[Array | np.ndarray, "*step"]


NO_STEPS = StepSums(np.zeros(0, np.float32), np.zeros(0, np.int32))


class Begun(NamedTuple):
    """The part of an epoch that was over when training was stopped inside it."""

    sums: StepSums
    """Of its steps."""
    seconds: float
    """That they took."""


class UnfinishedEpoch(NamedTuple):
    """An epoch that ended early because training was asked to stop; it goes on from this state."""

    epoch: int
    state: TrainState
    begun: Begun


class EpochResult(NamedTuple):
    """An epoch's line for `metrics.jsonl`, and the state after it."""

    metrics: dict[str, float | int | bool]
    state: TrainState
    diverged_step: int | None
    """The first step (from 1, over the whole run) whose loss was not finite."""
    val_correct: Bool[np.ndarray, " image"]
    """Which images of val the network after this epoch has right."""


def make_train_step(
    functional: Functional, optimizer: optax.GradientTransformation, augmentations: tuple[Augmentation, ...] = ()
) -> Callable[[TrainState, Batch], tuple[TrainState, StepSums]]:
    """A pure function of (state, batch): augment, forward, mean cross-entropy, backward, update.

    The batch is uint8 images (batch, height, width, 3) and labels (batch,). Jit it with `donate_argnums=0`.
    """

    # Under jit, so that the programs of the full and of the last batch trace it once.
    @jax.jit
    def update(gradients: Parameters, state: optax.OptState, parameters: Parameters):
        updates, state = optimizer.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, StepSums]:
        key = purpose_key(state.key, "augmentation", state.step)
        images = standardize(augment(augmentations, key, to_float(batch.images)))
        drop_key = purpose_key(state.key, "stochastic_depth", state.step)

        def mean_loss(parameters):
            variables = Variables(parameters, state.variables.statistics)
            logits, statistics = functional.apply_train(variables, images, drop_key)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), batch.labels)
            correct = (logits.argmax(-1) == batch.labels).sum(dtype=jnp.int32)
            return losses.mean(), (statistics, StepSums(losses.sum(), correct))

        gradients, (statistics, sums) = jax.grad(mean_loss, has_aux=True)(state.variables.parameters)
        parameters, optimizer_state = update(gradients, state.optimizer, state.variables.parameters)
        return TrainState(state.step + 1, Variables(parameters, statistics), optimizer_state, state.key), sums

    return train_step


class Program(NamedTuple):
    """All that a compiled train step depends on: replicas with equal ones share it, whatever their `Rates`."""

    functional: Functional
    recipe: Recipe
    """`Recipe.without_rates`."""
    steps_per_epoch: int

    @classmethod
    def of(cls, functional: Functional, recipe: Recipe, steps_per_epoch: int) -> "Program":
        return cls(functional, recipe.without_rates(), steps_per_epoch)

    def train_step(self, state: TrainState, batch: Batch, rates: Rates) -> tuple[TrainState, StepSums]:
        """`make_train_step`, by the recipe's optimizer with these rates."""
        optimizer = make_optimizer(self.recipe, self.steps_per_epoch, rates)
        return make_train_step(self.functional, optimizer, self.recipe.augmentations)(state, batch)


@lru_cache(maxsize=64)
def compiled_step(program: Program) -> Ahead:
    """`program.train_step`, compiled once for all who train by it; the state is donated."""
    return Ahead(jax.jit(program.train_step, donate_argnums=0), lambda state, batch, rates: batch.images.shape)


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def run_steps(
    program: Program, state: TrainState, side: Batch, order: Int32[Array, "step batch"], rates: Rates
) -> tuple[TrainState, StepSums]:
    """A compiled step for each row of `order`, on images that lie on the device; the state is donated."""
    return jax.lax.scan(lambda s, indices: program.train_step(s, take(side, indices), rates), state, order)


@lru_cache(maxsize=64)
def _batch_logits(functional: Functional) -> Ahead:
    def batch_logits(variables: Variables, images: PixelImages):
        return functional.apply_eval(variables, standardize(to_float(images)))

    return Ahead(jax.jit(batch_logits), lambda variables, images: images.shape)


def predict_logits(functional: Functional, variables: Variables, side: Side) -> Float[np.ndarray, "image class"]:
    """The logits of all images of a side in evaluation mode, in order, on the host."""
    count = len(side.labels)
    batches = side.batches([*padded_batches(count, EVALUATION_BATCH)])
    batch_logits = _batch_logits(functional)
    logits = [batch_logits(variables, batch.images) for batch in batches]
    return np.concatenate(jax.device_get(logits)).astype(np.float32)[:count]


def _pixels(images: int, size: tuple[int, int]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((images, *size, 3), jnp.uint8)


class Trainer:
    """One arm's training on its data. Trainers of equal `program` share what is compiled for it.

    With `weights` every replica starts from these (see `initial_state`). `asked_to_stop` is called before each step
    that is not part of a longer compiled call: where it says so, the epoch ends there, unfinished.
    """

    def __init__(
        self,
        functional: Functional,
        recipe: Recipe,
        train: Side,
        val: Side,
        weights: StateDict | None = None,
        asked_to_stop: Callable[[], bool] = lambda: False,
    ):
        self.functional = functional = replace(functional, frozen=recipe.freeze)
        self.recipe, self.train, self.val, self.weights = recipe, train, val, weights
        self.asked_to_stop = asked_to_stop
        self.steps_per_epoch = -(-len(train.labels) // recipe.batch_size)
        self.optimizer = make_optimizer(recipe, self.steps_per_epoch)
        self.learning_rate = learning_rate_schedule(recipe, self.steps_per_epoch)
        self.program = Program.of(functional, recipe, self.steps_per_epoch)
        # On the device, so that no step takes them there.
        self.rates = jax.device_put(Rates.of(recipe))

    def initial_state(self, seed: int) -> TrainState:
        """The state of replica `seed` before its first step."""
        return initial_state(self.functional, self.optimizer, seed, self.weights)

    def compile_ahead(self, executor: ThreadPoolExecutor, size: tuple[int, int]) -> None:
        """Has the programs of an epoch on a CPU compiled for images of (height, width), the one needed first first."""
        shapes = self.functional.shapes()
        state = TrainState(
            jax.ShapeDtypeStruct((), jnp.int32),
            shapes,
            jax.eval_shape(self.optimizer.init, shapes.parameters),
            jax.eval_shape(lambda: jax.random.key(0)),
        )
        full, rest = divmod(len(self.train.labels), self.recipe.batch_size)
        for images in [self.recipe.batch_size] * bool(full) + [rest] * bool(rest):
            batch = Batch(_pixels(images, size), jax.ShapeDtypeStruct((images,), jnp.int32))
            compiled_step(self.program).compile(executor, state, batch, self.rates)
        images = padded_batches(len(self.val.labels), EVALUATION_BATCH).shape[1]
        _batch_logits(self.functional).compile(executor, shapes, _pixels(images, size))

    def run_epoch(
        self, state: TrainState, epoch: int, *, scan: bool | None = None, begun: StepSums | None = None
    ) -> tuple[TrainState, StepSums]:
        """One pass over all training images in the order of (seed, epoch); sums by step, on the host.

        With `begun`, the steps that it holds the sums of are over, and `state` is the one after them. Fewer sums than
        steps come back where training was asked to stop.

        With `scan` all full batches run in one compiled call, which needs the images on the device; by default so, but
        not on the CPU, where a convolution inside a loop is many times slower (jax#12868).
        """
        if scan is None:
            scan = jax.default_backend() != "cpu"
        resident = self.train.on_device if scan and isinstance(self.train, ResidentSide) else None
        order, rest = epoch_order(
            purpose_key(state.key, "order", epoch), len(self.train.labels), self.recipe.batch_size
        )
        sums = [] if begun is None else [begun]
        batches = []
        order = order[0 if begun is None else len(begun.loss) :]
        if resident is None:
            batches = [*np.asarray(order)]
        elif len(order):
            state, stacked = run_steps(self.program, state, resident, order, self.rates)
            sums.append(stacked)
        if len(rest):
            batches.append(np.asarray(rest))
        for batch in self.train.batches(batches):
            if self.asked_to_stop():
                break
            state, one = compiled_step(self.program)(state, batch, self.rates)
            sums.append(one)
        parts = zip(NO_STEPS, *jax.device_get(sums), strict=True)
        return state, StepSums(*(np.concatenate([np.atleast_1d(part) for part in field]) for field in parts))

    def fit(
        self, state: TrainState, *, first_epoch: int = 1, best: float = -1.0, begun: Begun | None = None
    ) -> Iterator[EpochResult | UnfinishedEpoch]:
        """Trains from `first_epoch` to the recipe's last, yielding after each; stops where the loss is not finite.

        Where it is asked to stop inside an epoch, that comes last, unfinished. Given back (`begun`, its state, its
        number as `first_epoch`), it comes to what it would have come to.

        `best` is the best validation accuracy so far; an epoch is best where it is higher, so the earliest wins ties.
        The state given, and each one yielded, is donated to the epoch that follows: copy what has to stay.
        """
        for epoch in range(first_epoch, self.recipe.epochs + 1):
            start = time.perf_counter()
            if begun is not None:
                start -= begun.seconds
            state, sums = self.run_epoch(state, epoch, begun=begun.sums if begun else None)
            begun = None
            trained = time.perf_counter()
            if len(sums.loss) < self.steps_per_epoch:
                yield UnfinishedEpoch(epoch, state, Begun(sums, trained - start))
                return
            logits = predict_logits(self.functional, state.variables, self.val)
            result = self.epoch_result(epoch, state, sums, logits, best, time.perf_counter() - start, trained - start)
            best = max(best, result.metrics["val_accuracy"]) if result.metrics["is_best"] else best
            yield result
            if result.diverged_step is not None:
                return

    def epoch_result(
        self,
        epoch: int,
        state: TrainState,
        sums: StepSums,
        logits: Float[np.ndarray, "image class"],
        best: float,
        seconds: float,
        training_seconds: float,
    ) -> EpochResult:
        """What an epoch came to, from its sums by step and the logits of val after it."""
        val_loss, val_accuracy = loss_and_accuracy(logits, self.val.labels)
        images = len(self.train.labels)
        bad = np.flatnonzero(~np.isfinite(sums.loss))
        diverged = bool(len(bad)) or not np.isfinite(val_loss)
        return EpochResult(
            {
                "epoch": epoch,
                "train_loss": float(np.sum(sums.loss, dtype=np.float64)) / images,
                "train_accuracy": int(sums.correct.sum()) / images,
                "val_loss": val_loss,
                "val_accuracy": val_accuracy,
                "learning_rate": float(jnp.asarray(self.learning_rate(epoch * self.steps_per_epoch - 1))),
                "is_best": not diverged and val_accuracy > best,
                "seconds": seconds,
                "images_per_second": images / training_seconds,
            },
            state,
            (epoch - 1) * self.steps_per_epoch + int(bad[0] if len(bad) else len(sums.loss) - 1) + 1
            if diverged
            else None,
            logits.argmax(-1) == self.val.labels,
        )
