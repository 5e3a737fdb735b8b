"""A replica's checkpoints, `best` and `last`, written by orbax in the background and committed atomically."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import jax
import orbax.checkpoint as ocp

from resjax.training.state import TrainState
from resjax.types import Variables


class Checkpoints:
    """The newest of each kind stays; the one before goes once its successor is complete.

    `best` holds the variables alone; `last` holds the whole state, so that training goes on from it.
    """

    def __init__(self, folder: Path):
        if jax.process_count() > 1:
            # By default each process writes a part of an array that all have, and it is checked that all did.
            handler = ocp.type_handlers.ArrayHandler(use_replica_parallel=False, array_metadata_store=None)
            ocp.type_handlers.register_type_handler(jax.Array, handler, override=True)
        # With several processes the first alone saves, arrays that all have whole: the others do not know the folder.
        processes = ocp.options.MultiprocessingOptions(active_processes={0} if jax.process_count() > 1 else None)
        # Orbax makes no folders for some of the processes alone.
        options = ocp.CheckpointManagerOptions(max_to_keep=1, create=False, multiprocessing_options=processes)
        kinds = [folder.absolute() / kind for kind in ("best", "last")]
        for each in kinds:
            each.mkdir(parents=True, exist_ok=True)
        self._best, self._last = (ocp.CheckpointManager(each, options=options) for each in kinds)

    def save_best(self, epoch: int, variables: Variables) -> None:
        # A kill may fall between `best` and `last` of an epoch: the run that goes on comes to the same numbers again.
        if epoch <= (self._best.latest_step() or 0):
            return
        self._best.save(epoch, args=ocp.args.StandardSave(variables), force=True)

    def save_last(self, epoch: int, state: TrainState) -> None:
        self._last.save(epoch, args=ocp.args.StandardSave(state), force=True)

    @property
    def last_epoch(self) -> int:
        """The epoch of `last`, 0 where there is none."""
        return self._last.latest_step() or 0

    def restore_best(self, like: Variables) -> Variables:
        """The best variables, with the structure and shapes of `like` (arrays or `jax.eval_shape`'s)."""
        return cast(Variables, self._best.restore(self._best.latest_step(), args=ocp.args.StandardRestore(like)))

    def restore_last(self, like: TrainState) -> TrainState:
        """The state after `last_epoch`, with the structure and shapes of `like`."""
        state = cast(TrainState, self._last.restore(self._last.latest_step(), args=ocp.args.StandardRestore(like)))
        if not jax.dtypes.issubdtype(state.key.dtype, jax.dtypes.prng_key):
            # As one of several processes saves it.
            state = replace(state, key=jax.random.wrap_key_data(state.key, impl=jax.random.key_impl(like.key)))
        return state

    def wait(self) -> None:
        """Returns when everything saved so far is on disk."""
        self._best.wait_until_finished()
        self._last.wait_until_finished()

    def close(self) -> None:
        """Waits, then ends the background threads; nothing can be saved afterwards."""
        self._best.close()
        self._last.close()
