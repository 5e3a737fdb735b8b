"""The checkpoints of one replica on the disk: safetensors files, with their checksums, whole or absent.

A checkpoint that is not what was written is quarantined (renamed to `*.damaged`), and the one before is used. One that
cannot be read for another reason ends the run and stays as it is.
"""

import json
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from msgspec import Struct
from safetensors.numpy import load, save_file

from resjax.errors import DamagedRecord, RecordError
from resjax.records.files import from_plain, write_record
from resjax.records.storage import DAMAGED, set_aside, sync, sync_folder, unsealed
from resjax.training.state import TrainState
from resjax.types import Variables

KEPT = 2
"""Checkpoints of each kind: the newest, and one to fall back to."""
BEST, LAST, UNFINISHED = "best", "last", "unfinished"
ARRAYS, SEAL = "arrays.safetensors", "record.json"
"""The files of a checkpoint: its arrays by their place in the tree, and a record of ours with what it holds."""
EARLIER = "arrays"
"""The folder of arrays in checkpoints of earlier versions, which orbax wrote."""
UNUSED = ".unused"
"""Ends the name of a sound checkpoint that was set aside, because training resumes from an earlier one."""


class CheckpointError(OSError):
    """A checkpoint cannot be written or read. The text says why."""


class ResumePoint(NamedTuple):
    """A saved state that training can resume from, after an epoch or inside the next one."""

    epoch: int
    """Number of finished epochs."""
    state: TrainState
    record: Any
    """The plain values that were saved with the state."""


class Seal(Struct, frozen=True, kw_only=True):
    """What a checkpoint says of itself."""

    arrays_crc32: int
    """The CRC-32 of the file of arrays."""
    record: str
    """Plain values in JSON, for the caller."""
    layout: dict[str, str]
    """Type and shape of each array, by its place in the tree."""


class Checkpoints:
    """Writes and restores the checkpoints of one replica in `folder`, which is made when the first is written.

    There are three kinds: `best` has the variables only, `last` the whole state after an epoch, `unfinished` the whole
    state inside an epoch. The newest two of each kind are kept; older ones are deleted when their successors are
    complete. One thread at a time may use it.
    """

    def __init__(self, folder: Path):
        self._folder = folder.absolute()

    def save_best(self, epoch: int, variables: Variables) -> None:
        """Writes the best variables.

        Raises:
          CheckpointError: if they cannot be written.
        """
        self._save(BEST, epoch, variables, None)

    def save_last(self, epoch: int, state: TrainState, record: Any = None) -> None:
        """Writes the state after an epoch, with a record of plain values.

        Raises:
          CheckpointError: if it cannot be written.
        """
        self._save(LAST, epoch, state, record)

    def save_unfinished(self, epoch: int, state: TrainState, record: Any) -> None:
        """Writes the state inside the epoch after `epoch`, once per step, with a record.

        Raises:
          CheckpointError: if it cannot be written.
        """
        step = int(state.step)
        if step not in self._steps(UNFINISHED):
            self._save(UNFINISHED, step, state, {"epoch": epoch, "saved": record})

    @property
    def last_epoch(self) -> int:
        """The epoch of the newest `last` checkpoint, 0 if there is none."""
        return max(self._steps(LAST), default=0)

    def resume_points(self, like: TrainState) -> Iterator[ResumePoint]:
        """The states that training can resume from, the newest first; damaged checkpoints are quarantined on the way.

        Args:
          like: a state of the same structure and shapes, of arrays or `jax.ShapeDtypeStruct`s.

        Raises:
          CheckpointError: if one cannot be read for another reason than damage.
          RecordError: if one has arrays of other shapes. Neither is touched.
        """
        for kind in (UNFINISHED, LAST):
            for step in reversed(self._steps(kind)):
                restored = self._restore_or_quarantine(kind, step, like)
                if restored is None:
                    continue
                state, record = restored
                if kind == LAST:
                    yield ResumePoint(step, state, record)
                elif record["epoch"] >= self.last_epoch:
                    # Its epoch was not finished later.
                    yield ResumePoint(record["epoch"], state, record["saved"])

    def best_variables(self, epoch: int, like: Variables) -> Variables | None:
        """The best variables of this epoch; None if there are none, or if they are damaged and now quarantined.

        Raises:
          CheckpointError: if they cannot be read for another reason than damage.
          RecordError: if they have other shapes. Neither is touched.
        """
        if epoch not in self._steps(BEST):
            return None
        restored = self._restore_or_quarantine(BEST, epoch, like)
        return None if restored is None else restored[0]

    def restore_best(self, like: Variables) -> Variables:
        """The newest best variables, with the structure and shapes of `like`. Changes nothing on the disk.

        Raises:
          DamagedRecord: if there are none, or they are not what was written.
          CheckpointError: if they cannot be read.
          RecordError: if they have other shapes.
        """
        return self._restore(BEST, max(self._steps(BEST), default=0), like)[0]

    def restore_last(self, like: TrainState) -> TrainState:
        """The newest last state, with the structure and shapes of `like`. Changes nothing on the disk.

        Raises:
          DamagedRecord: if there is none, or it is not what was written.
          CheckpointError: if it cannot be read.
          RecordError: if it has other shapes.
        """
        return self._restore(LAST, self.last_epoch, like)[0]

    @property
    def has_quarantined(self) -> bool:
        """Whether a checkpoint of this replica was ever found damaged."""
        with _clear_errors(self._folder, "read"):
            return any(self._folder.glob(f"*{DAMAGED}*"))

    def discard_after(self, epoch: int, *, unfinished: bool) -> None:
        """Removes what training is about to compute again, before it resumes after this epoch.

        If a checkpoint was found damaged, sound ones are set aside instead: they may be all that is left.

        Args:
          epoch: the last finished epoch.
          unfinished: whether the states inside an epoch are removed too.
        """
        keep = self.has_quarantined
        with _clear_errors(self._folder, "removed"):
            for kind in (BEST, LAST, UNFINISHED):
                for leftover in self._kind(kind).glob("*.tmp"):
                    shutil.rmtree(leftover)
                for step in self._steps(kind):
                    if unfinished if kind == UNFINISHED else step > epoch:
                        self._set_aside(kind, step, UNUSED) if keep else self._delete(kind, step)
            with suppress(OSError):
                self._kind(UNFINISHED).rmdir()

    def keep_newest(self) -> None:
        """Deletes all but the newest of each kind, when the replica is finished."""
        with _clear_errors(self._folder, "removed"):
            for kind in (BEST, LAST):
                for step in self._steps(kind)[:-1]:
                    self._delete(kind, step)
            shutil.rmtree(self._kind(UNFINISHED), ignore_errors=True)

    def _kind(self, kind: str) -> Path:
        return self._folder / kind

    def _steps(self, kind: str) -> list[int]:
        """The checkpoints of a kind, in order."""
        with _clear_errors(self._folder, "read"):
            try:
                names = os.listdir(self._kind(kind))
            except FileNotFoundError:
                return []
        return sorted(int(name) for name in names if name.isdecimal())

    def _save(self, kind: str, step: int, tree: PyTree, record: Any) -> None:
        folder = self._kind(kind)
        temporary = folder / f"{step}.tmp"
        with _clear_errors(self._folder, "written"):
            if temporary.exists():
                shutil.rmtree(temporary)
            temporary.mkdir(parents=True)
            arrays = {place: np.asarray(on_host(leaf), order="C") for place, leaf in _by_place(tree).items()}
            save_file({place: _as_stored(array) for place, array in arrays.items()}, temporary / ARRAYS)
            with open(temporary / ARRAYS, "rb") as file:
                sync(file)
                checksum = _checksum(file)
            seal = Seal(
                arrays_crc32=checksum,
                record=json.dumps(record),
                layout={place: _described(array) for place, array in arrays.items()},
            )
            write_record(temporary / SEAL, seal)
            sync_folder(temporary)
            os.replace(temporary, folder / str(step))
            sync_folder(folder)
            for earlier in self._steps(kind)[:-KEPT]:
                self._delete(kind, earlier)

    def _delete(self, kind: str, step: int) -> None:
        # Renamed first, so that a kill leaves no part of it under its name.
        leaving = self._kind(kind) / f"{step}.tmp"
        os.replace(self._kind(kind) / str(step), leaving)
        shutil.rmtree(leaving)

    def _restore_or_quarantine(self, kind: str, step: int, like: PyTree) -> tuple[Any, Any] | None:
        """The arrays and the record of a checkpoint; None if it is damaged, and now quarantined."""
        try:
            return self._restore(kind, step, like)
        except DamagedRecord as error:
            with _clear_errors(self._folder, "renamed"):
                aside = self._set_aside(kind, step, DAMAGED)
            print(f"WARNING: {error}: it is now {aside.name}, and the state before it is used", flush=True)
            return None

    def _restore(self, kind: str, step: int, like: PyTree) -> tuple[Any, Any]:
        """The arrays and the record of a checkpoint.

        Raises:
          DamagedRecord: if it is missing or not what was written.
          CheckpointError: if it cannot be read.
          RecordError: if it has arrays of other shapes.
        """
        path = self._kind(kind) / str(step)
        if (path / EARLIER).exists():
            raise RecordError(
                f"{path}: it was saved by an earlier version of resjax: use that version, or choose a new --workdir"
            )
        with _clear_errors(path, "read"):
            try:
                seal = from_plain(unsealed((path / SEAL).read_bytes(), f"{path}: damaged record"), Seal, str(path))
                stored = (path / ARRAYS).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                raise DamagedRecord(f"{path}: damaged, {Path(error.filename).name} is missing") from None
        if zlib.crc32(stored) != seal.arrays_crc32:
            raise DamagedRecord(f"{path}: damaged, the checksum of {ARRAYS} is wrong")
        _require_same_layout(path, seal.layout, like)
        with _clear_errors(path, "restored"):
            arrays = load(stored)
            restored = [_placed(arrays[place], leaf) for place, leaf in _by_place(like).items()]
        return jax.tree.unflatten(jax.tree.structure(like), restored), json.loads(seal.record)

    def _set_aside(self, kind: str, step: int, mark: str) -> Path:
        # Not inside the folder of its kind, where a reader would look for checkpoints.
        return set_aside(self._kind(kind) / str(step), self._folder / f"{kind}-{step}", mark)


def on_host(leaf: jax.Array | np.ndarray) -> np.ndarray:
    """The numbers of an array on the host, if need be of a key. On a CPU they may be the array's own memory."""
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        # Several processes have it, each in full.
        leaf = leaf.addressable_data(0)
    return np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)


def _checksum(file: BinaryIO) -> int:
    """The CRC-32 of a file, which is not held in memory: it may be as large as a state."""
    total = 0
    while block := file.read(2**20):
        total = zlib.crc32(block, total)
    return total


def _by_place(tree: PyTree) -> dict[str, Any]:
    """The leaves of a tree by their place in it, such as `.variables.parameters['head']['bias']`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(place): leaf for place, leaf in leaves}


def _as_stored(array: np.ndarray) -> np.ndarray:
    """The array, or its bytes as integers if numpy itself does not know its type: bfloat16, 8-bit floats."""
    return array if array.dtype.isbuiltin == 1 else array.view(f"u{array.dtype.itemsize}")


def _placed(stored: np.ndarray, like: Any) -> jax.Array:
    """The array that was stored, with the type of `like` and on its devices."""
    sharding = getattr(like, "sharding", None)
    if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        return jax.device_put(jax.random.wrap_key_data(jnp.asarray(stored), impl=_implementation(like)), sharding)
    # A copy, because train steps overwrite their arguments.
    return jax.device_put(stored.view(like.dtype), sharding, may_alias=False)


def _implementation(key: Any) -> Any:
    """Of the numbers drawn from a key, of which only the shape may be known."""
    found = []
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), key)
    return found[0]


def _described(leaf: Any) -> str:
    """Type and shape of an array, or of what a key consists of."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.eval_shape(jax.random.key_data, leaf)
    return f"{leaf.dtype}{list(leaf.shape)}"


def _require_same_layout(path: Path, saved: dict[str, str], like: PyTree) -> None:
    expected = {place: _described(leaf) for place, leaf in _by_place(like).items()}
    if saved == expected:
        return
    place = next(place for place in (saved | expected) if saved.get(place) != expected.get(place))
    raise RecordError(
        f"{path}: it was saved by other versions of resjax, jax or optax: {place.lstrip('.')} was "
        f"{saved.get(place, 'absent')}, expected {expected.get(place, 'nothing of that name')}; resume with the "
        "versions that wrote it, or choose a new --workdir"
    )


@contextmanager
def _clear_errors(path: Path, action: str) -> Iterator[None]:
    """Turns any error of the disk or of safetensors into a CheckpointError. Those of memory and of records pass."""
    try:
        yield
    except (CheckpointError, RecordError, MemoryError, jax.errors.JaxRuntimeError):
        raise
    except Exception as error:  # safetensors has errors of its own, and numpy's.
        text = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(f"{path}: a checkpoint cannot be {action} ({text[:300]})") from error
