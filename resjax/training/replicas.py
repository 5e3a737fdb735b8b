"""Several replicas of one network trained by one program, a step of all of them at a time.

The states are stacked along a first axis, `replica`. Each replica computes what it would compute alone: it has its own
key, its own order of the images and its own batch norm. A replica that diverges stays as a row of NaN that is not
reported; no other row depends on it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial as bound
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Float, Int32

from resjax.data.augmentation import standardize, to_float
from resjax.data.pipeline import epoch_order, padded_batches, take
from resjax.errors import BadInput
from resjax.training.loop import (
    EpochResult,
    EpochSteps,
    PartialEpoch,
    ReplicaFunctions,
    Trainer,
    UnfinishedEpoch,
    train_epochs,
)
from resjax.training.mesh import ShardedSide, batch_sharding, make_mesh, put_global, replica_sharding, replicated
from resjax.training.optimizer import Rates
from resjax.training.state import TrainState, purpose_key
from resjax.training.step import EVALUATION_BATCH, NO_STEPS, StepSums
from resjax.types import Batch, PixelImages, PRNGKey, Variables

T = TypeVar("T")
SLOWER = {"vmap": "map", "map": "sequential", "devices": "sequential"}
"""The way that is tried next if one needs more memory than the device has."""
SMALL_STEP = 1e11
"""Floating-point operations of a train step. Below this an accelerator is assumed to be idle between its kernels."""


@dataclass(frozen=True)
class Way:
    """How the replicas of a network are trained."""

    name: str
    """One of `resjax.training.recipe.WAYS`."""
    batch: int = 1
    """Devices that share each batch."""
    rows: int = 1
    """For `devices`: number of replicas that are trained at a time."""
    note: str = ""
    """Why it is not the way that was asked for; empty if it is."""

    def at_once(self, replicas: int) -> int:
        """The largest number of replicas, out of `replicas`, that are trained at a time."""
        return {"sequential": 1, "devices": self.rows}.get(self.name, replicas)

    def slower(self, note: str) -> "Way":
        """The next way, which needs less memory.

        Raises:
          KeyError: for `sequential`, which needs the least.
        """
        return replace(self, name=SLOWER[self.name], rows=1, note=note)

    def describe(self, replicas: int) -> str:
        """The text for the records, for a group of `replicas`."""
        text = self.name if self.name == "sequential" else f"{self.name} of {replicas}"
        spread = f", each batch over {self.batch} devices" if self.batch > 1 else ""
        return text + spread + (f" ({self.note})" if self.note else "")


def choose_way(asked: str, mesh: Mapping[str, int] | None, step_flops: float) -> Way:
    """How the replicas of a network are trained on the available devices.

    `auto` is one replica per device if there are several devices. On one CPU it is one after another, which was the
    fastest by measurement. On one accelerator it is `vmap` for steps of fewer than `SMALL_STEP` operations, whose
    kernels end before the next ones are launched (not measured).

    Args:
      asked: one of `resjax.training.recipe.WAYS`, or `auto`.
      mesh: number of devices per axis, if given.
      step_flops: floating-point operations of one train step of one replica.

    Raises:
      BadInput: if the mesh needs more devices than there are, has replica rows that the way does not use, or leaves
        devices out although there are several processes.
    """
    devices = len(jax.devices())
    if mesh:
        make_mesh(**mesh)
        if mesh["replica"] > 1 and asked not in ("auto", "devices"):
            raise BadInput(f"--mesh=replica:{mesh['replica']} with --replicas_as={asked}: expected devices or auto")
        if jax.process_count() > 1 and mesh["replica"] * mesh["batch"] < devices:
            raise BadInput(
                f"--mesh=replica:{mesh['replica']},batch:{mesh['batch']}: expected a mesh of all {devices} devices, "
                "because there are several processes"
            )
    elif jax.process_count() > 1 and asked not in ("auto", "devices"):
        # Every process has to take part in every step.
        mesh = {"replica": 1, "batch": devices}
    batch = mesh["batch"] if mesh else 1
    rows = mesh["replica"] if mesh else devices
    if asked == "auto":
        small = jax.default_backend() != "cpu" and step_flops < SMALL_STEP
        asked = "devices" if rows > 1 else "vmap" if small else "sequential"
    if asked == "devices":
        return Way(asked, batch, rows) if rows > 1 else Way("sequential", batch, note="there is one device")
    return Way(asked, batch)


class ReplicaTrainer:
    """Trains several replicas of one network at once, on the data of its trainer.

    Args:
      trainer: of one replica.
      way: `map` (one after another inside the program), `vmap`, or `devices` (one on each row of the mesh).
      mesh: with the axes (replica, batch). The size of `replica` is 1, or for `devices` the largest number of replicas;
        rows that are left over repeat the first replica.
    """

    def __init__(self, trainer: Trainer, way: str, mesh: Mesh):
        self.trainer, self.mesh = trainer, mesh
        over = _over_replicas(way, mesh)
        shardings = replica_sharding(mesh), replicated(mesh)
        step = over(trainer.program.train_step)

        def scan_steps(states: TrainState, side: Batch, order: Int32[jax.Array, "step replica batch"], rates: Rates):
            def one(states, indices):
                batch = take(side, indices)
                return step(states, jax.lax.with_sharding_constraint(batch, batch_sharding(mesh, indices.shape)), rates)

            return jax.lax.scan(one, states, order)

        def logits(variables: Variables, images: PixelImages):
            images = standardize(to_float(images))
            return over(lambda variables, _: trainer.functional.apply_eval(variables, images))(variables, None)

        self._step = jax.jit(step, donate_argnums=0, out_shardings=shardings)
        self._scan = jax.jit(scan_steps, donate_argnums=0, out_shardings=shardings)
        self._logits = jax.jit(logits, out_shardings=replicated(mesh))
        self._separate = jax.jit(_separate, out_shardings=replicated(mesh))
        self._train, self._val = ShardedSide(trainer.train, mesh), ShardedSide(trainer.val, mesh)

    def fit(
        self,
        states: Sequence[TrainState],
        *,
        first_epoch: int = 1,
        best: Sequence[float] = (),
        partial: Sequence[PartialEpoch] = (),
        trainers: Sequence[Trainer] = (),
    ) -> Iterator[list[EpochResult | UnfinishedEpoch | None]]:
        """`Trainer.fit` for several replicas that are at the same step.

        Yields one result per replica and epoch, None for a replica that diverged in an earlier epoch. The seconds of an
        epoch are each replica's share. No state that is given or yielded is donated.

        Args:
          states: one per replica.
          first_epoch: number of the epoch to begin with or to resume.
          best: best validation accuracy of each replica so far; empty if there is none.
          partial: the finished part of `first_epoch` for each replica; empty if that was not begun.
          trainers: of each replica, if they differ in learning rate or weight decay; equal in program and images.
        """
        trainers = [*trainers] or [self.trainer] * len(states)
        rows = _padded(states, self.mesh)
        keys = [state.key for state in rows]
        functions = ReplicaFunctions(
            bound(self._run_epoch, keys, self._rates(_padded(trainers, self.mesh))),
            self._predict_logits,
            self._separate,
        )
        sums = StepSums(*(np.zeros((0, len(rows)), field.dtype) for field in NO_STEPS))
        if partial:
            sums = jax.tree.map(lambda *own: np.stack(own, 1), *(each.sums for each in _padded(partial, self.mesh)))
        yield from train_epochs(
            functions,
            trainers,
            _stack(rows, self.mesh),
            first_epoch=first_epoch,
            best=[*best] or [-1.0] * len(states),
            partial=PartialEpoch(sums, sum(each.seconds for each in partial)),
        )

    def _run_epoch(
        self, keys: Sequence[PRNGKey], rates: Rates, states: TrainState, epoch: int, *, finished: StepSums
    ) -> tuple[TrainState, StepSums]:
        """`Trainer.run_epoch` for all replicas, each in its own order; sums (step, replica)."""
        trainer = self.trainer
        images, batch_size = len(trainer.train.labels), trainer.recipe.batch_size
        orders = [jax.device_get(epoch_order(purpose_key(key, "order", epoch), images, batch_size)) for key in keys]
        full, rest = zip(*orders, strict=True)
        resident = self._train.on_device if trainer.scan else None
        steps = EpochSteps(
            self._train.batches,
            lambda states, batch: self._step(states, batch, rates),
            None
            if resident is None
            else lambda states, order: self._scan(states, resident, put_global(order, replicated(self.mesh)), rates),
            trainer.asked_to_stop,
        )
        first_step = (epoch - 1) * trainer.steps_per_epoch
        return steps.run(states, (np.stack(full, 1), np.stack(rest)), finished, first_step)

    def _predict_logits(self, variables: Variables) -> Float[np.ndarray, "replica image class"]:
        """The logits of the validation images in evaluation mode, in order, as float32 on the host."""
        count = len(self.trainer.val.labels)
        order = padded_batches(count, EVALUATION_BATCH)
        size = order.shape[1]
        order = np.pad(order, ((0, 0), (0, -size % self.mesh.shape["batch"])))
        logits = [self._logits(variables, batch.images)[:, :size] for batch in self._val.batches([*order])]
        return np.concatenate(jax.device_get(logits), 1).astype(np.float32)[:, :count]

    def _rates(self, trainers: Sequence[Trainer]) -> Rates:
        """The rates of all replicas, (replica,), sharded as their states are."""
        rates = [Rates.of(trainer.recipe) for trainer in trainers]
        stacked = (np.stack(field) for field in zip(*rates, strict=True))
        return Rates(*(put_global(field, replica_sharding(self.mesh)) for field in stacked))


def _over_replicas(way: str, mesh: Mesh) -> Callable[[Callable], Callable]:
    """Turns a function of one replica's arrays into one of all replicas' arrays, stacked along the first axis."""
    if way == "vmap":
        return jax.vmap
    if way == "map":
        return lambda function: lambda *arrays: jax.lax.map(lambda each: function(*each), arrays)

    def on_rows(function: Callable) -> Callable:
        def on_own_row(*arrays):
            own = function(*jax.tree.map(lambda array: array[0], arrays))
            return jax.tree.map(lambda array: array[None], own)

        # Manual over `replica` only: within a row the compiler shards the batch. A vmap over rows would turn the
        # convolutions of all replicas into grouped ones, which the compiler would have to shard again.
        spec = PartitionSpec("replica")
        return jax.shard_map(on_own_row, mesh=mesh, in_specs=spec, out_specs=spec, axis_names={"replica"})

    return on_rows


def _padded(rows: Sequence[T], mesh: Mesh) -> list[T]:
    """At least as many as the mesh has rows: the first is repeated at the end. None stay none."""
    return [*rows, *rows[:1] * (mesh.shape["replica"] - len(rows))] if rows else []


def _stack(states: Sequence[TrainState], mesh: Mesh) -> TrainState:
    """Stacks the states along a new first axis, sharded over the rows of the mesh."""
    sharding = replica_sharding(mesh)

    def stack(*leaves: jax.Array) -> jax.Array:
        if jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
            data = np.stack([np.asarray(jax.random.key_data(leaf)) for leaf in leaves])
            return jax.random.wrap_key_data(put_global(data, sharding), impl=jax.random.key_impl(leaves[0]))
        return put_global(np.stack([np.asarray(leaf) for leaf in leaves]), sharding)

    return jax.tree.map(stack, *states)


def _separate(states: TrainState) -> list[TrainState]:
    return [jax.tree.map(lambda array, row=row: array[row], states) for row in range(len(states.step))]
