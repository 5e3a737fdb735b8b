"""A replica's checkpoints, written by orbax in the background and committed atomically.

Each holds a checksum of its arrays, since orbax's files have none of their own: one that was damaged on the disk is set
aside under a name that says so, and the one before takes its place.
"""

import json
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import PyTree

from resjax.training.late_reports import leave_out_late_reports
from resjax.training.state import TrainState
from resjax.types import Variables

KEPT = 2
"""Of each kind: the newest, and one to fall back to."""
BEST, LAST, UNFINISHED = "best", "last", "unfinished"
ARRAYS, RECORD = "arrays", "record"
"""The parts of a checkpoint. One of before there were checksums has a single part without a name."""


class CheckpointError(OSError):
    """A checkpoint cannot be written, or was damaged while it was in use."""


class Stand(NamedTuple):
    """Where a replica stands after an epoch, or inside the one after it."""

    epoch: int
    state: TrainState
    record: Any
    """What was saved with it; None in a checkpoint of before there were records."""


class Checkpoints:
    """The newest two of each kind stay; older ones go once their successors are complete.

    `best` holds the variables alone; `last` holds the whole state, so that training goes on from it; `unfinished`,
    where there is one, the whole state inside an epoch.
    """

    def __init__(self, folder: Path):
        if jax.process_count() > 1:
            # By default each process writes a part of an array that all have, and it is checked that all did.
            handler = ocp.type_handlers.ArrayHandler(use_replica_parallel=False, array_metadata_store=None)
            ocp.type_handlers.register_type_handler(jax.Array, handler, override=True)
        # With several processes the first alone saves, arrays that all have whole: the others do not know the folder.
        processes = ocp.options.MultiprocessingOptions(active_processes={0} if jax.process_count() > 1 else None)
        # Orbax makes no folders for some of the processes alone.
        self._options = ocp.CheckpointManagerOptions(
            max_to_keep=KEPT, create=False, cleanup_tmp_directories=True, multiprocessing_options=processes
        )
        self._folder = folder
        self._managers: dict[str, ocp.CheckpointManager] = {}
        self._best, self._last = self._manager(BEST), self._manager(LAST)
        if (folder / UNFINISHED).exists():
            self._manager(UNFINISHED)

    def save_best(self, epoch: int, variables: Variables) -> None:
        """Saves in the background; raises CheckpointError where this or the save before cannot be written."""
        self._save(self._best, epoch, variables, None)

    def save_last(self, epoch: int, state: TrainState, record: Any = None) -> None:
        """The same for the whole state, with a record of plain values that comes back with it."""
        self._save(self._last, epoch, state, record)

    def save_unfinished(self, epoch: int, state: TrainState, record: Any) -> None:
        """The same inside the epoch after `epoch`, each time at a later step."""
        step = int(state.step)
        if UNFINISHED in self._managers and step in self._managers[UNFINISHED].all_steps():
            return
        self._save(self._manager(UNFINISHED), step, state, {"epoch": epoch, "saved": record})

    @property
    def last_epoch(self) -> int:
        """The epoch of the newest `last`, 0 where there is none."""
        return self._last.latest_step() or 0

    def stands(self, like: TrainState) -> Iterator[Stand]:
        """Where training can go on from, the newest first; damaged checkpoints are set aside on the way.

        `like` has the structure and shapes (arrays or `jax.eval_shape`'s).
        """
        for kind in (UNFINISHED, LAST):
            manager = self._managers.get(kind)
            for step in sorted(manager.all_steps(), reverse=True) if manager else ():
                restored = self._restore(manager, step, like)
                if restored is None:
                    continue
                state, record = restored
                if kind == LAST:
                    yield Stand(step, state, record)
                elif record["epoch"] >= self.last_epoch:
                    # The epoch that it stands in has not ended since.
                    yield Stand(record["epoch"], state, record["saved"])

    def best_variables(self, epoch: int, like: Variables) -> Variables | None:
        """The variables that were best after this epoch; None where they are not there, or damaged and set aside."""
        if epoch not in self._best.all_steps():
            return None
        restored = self._restore(self._best, epoch, like)
        return None if restored is None else restored[0]

    def restore_best(self, like: Variables) -> Variables:
        """The newest best variables, with the structure and shapes of `like`.

        Raises:
          CheckpointError: where they are damaged.
        """
        variables = self.best_variables(self._best.latest_step() or 0, like)
        if variables is None:
            raise CheckpointError(f"{self._folder}: the best checkpoint was damaged while in use")
        return variables

    def restore_last(self, like: TrainState) -> TrainState:
        """The newest last state, with the structure and shapes of `like`.

        Raises:
          CheckpointError: where it is damaged.
        """
        restored = self._restore(self._last, self.last_epoch, like)
        if restored is None:
            raise CheckpointError(f"{self._folder}: the last checkpoint was damaged while in use")
        return restored[0]

    def forget_after(self, epoch: int) -> None:
        """Removes the checkpoints of later epochs: training goes on from this one, and will come to them again."""
        for manager in (self._best, self._last):
            for later in [step for step in manager.all_steps() if step > epoch]:
                manager.delete(later)

    def keep_newest(self) -> None:
        """Removes what there was to fall back to; for a replica that has come to its end."""
        self.wait()
        for manager in (self._best, self._last):
            for earlier in sorted(manager.all_steps())[:-1]:
                manager.delete(earlier)
        self.forget_unfinished()

    def forget_unfinished(self) -> None:
        """Removes what was saved inside an epoch: it has ended, or is trained again from its start."""
        manager = self._managers.pop(UNFINISHED, None)
        if manager is not None:
            manager.close()
            shutil.rmtree(self._folder / UNFINISHED, ignore_errors=True)

    def wait(self) -> None:
        """Returns when everything saved so far is on disk; raises CheckpointError where it cannot be written."""
        with _clear_errors(self._folder):
            for manager in self._managers.values():
                manager.wait_until_finished()

    def close(self) -> None:
        """Waits, then ends the background threads; nothing can be saved afterwards."""
        with _clear_errors(self._folder), ExitStack() as stack:
            for manager in self._managers.values():
                stack.callback(manager.close)

    def _manager(self, kind: str) -> ocp.CheckpointManager:
        if kind not in self._managers:
            folder = self._folder.absolute() / kind
            folder.mkdir(parents=True, exist_ok=True)
            with _clear_errors(self._folder):
                self._managers[kind] = ocp.CheckpointManager(folder, options=self._options)
        return self._managers[kind]

    def _save(self, manager: ocp.CheckpointManager, step: int, tree: PyTree, record: Any) -> None:
        text = json.dumps(record)
        sealed = {"arrays_crc32": _checksum(tree), "record": text, "record_crc32": zlib.crc32(text.encode())}
        parts = {ARRAYS: ocp.args.StandardSave(tree), RECORD: ocp.args.JsonSave(sealed)}
        with _clear_errors(self._folder):
            manager.save(step, args=ocp.args.Composite(**parts), force=True)

    def _restore(self, manager: ocp.CheckpointManager, step: int, like: PyTree) -> tuple[Any, Any] | None:
        """The arrays and the record of a step; None where they are damaged, which sets the checkpoint aside."""
        path = Path(manager.directory) / str(step)
        # Readers of the parts beside a damaged one go on.
        leave_out_late_reports()
        try:
            return self._sound(manager, path, like)
        except (MemoryError, jax.errors.JaxRuntimeError):
            raise
        except Exception:  # Orbax and tensorstore raise anything on damaged files.
            pass
        self._set_aside(manager, path)
        return None

    def _sound(self, manager: ocp.CheckpointManager, path: Path, like: PyTree) -> tuple[Any, Any]:
        """The arrays and the record of a checkpoint; raises whatever may be where they are damaged."""
        arrays = ocp.args.StandardRestore(like)
        if (path / "default").exists():
            return manager.restore(int(path.name), args=arrays), None
        parts = {ARRAYS: arrays, RECORD: ocp.args.JsonRestore()}
        restored = manager.restore(int(path.name), args=ocp.args.Composite(**parts))
        sealed = restored[RECORD]
        if zlib.crc32(sealed["record"].encode()) != sealed["record_crc32"]:
            raise CheckpointError(f"{path}: its record is not what its checksum says")
        if _checksum(restored[ARRAYS]) != sealed["arrays_crc32"]:
            raise CheckpointError(f"{path}: its arrays are not what their checksum says")
        # As one of several processes saves them, keys come back as plain numbers.
        return jax.tree.map(_typed_key, restored[ARRAYS], like), json.loads(sealed["record"])

    def _set_aside(self, manager: ocp.CheckpointManager, path: Path) -> None:
        # Beside the folder of its kind, in which orbax would take it for one of its own.
        aside = self._folder / f"{path.parent.name}-{path.name}.damaged"
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(path, aside)
        manager.reload()
        print(f"WARNING: {path} is damaged: it is now {aside.name}, and the state before it counts", flush=True)


def _typed_key(array: jax.Array, like: Any) -> jax.Array:
    if not jnp.issubdtype(like.dtype, jax.dtypes.prng_key) or jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return array
    return jax.random.wrap_key_data(array, impl=jax.random.key_impl(like))


@contextmanager
def _clear_errors(folder: Path) -> Iterator[None]:
    """Turns what orbax raises when it cannot write, which may be anything, into one kind of error."""
    try:
        yield
    except (CheckpointError, MemoryError, jax.errors.JaxRuntimeError):
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise CheckpointError(f"{folder}: a checkpoint cannot be written ({text[:300]})") from error


def _checksum(tree: PyTree) -> int:
    """The CRC-32 of all arrays of a tree, with their types and shapes, in order."""
    total = 0
    for leaf in jax.tree.leaves(tree):
        data = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        array = np.ascontiguousarray(data)
        total = zlib.crc32(array.view(np.uint8).data, zlib.crc32(f"{array.dtype}{array.shape}".encode(), total))
    return total
