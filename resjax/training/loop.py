"""The training loop: epochs, their metrics, stopping and resuming, for one replica or for several at once."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32

from resjax.data.pipeline import ResidentSide, Side, epoch_order
from resjax.evaluation.metrics import loss_and_accuracy
from resjax.functional import Functional
from resjax.models.layers import key_of_seed
from resjax.models.torch_weights import StateDict
from resjax.training.ahead_of_time import CompilingThread, StillCompiling
from resjax.training.loss import class_weights
from resjax.training.optimizer import Rates, has_own_rate, learning_rate_schedule, make_optimizer
from resjax.training.recipe import Recipe
from resjax.training.state import TrainState, first_state, initial_state, purpose_key
from resjax.training.step import (
    NO_STEPS,
    StepSums,
    TrainProgram,
    compile_epoch_ahead,
    compiled_step,
    predict_logits,
    run_steps,
)
from resjax.types import Batch, Variables

LEAST_QUEUED, MOST_QUEUED = 1, 16
"""Steps that are begun before the first of them is finished. On two cores a narrow network's step takes 32 ms with 3
steps in the queue, and 27 with many: the thread that begins the next one disturbs those that compute."""
QUEUED_SECONDS = 0.3
"""A stop request waits for all steps that are begun, and on a CPU each may hold its temporary memory. A step that
takes longer than half of this begins when the one before has ended, and uses the same memory again."""
ImageNumbers = Int32[Array | np.ndarray, "..."]


class PartialEpoch(NamedTuple):
    """The finished part of an epoch that training was stopped in: steps, or all of them without the evaluation."""

    sums: StepSums
    """Of its steps."""
    seconds: float
    """Training time of these steps."""


class UnfinishedEpoch(NamedTuple):
    """An epoch that ended early because training was asked to stop. `fit` resumes from it bit for bit."""

    epoch: int
    """Its number, from 1."""
    state: TrainState
    """After the last finished step."""
    partial: PartialEpoch


class EpochResult(NamedTuple):
    """An epoch's line for `metrics.jsonl`, and the state after it."""

    metrics: dict[str, Any]
    """Accuracies are fractions, losses nats per image: exact means over all images."""
    state: TrainState
    diverged_step: int | None
    """The first step (from 1, over the whole run) with a loss that was not finite; None if all were finite."""
    val_correct: Bool[np.ndarray, " image"]
    """Which validation images the network classifies correctly after this epoch."""


class StepQueue:
    """Bounds the steps that are begun and not finished: about a third of a second of them, 1 to 16."""

    def __init__(self) -> None:
        self._most, self._finished = LEAST_QUEUED, 0.0
        self._begun: deque[Any] = deque()

    def wait(self) -> None:
        """Waits until another step may begin."""
        while len(self._begun) >= self._most:
            jax.block_until_ready(self._begun.popleft())
            now = time.perf_counter()
            if self._finished:
                steps = int(QUEUED_SECONDS / max(now - self._finished, 1e-6))
                self._most = min(max(steps, LEAST_QUEUED), MOST_QUEUED)
            self._finished = now

    def add(self, results: Any) -> None:
        """Notes that a step has begun which gives these arrays; they are not donated to the next."""
        self._begun.append(results)


class EpochSteps(NamedTuple):
    """How the steps of an epoch are computed, for one replica or for several at once.

    Several replicas have a `replica` axis: the first one of states and batches, the last one of sums.
    """

    batches: Callable[[Sequence[np.ndarray]], Iterator[Batch]]
    """From the image numbers of each batch to the batches, on the device."""
    step: Callable[[TrainState, Batch], tuple[TrainState, StepSums]]
    """One train step. It donates the state."""
    all_full_batches: Callable[[TrainState, ImageNumbers], tuple[TrainState, StepSums]] | None
    """All full batches in one compiled call; None if every step is a call."""
    asked_to_stop: Callable[[], bool]
    """Called before each step that is a call of its own, and before the call for all full batches."""

    def run(
        self,
        state: TrainState,
        order: tuple[ImageNumbers, ImageNumbers],
        finished: StepSums,
        first_step: int,
    ) -> tuple[TrainState, StepSums]:
        """Runs the steps of an epoch that are left. Returns fewer sums than steps if asked to stop.

        Args:
          state: after the finished steps. It is donated.
          order: the image numbers of the epoch's full batches (step, *replica, batch), and of its last, smaller batch
            (*replica, rest), which may be empty.
          finished: sums of the steps of this epoch that are finished, (step,) or (step, replica).
          first_step: number of the epoch's first step, from 0, over the whole run; for profiles.
        """
        full, rest = order
        full = full[len(finished.loss) :]
        sums, batches = [finished], []
        if self.all_full_batches is None:
            batches = [*np.asarray(full)]
        elif len(full):
            if self.asked_to_stop():
                return state, finished
            state, stacked = self.all_full_batches(state, full)
            sums.append(stacked)
        if rest.size and len(finished.loss) <= len(order[0]):
            batches.append(np.asarray(rest))
        first_step += len(order[0]) + bool(rest.size) - len(batches)
        queue = StepQueue()
        for number, batch in enumerate(self.batches(batches), first_step):
            queue.wait()
            if self.asked_to_stop():
                break
            try:
                with jax.profiler.StepTraceAnnotation("train", step_num=number):
                    state, one = self.step(state, batch)
            except StillCompiling:
                break
            sums.append(one)
            queue.add(one)
        # A single step has sums without a step axis.
        shape = (-1, *finished.loss.shape[1:])
        fields = zip(*jax.device_get(sums), strict=True)
        return state, StepSums(*(np.concatenate([np.reshape(part, shape) for part in field]) for field in fields))


@dataclass(frozen=True)
class ReplicaFunctions:
    """What `train_epochs` calls, for one replica or for several at once."""

    run_epoch: Callable[..., tuple[TrainState, StepSums]]
    """From (state, epoch, finished=sums) to the state after the epoch and the sums of its steps."""
    predict_logits: Callable[[Variables], Float[np.ndarray, "replica image class"]]
    """Logits of the validation images."""
    separate: Callable[[TrainState], Sequence[TrainState]]
    """One state per replica, for the caller. There may be more than replicas; the rest is left out."""


def train_epochs(
    functions: ReplicaFunctions,
    trainers: Sequence["Trainer"],
    state: TrainState,
    *,
    first_epoch: int,
    best: Sequence[float],
    partial: PartialEpoch,
) -> Iterator[list[EpochResult | UnfinishedEpoch | None]]:
    """Trains one replica per trainer from `first_epoch` to the recipe's last epoch; yields their results per epoch.

    A replica whose loss is not finite yields None from the next epoch on; the loop ends when none is left. If asked to
    stop inside an epoch, the loop yields an `UnfinishedEpoch` per replica last.

    Args:
      functions: how the replicas compute.
      trainers: of the replicas, equal except for learning rate and weight decay.
      state: of all replicas. It is donated.
      first_epoch: number of the epoch to begin with or to resume.
      best: best validation accuracy of each replica so far, -1 if there is none.
      partial: the finished part of `first_epoch`: sums of all replicas, and seconds of all together.
    """
    trainer, count = trainers[0], len(trainers)
    best, alive = [*best], [True] * count
    finished, earlier = partial
    nothing = StepSums(*(field[:0] for field in finished))
    for epoch in range(first_epoch, trainer.recipe.epochs + 1):
        start = time.perf_counter() - earlier
        state, sums = functions.run_epoch(state, epoch, finished=finished)
        finished, earlier = nothing, 0.0
        trained = time.perf_counter()
        own_sums = [_of_replica(sums, row) for row in range(count)]
        logits = None
        if len(sums.loss) == trainer.steps_per_epoch and not trainer.asked_to_stop():
            with suppress(StillCompiling):
                logits = functions.predict_logits(state.evaluated)
        if logits is None:
            seconds = (trained - start) / count
            rows = zip(functions.separate(state), own_sums, alive, strict=False)
            yield [
                UnfinishedEpoch(epoch, each, PartialEpoch(own, seconds)) if live else None for each, own, live in rows
            ]
            return
        states = functions.separate(state)
        # Each replica's share of the time.
        seconds = (time.perf_counter() - start) / count, (trained - start) / count
        results: list[EpochResult | UnfinishedEpoch | None] = []
        for row, own in enumerate(trainers):
            result = own.epoch_result(epoch, states[row], own_sums[row], logits[row], best[row], *seconds)
            results.append(result if alive[row] else None)
            if result.metrics["is_best"]:
                best[row] = result.metrics["val_accuracy"]
            alive[row] &= result.diverged_step is None
        yield results
        if not any(alive):
            return


def _of_replica(sums: StepSums, row: int) -> StepSums:
    return sums if sums.loss.ndim == 1 else StepSums(sums.loss[:, row], sums.correct[:, row])


class Trainer:
    """Trains replicas of one network on its data, one at a time. Trainers of equal `program` share compiled programs.

    Args:
      functional: the network.
      recipe: how it is trained.
      train: training images and labels.
      val: validation images and labels.
      weights: weights that every replica starts from (see `initial_state`); None for random ones.
      asked_to_stop: called before each call that trains, and before the evaluation. If it returns True, the epoch ends
        there, unfinished.
      scan: whether all full batches of an epoch run in one compiled call, which needs resident images. By default on
        GPU and TPU only: on CPU a convolution inside a loop is many times slower (jax#12868).
    """

    def __init__(
        self,
        functional: Functional,
        recipe: Recipe,
        train: Side,
        val: Side,
        weights: StateDict | None = None,
        asked_to_stop: Callable[[], bool] = lambda: False,
        scan: bool | None = None,
    ):
        self.functional = functional = replace(functional, frozen=recipe.freeze)
        self.recipe, self.train, self.val, self.weights = recipe, train, val, weights
        self.asked_to_stop = asked_to_stop
        self.scan = jax.default_backend() != "cpu" if scan is None else scan
        self.steps_per_epoch = -(-len(train.labels) // recipe.batch_size)
        self.optimizer = make_optimizer(recipe, self.steps_per_epoch)
        self.learning_rate = learning_rate_schedule(recipe, self.steps_per_epoch)
        weights_of_classes = class_weights(recipe, train.labels, functional.classes)
        self.program = TrainProgram.of(functional, recipe, self.steps_per_epoch, weights_of_classes)
        # On the device, so that no step transfers them.
        self.rates = jax.device_put(Rates.of(recipe))

    def _rate_after(self, epoch: int) -> float:
        """The learning rate of an epoch's last step."""
        return float(jnp.asarray(self.learning_rate(epoch * self.steps_per_epoch - 1)))

    def initial_state(self, seed: int) -> TrainState:
        """The state of replica `seed` before its first step.

        Raises:
          BadInput: if the weights do not fit the network.
        """
        return initial_state(self.functional, self.optimizer, seed, self.weights, averaged=self.recipe.ema_decay > 0)

    def compile_ahead(self, executor: CompilingThread, size: tuple[int, int]) -> None:
        """Compiles the programs of an epoch on CPU in a thread, for images of (height, width) pixels."""

        def any_state(variables: Variables) -> TrainState:
            return first_state(variables, self.optimizer, key_of_seed(0), averaged=self.recipe.ema_decay > 0)

        state = jax.eval_shape(any_state, self.functional.shapes())
        images = len(self.train.labels), len(self.val.labels)
        compile_epoch_ahead(executor, self.program, state, self.rates, images, size)

    def run_epoch(self, state: TrainState, epoch: int, *, finished: StepSums = NO_STEPS) -> tuple[TrainState, StepSums]:
        """One pass over all training images in the order of (seed, epoch), without evaluation.

        Returns the state after it and sums (step,) on the host: fewer than steps if asked to stop.

        Args:
          state: after the finished steps. It is donated.
          epoch: its number, from 1.
          finished: sums (step,) of the steps of this epoch that are finished.
        """
        resident = self.train.on_device if self.scan and isinstance(self.train, ResidentSide) else None
        step = compiled_step(self.program)
        steps = EpochSteps(
            self.train.batches,
            lambda state, batch: step(state, batch, self.rates),
            None
            if resident is None
            else lambda state, order: run_steps(self.program, state, resident, order, self.rates),
            self.asked_to_stop,
        )
        key = purpose_key(state.key, "order", epoch)
        order = epoch_order(key, len(self.train.labels), self.recipe.batch_size)
        return steps.run(state, order, finished, (epoch - 1) * self.steps_per_epoch)

    def fit(
        self, state: TrainState, *, first_epoch: int = 1, best: float = -1.0, partial: PartialEpoch | None = None
    ) -> Iterator[EpochResult | UnfinishedEpoch]:
        """Trains from `first_epoch` to the recipe's last epoch and yields a result after each.

        It ends when the loss is not finite. On a stop request inside an epoch it yields an `UnfinishedEpoch` last;
        passing back its epoch number, state and `partial` resumes bit for bit.

        Args:
          state: donated to the first epoch, as each yielded state is to the next: copy what you keep.
          first_epoch: number of the epoch to begin with or to resume.
          best: best validation accuracy so far. An epoch is best if it is higher, so the earliest wins ties.
          partial: the finished part of `first_epoch`, if that was stopped.
        """
        functions = ReplicaFunctions(
            self.run_epoch,
            lambda variables: predict_logits(self.functional, variables, self.val)[None],
            lambda state: [state],
        )
        partial = partial or PartialEpoch(NO_STEPS, 0.0)
        for (result,) in train_epochs(functions, [self], state, first_epoch=first_epoch, best=[best], partial=partial):
            assert result is not None, "the loop ends with its only replica"
            yield result

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
        """The metrics of an epoch, from its sums (step,) and the logits of the validation images after it."""
        val_loss, val_accuracy = loss_and_accuracy(logits, self.val.labels)
        images = len(self.train.labels)
        bad = np.flatnonzero(~np.isfinite(sums.loss))
        diverged = bool(len(bad)) or not np.isfinite(val_loss)
        last_step = (epoch - 1) * self.steps_per_epoch + int(bad[0] if len(bad) else len(sums.loss) - 1) + 1
        return EpochResult(
            {
                "epoch": epoch,
                "train_loss": float(np.sum(sums.loss, dtype=np.float64)) / images,
                "train_accuracy": int(sums.correct.sum()) / images,
                "val_loss": val_loss,
                "val_accuracy": val_accuracy,
                "learning_rate": None if has_own_rate(self.recipe) else self._rate_after(epoch),
                "is_best": not diverged and val_accuracy > best,
                "seconds": seconds,
                "images_per_second": images / training_seconds,
            },
            state,
            last_step if diverged else None,
            logits.argmax(-1) == self.val.labels,
        )
