"""The checkpoints of one replica, written by orbax in the background and committed atomically.

Each has a checksum of its arrays, because orbax's files have none. A checkpoint that was damaged on the disk is
quarantined (renamed to `*.damaged`), and the one before is used.
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

from resjax.training.orbax_errors import silence_late_orbax_errors
from resjax.training.state import TrainState
from resjax.types import Variables

KEPT = 2
"""Checkpoints of each kind: the newest, and one to fall back to."""
BEST, LAST, UNFINISHED = "best", "last", "unfinished"
ARRAYS, RECORD = "arrays", "record"
"""The parts of a checkpoint."""


class CheckpointError(OSError):
    """A checkpoint cannot be written, or was damaged while in use."""


class ResumePoint(NamedTuple):
    """A saved state that training can resume from, after an epoch or inside the next one."""

    epoch: int
    """Number of finished epochs."""
    state: TrainState
    record: Any
    """The plain values that were saved with the state."""


class Checkpoints:
    """Saves and restores the checkpoints of one replica in `folder`.

    There are three kinds: `best` has the variables only, `last` the whole state after an epoch, `unfinished` the whole
    state inside an epoch. The newest two of each kind are kept; older ones are deleted when their successors are
    complete.

    Args:
      folder: of the checkpoints; made if it does not exist.

    Raises:
      CheckpointError: if the folder cannot be written.
    """

    def __init__(self, folder: Path):
        if jax.process_count() > 1:
            # By default each process writes a part of an array that all have, and orbax checks that all did.
            handler = ocp.type_handlers.ArrayHandler(use_replica_parallel=False, array_metadata_store=None)
            ocp.type_handlers.register_type_handler(jax.Array, handler, override=True)
        # Only the first process saves, arrays that all have in full: the others have no folder.
        processes = ocp.options.MultiprocessingOptions(active_processes={0} if jax.process_count() > 1 else None)
        # Orbax refuses to create folders if only some processes are active.
        self._options = ocp.CheckpointManagerOptions(
            max_to_keep=KEPT, create=False, cleanup_tmp_directories=True, multiprocessing_options=processes
        )
        self._folder = folder
        self._managers: dict[str, ocp.CheckpointManager] = {}
        self._best, self._last = self._manager(BEST), self._manager(LAST)
        if (folder / UNFINISHED).exists():
            self._manager(UNFINISHED)

    def save_best(self, epoch: int, variables: Variables) -> None:
        """Saves the best variables in the background.

        Raises:
          CheckpointError: if this or the previous save cannot be written.
        """
        self._save(self._best, epoch, variables, None)

    def save_last(self, epoch: int, state: TrainState, record: Any = None) -> None:
        """Saves the state after an epoch in the background, with a record of plain values.

        Raises:
          CheckpointError: if this or the previous save cannot be written.
        """
        self._save(self._last, epoch, state, record)

    def save_unfinished(self, epoch: int, state: TrainState, record: Any) -> None:
        """Saves the state inside the epoch after `epoch` in the background, once per step, with a record.

        Raises:
          CheckpointError: if this or the previous save cannot be written.
        """
        step = int(state.step)
        if UNFINISHED in self._managers and step in self._managers[UNFINISHED].all_steps():
            return
        self._save(self._manager(UNFINISHED), step, state, {"epoch": epoch, "saved": record})

    @property
    def last_epoch(self) -> int:
        """The epoch of the newest `last` checkpoint, 0 if there is none."""
        return self._last.latest_step() or 0

    def resume_points(self, like: TrainState) -> Iterator[ResumePoint]:
        """The states that training can resume from, the newest first; damaged checkpoints are quarantined on the way.

        Args:
          like: a state of the same structure and shapes, of arrays or `jax.ShapeDtypeStruct`s.
        """
        for kind in (UNFINISHED, LAST):
            manager = self._managers.get(kind)
            if manager is None:
                continue
            for step in sorted(manager.all_steps(), reverse=True):
                restored = self._restore(manager, step, like)
                if restored is None:
                    continue
                state, record = restored
                if kind == LAST:
                    yield ResumePoint(step, state, record)
                elif record["epoch"] >= self.last_epoch:
                    # Its epoch was not finished later.
                    yield ResumePoint(record["epoch"], state, record["saved"])

    def best_variables(self, epoch: int, like: Variables) -> Variables | None:
        """The variables that were saved as best at this epoch; None if there are none, or they were damaged."""
        if epoch not in self._best.all_steps():
            return None
        restored = self._restore(self._best, epoch, like)
        return None if restored is None else restored[0]

    def restore_best(self, like: Variables) -> Variables:
        """The newest best variables, with the structure and shapes of `like`.

        Raises:
          CheckpointError: if they are damaged.
        """
        variables = self.best_variables(self._best.latest_step() or 0, like)
        if variables is None:
            raise CheckpointError(f"{self._folder}: the best checkpoint was damaged while in use")
        return variables

    def restore_last(self, like: TrainState) -> TrainState:
        """The newest last state, with the structure and shapes of `like`.

        Raises:
          CheckpointError: if it is damaged.
        """
        restored = self._restore(self._last, self.last_epoch, like)
        if restored is None:
            raise CheckpointError(f"{self._folder}: the last checkpoint was damaged while in use")
        return restored[0]

    def delete_after(self, epoch: int) -> None:
        """Deletes the checkpoints of later epochs, before training resumes from this one."""
        for manager in (self._best, self._last):
            for later in [step for step in manager.all_steps() if step > epoch]:
                manager.delete(later)

    def keep_newest(self) -> None:
        """Deletes all but the newest of each kind, when the replica is finished."""
        self.wait()
        for manager in (self._best, self._last):
            for earlier in sorted(manager.all_steps())[:-1]:
                manager.delete(earlier)
        self.delete_unfinished()

    def delete_unfinished(self) -> None:
        """Deletes the states inside an epoch, if that is finished or is trained again from its start."""
        manager = self._managers.pop(UNFINISHED, None)
        if manager is not None:
            manager.close()
            shutil.rmtree(self._folder / UNFINISHED, ignore_errors=True)

    def wait(self) -> None:
        """Returns when everything saved so far is on disk.

        Raises:
          CheckpointError: if it cannot be written.
        """
        with _clear_errors(self._folder):
            for manager in self._managers.values():
                manager.wait_until_finished()

    def close(self) -> None:
        """Waits, then ends the background threads. Nothing can be saved afterwards.

        Raises:
          CheckpointError: if what was saved cannot be written.
        """
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
        """The arrays and the record of a step; None if they are damaged, which quarantines the checkpoint."""
        path = Path(manager.directory) / str(step)
        # After one part has failed, the readers of the other parts go on.
        silence_late_orbax_errors()
        try:
            return self._read(manager, path, like)
        except (MemoryError, jax.errors.JaxRuntimeError):
            raise
        except Exception:  # Orbax and tensorstore raise anything on damaged files.
            pass
        self._quarantine(manager, path)
        return None

    def _read(self, manager: ocp.CheckpointManager, path: Path, like: PyTree) -> tuple[Any, Any]:
        """The arrays and the record of a checkpoint. Raises anything if they are damaged."""
        parts = {ARRAYS: ocp.args.StandardRestore(like), RECORD: ocp.args.JsonRestore()}
        restored = manager.restore(int(path.name), args=ocp.args.Composite(**parts))
        sealed = restored[RECORD]
        if zlib.crc32(sealed["record"].encode()) != sealed["record_crc32"]:
            raise CheckpointError(f"{path}: the checksum of its record is wrong")
        if _checksum(restored[ARRAYS]) != sealed["arrays_crc32"]:
            raise CheckpointError(f"{path}: the checksum of its arrays is wrong")
        # Keys that one of several processes saved come back as plain numbers.
        return jax.tree.map(_typed_key, restored[ARRAYS], like), json.loads(sealed["record"])

    def _quarantine(self, manager: ocp.CheckpointManager, path: Path) -> None:
        # Not inside the folder of its kind, where orbax would take it for one of its own.
        quarantined = self._folder / f"{path.parent.name}-{path.name}.damaged"
        shutil.rmtree(quarantined, ignore_errors=True)
        os.replace(path, quarantined)
        manager.reload()
        print(
            f"WARNING: {path} is damaged: it was renamed to {quarantined.name}, and the state before it is used",
            flush=True,
        )


def _typed_key(array: jax.Array, like: Any) -> jax.Array:
    if not jnp.issubdtype(like.dtype, jax.dtypes.prng_key) or jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return array
    return jax.random.wrap_key_data(array, impl=jax.random.key_impl(like))


@contextmanager
def _clear_errors(folder: Path) -> Iterator[None]:
    """Turns any error of orbax when it cannot write into a CheckpointError."""
    try:
        yield
    except (CheckpointError, MemoryError, jax.errors.JaxRuntimeError):
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise CheckpointError(f"{folder}: a checkpoint cannot be written ({text[:300]})") from error


def _checksum(tree: PyTree) -> int:
    """The CRC-32 of all arrays of a tree, in order, with their types and shapes."""
    total = 0
    for leaf in jax.tree.leaves(tree):
        data = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        array = np.ascontiguousarray(data)
        total = zlib.crc32(array.view(np.uint8).data, zlib.crc32(f"{array.dtype}{array.shape}".encode(), total))
    return total
