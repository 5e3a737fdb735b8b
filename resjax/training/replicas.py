"""Several replicas of one arm trained by one program, a step of all of them at a time.

The states are stacked along a first axis, `replica`. What a replica computes is what it would compute alone: its own
key, its own order of the images, its own batch norm. A replica that diverges goes on as a row of NaN that nobody looks
at; no other row depends on it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Float, Int32

from resjax.data.augmentation import standardize, to_float
from resjax.data.pipeline import epoch_order, padded_batches, take
from resjax.training.loop import EVALUATION_BATCH, NO_STEPS, Begun, EpochResult, StepSums, Trainer, UnfinishedEpoch
from resjax.training.mesh import SpreadSide, by_replica, everywhere, make_mesh, of_batch, put
from resjax.training.optimizer import Rates
from resjax.training.state import TrainState, purpose_key
from resjax.types import BadInput, Batch, Variables

SLOWER = {"vmap": "map", "map": "sequential", "devices": "sequential"}
"""What is tried next where a way needs more memory than there is."""
SMALL_STEP = 1e11
"""Floating-point operations of a train step below which an accelerator is taken to be idle between its kernels."""


@dataclass(frozen=True)
class Way:
    """How the replicas of an arm are trained."""

    name: str
    """Of `resjax.training.recipe.WAYS`."""
    batch: int = 1
    """Devices that share each batch."""
    rows: int = 1
    """For `devices`, how many replicas are trained at a time."""
    note: str = ""
    """Why it is not what was asked for."""

    def at_once(self, replicas: int) -> int:
        """How many of so many replicas are trained at a time, at most."""
        return {"sequential": 1, "devices": self.rows}.get(self.name, replicas)

    def slower(self, note: str) -> "Way":
        """The next way that needs less memory."""
        return replace(self, name=SLOWER[self.name], rows=1, note=note)

    def describe(self, replicas: int) -> str:
        """In words for the records, of a group of so many replicas."""
        text = self.name if self.name == "sequential" else f"{self.name} of {replicas}"
        spread = f", each batch over {self.batch} devices" if self.batch > 1 else ""
        return text + spread + (f" ({self.note})" if self.note else "")


def choose_way(asked: str, mesh: Mapping[str, int] | None, step_flops: float) -> Way:
    """How an arm is trained on the devices that there are.

    `auto` is one replica a device where there are several devices. On one CPU it is one after another, by measurement
    (BUILD_NOTES.md has it). On one accelerator it is `vmap` for steps of fewer than `SMALL_STEP` operations, because
    their kernels end before the next ones are launched: reasoned, not measured.

    Args:
      asked: of `resjax.training.recipe.WAYS`, or `auto`.
      mesh: devices an axis, where they are given.
      step_flops: of one train step of one replica.

    Raises:
      BadInput: for a mesh that there are too few devices for, one with rows that the way has no use for, and with
        several processes one that leaves devices out.
    """
    devices = len(jax.devices())
    if mesh:
        make_mesh(**mesh)
        if mesh["replica"] > 1 and asked not in ("auto", "devices"):
            raise BadInput(f"--mesh=replica:{mesh['replica']} with --replicas_as={asked}: devices or auto is accepted")
        if jax.process_count() > 1 and mesh["replica"] * mesh["batch"] < devices:
            raise BadInput(
                f"--mesh=replica:{mesh['replica']},batch:{mesh['batch']}: with several processes a mesh of all "
                f"{devices} devices is accepted"
            )
    elif jax.process_count() > 1 and asked not in ("auto", "devices"):
        # All processes have to have a part in every step.
        mesh = {"replica": 1, "batch": devices}
    batch = mesh["batch"] if mesh else 1
    rows = mesh["replica"] if mesh else devices
    if asked == "auto":
        small = jax.default_backend() != "cpu" and step_flops < SMALL_STEP
        asked = "devices" if rows > 1 else "vmap" if small else "sequential"
    if asked == "devices":
        return Way(asked, batch, rows) if rows > 1 else Way("sequential", batch, note="there is one device")
    return Way(asked, batch)


class Together:
    """One arm's programs for `way`, on the data of its trainer.

    Args:
      trainer: what one replica does.
      way: `map` (one after another inside the program), `vmap`, or `devices` (one a row of the mesh).
      mesh: of (replica, batch); its `replica` axis is 1 but for `devices`, where it is the number of replicas at most.
        Rows that are left over repeat the first replica.
    """

    def __init__(self, trainer: Trainer, way: str, mesh: Mesh):
        self.trainer, self.mesh = trainer, mesh
        over = _over_replicas(way, mesh)
        shardings = by_replica(mesh), everywhere(mesh)
        step = over(trainer.program.train_step)

        def scan_steps(states: TrainState, side: Batch, order: Int32[jax.Array, "step replica batch"], rates: Rates):
            def one(states, indices):
                batch = take(side, indices)
                return step(states, jax.lax.with_sharding_constraint(batch, of_batch(mesh, indices.shape)), rates)

            return jax.lax.scan(one, states, order)

        def logits(variables: Variables, images):
            images = standardize(to_float(images))
            return over(lambda variables, _: trainer.functional.apply_eval(variables, images))(variables, None)

        self._step = jax.jit(step, donate_argnums=0, out_shardings=shardings)
        self._scan = jax.jit(scan_steps, donate_argnums=0, out_shardings=shardings)
        self._logits = jax.jit(logits, out_shardings=everywhere(mesh))
        self._apart = jax.jit(_apart, out_shardings=everywhere(mesh))
        self._train, self._val = SpreadSide(trainer.train, mesh), SpreadSide(trainer.val, mesh)

    def run_epoch(
        self,
        states: TrainState,
        orders: Sequence[tuple[np.ndarray, np.ndarray]],
        *,
        rates: Rates | None = None,
        scan: bool | None = None,
        begun: StepSums | None = None,
    ) -> tuple[TrainState, StepSums]:
        """One pass over all training images, for each replica in its own order; sums (step, replica), on the host.

        `scan` and `begun` as in `Trainer.run_epoch`; `rates` has one of each a replica, by default the trainer's for
        all.
        """
        if rates is None:
            rates = self._rates([self.trainer] * len(orders))
        if scan is None:
            scan = jax.default_backend() != "cpu"
        full, rest = (np.stack(part, axis) for part, axis in zip(zip(*orders, strict=True), (1, 0), strict=True))
        resident = self._train.on_device if scan else None
        sums = [] if begun is None else [begun]
        batches = []
        full = full[0 if begun is None else len(begun.loss) :]
        if resident is None:
            batches = [*full]
        elif len(full):
            states, stacked = self._scan(states, resident, put(full, everywhere(self.mesh)), rates)
            sums.append(stacked)
        if rest.size:
            batches.append(rest)
        for batch in self._train.batches(batches):
            if self.trainer.asked_to_stop():
                break
            states, one = self._step(states, batch, rates)
            sums.append(one)
        none = StepSums(*(each.reshape(0, len(orders)) for each in NO_STEPS))
        parts = zip(none, *jax.device_get(sums), strict=True)
        return states, StepSums(*(np.concatenate([np.atleast_2d(part) for part in field]) for field in parts))

    def predict_logits(self, variables: Variables) -> Float[np.ndarray, "replica image class"]:
        """The logits of val in evaluation mode, in order, on the host."""
        count = len(self.trainer.val.labels)
        order = padded_batches(count, EVALUATION_BATCH)
        size = order.shape[1]
        order = np.pad(order, ((0, 0), (0, -size % self.mesh.shape["batch"])))
        logits = [self._logits(variables, batch.images)[:, :size] for batch in self._val.batches([*order])]
        return np.concatenate(jax.device_get(logits), 1).astype(np.float32)[:, :count]

    def fit(
        self,
        states: Sequence[TrainState],
        *,
        first_epoch: int = 1,
        best: Sequence[float] = (),
        begun: Sequence[Begun] = (),
        trainers: Sequence[Trainer] = (),
    ) -> Iterator[list[EpochResult | UnfinishedEpoch | None]]:
        """`Trainer.fit` for several replicas that stand at the same step; None for one that has diverged before.

        `trainers` are those of the replicas where they differ in their rates: all of the same program, on the same
        images. An epoch's seconds are each replica's share of those that passed. No state given or yielded is donated.
        """
        trainer = self.trainer
        trainers = [*trainers] or [trainer] * len(states)
        bests = [*best] or [-1.0] * len(states)
        rows = _filled(states, self.mesh)
        rates = self._rates(_filled(trainers, self.mesh))
        keys = [state.key for state in rows]
        stacked = _stack(rows, self.mesh)
        alive = [True] * len(states)
        for epoch in range(first_epoch, trainer.recipe.epochs + 1):
            start = time.perf_counter()
            orders = [
                jax.device_get(
                    epoch_order(purpose_key(key, "order", epoch), len(trainer.train.labels), trainer.recipe.batch_size)
                )
                for key in keys
            ]
            over = [each.sums for each in _filled(begun, self.mesh)]
            start -= sum(each.seconds for each in begun)
            stacked, sums = self.run_epoch(
                stacked,
                orders,
                rates=rates,
                begun=jax.tree.map(lambda *rows: np.stack(rows, 1), *over) if over else None,
            )
            begun = ()
            trained = time.perf_counter()
            if len(sums.loss) < trainer.steps_per_epoch:
                seconds = (trained - start) / len(states)
                yield [
                    UnfinishedEpoch(epoch, state, Begun(_of_row(sums, row), seconds)) if alive[row] else None
                    for row, state in enumerate(self._apart(stacked)[: len(states)])
                ]
                return
            logits = self.predict_logits(stacked.variables)
            after = self._apart(stacked)
            seconds = (time.perf_counter() - start) / len(states), (trained - start) / len(states)
            results = []
            for row, state in enumerate(after[: len(states)]):
                result = trainers[row].epoch_result(epoch, state, _of_row(sums, row), logits[row], bests[row], *seconds)
                results.append(result if alive[row] else None)
                if result.metrics["is_best"]:
                    bests[row] = result.metrics["val_accuracy"]
                alive[row] &= result.diverged_step is None
            yield results
            if not any(alive):
                return

    def _rates(self, trainers: Sequence[Trainer]) -> Rates:
        """The rates of replicas along their axis, on the mesh as their states are."""
        rates = [Rates.of(trainer.recipe) for trainer in trainers]
        stacked = (np.stack(field) for field in zip(*rates, strict=True))
        return Rates(*(put(field, by_replica(self.mesh)) for field in stacked))


def _over_replicas(way: str, mesh: Mesh) -> Callable[[Callable], Callable]:
    """From a function of one replica's arrays to that of all, with the replicas along the first axis."""
    if way == "vmap":
        return jax.vmap
    if way == "map":
        return lambda function: lambda *arrays: jax.lax.map(lambda each: function(*each), arrays)

    def on_rows(function: Callable) -> Callable:
        def on_own_row(*arrays):
            own = function(*jax.tree.map(lambda array: array[0], arrays))
            return jax.tree.map(lambda array: array[None], own)

        # By hand over `replica` alone: within a row the compiler parts the batch. A vmap over rows would make grouped
        # convolutions of the replicas, and leave it to the compiler to part these again.
        spec = PartitionSpec("replica")
        return jax.shard_map(on_own_row, mesh=mesh, in_specs=spec, out_specs=spec, axis_names={"replica"})

    return on_rows


def _filled(rows: Sequence, mesh: Mesh) -> list:
    """As many as the mesh has rows: the first again and again where there are fewer, none where there are none."""
    return [*rows, *rows[:1] * (mesh.shape["replica"] - len(rows))] if rows else []


def _of_row(sums: StepSums, row: int) -> StepSums:
    return StepSums(sums.loss[:, row], sums.correct[:, row])


def _stack(states: Sequence[TrainState], mesh: Mesh) -> TrainState:
    """The states along a new first axis, spread over the rows of a mesh."""
    sharding = by_replica(mesh)

    def stack(*leaves: jax.Array) -> jax.Array:
        if jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
            data = np.stack([np.asarray(jax.random.key_data(leaf)) for leaf in leaves])
            return jax.random.wrap_key_data(put(data, sharding), impl=jax.random.key_impl(leaves[0]))
        return put(np.stack([np.asarray(leaf) for leaf in leaves]), sharding)

    return jax.tree.map(stack, *states)


def _apart(states: TrainState) -> list[TrainState]:
    return [jax.tree.map(lambda array, row=row: array[row], states) for row in range(len(states.step))]
