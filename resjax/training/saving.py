"""When the states of training are saved, and the thread that writes them while training goes on.

The newest and the best state are held as copies, because steps donate the original, and a thread writes them every
five seconds: `best` first, so that no `last` lies there without its best. Copies are numpy arrays on a CPU and device
arrays elsewhere. Replicas that are trained together are saved after the same epoch.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from resjax.training.checkpoint import Checkpoints, on_host
from resjax.training.state import TrainState
from resjax.types import Variables

SAVE_SECONDS = 5.0
"""Shortest time between two saves of a run. With the running epoch it is what a kill costs."""


class SaveInterval:
    """Says after which epochs a run is saved: the first that ends `SAVE_SECONDS` after the save before.

    Replicas that are trained together share one, so that all are saved after the same epoch. One process alone saves,
    so the others need not know.

    Args:
      clock: the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock, self._last = clock, clock()

    def is_over(self) -> bool:
        """Whether to save now. If so, the next interval begins."""
        now = self._clock()
        if now - self._last < SAVE_SECONDS:
            return False
        self._last = now
        return True


class Held(NamedTuple):
    """What is held in memory until it is written."""

    epoch: int
    tree: Any


class BackgroundSaver:
    """Holds the newest and the best state of a replica, and writes them in a thread.

    The best state is written first, so that no `last` checkpoint lies on the disk without the `best` that belongs to
    it. Between `start` and `wait` nothing else may use the checkpoints.
    """

    def __init__(self, checkpoints: Checkpoints):
        self._checkpoints = checkpoints
        self._thread = ThreadPoolExecutor(1, "resjax-checkpoints")
        self._writing: Future[None] | None = None
        self._newest: Held | None = None
        self._best: Held | None = None
        self._written: set[tuple[str, int]] = set()

    def hold(self, epoch: int, state: TrainState, *, is_best: bool) -> None:
        """Takes over the state after an epoch. No later step may overwrite its arrays: see `detached`."""
        self._newest = Held(epoch, state)
        if is_best:
            self._best = Held(epoch, state.evaluated)

    @property
    def best(self) -> Variables | None:
        """The best variables; None if no epoch since the object was made was best."""
        return None if self._best is None else self._best.tree

    @property
    def newest(self) -> TrainState | None:
        """The newest state; None if no epoch has ended since the object was made."""
        return None if self._newest is None else self._newest.tree

    def is_writing(self) -> bool:
        """Whether a save is under way.

        Raises:
          CheckpointError: if the last one failed.
        """
        if self._writing is not None and self._writing.done():
            self.wait()
        return self._writing is not None

    def start(self, record: Callable[[int], Any]) -> None:
        """Begins to write what is held and not yet written, after the save that is under way.

        Args:
          record: the plain values that are saved with the newest state, from its epoch.

        Raises:
          CheckpointError: if the save before failed.
        """
        self.wait()
        newest = self._newest
        if newest is None or ("last", newest.epoch) in self._written:
            return
        best = self._best
        if best is not None and ("best", best.epoch) in self._written:
            best = None
        self._written = {("last", newest.epoch)} | {("best", held.epoch) for held in [self._best] if held is not None}
        self._writing = self._thread.submit(self._write, best, newest, record(newest.epoch))

    def wait(self) -> None:
        """Returns when everything that was begun is on the disk.

        Raises:
          CheckpointError: if it cannot be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """Ends the thread after the save that is under way.

        Raises:
          CheckpointError: if that failed.
        """
        self._thread.shutdown()
        self.wait()

    def _write(self, best: Held | None, newest: Held, record: Any) -> None:
        if best is not None:
            self._checkpoints.save_best(best.epoch, best.tree)
        self._checkpoints.save_last(newest.epoch, newest.tree, record)


def detached(state: TrainState) -> TrainState:
    """A copy of a state that a later step, which is given the state itself, does not overwrite.

    On a CPU its arrays are numpy arrays. On other devices they stay there, and nobody waits for the copying.
    """
    if jax.default_backend() == "cpu":
        return jax.tree.map(lambda leaf: np.array(on_host(leaf)), state)
    return _copied(state)


@jax.jit
def _copied(tree: PyTree) -> PyTree:
    return jax.tree.map(jnp.copy, tree)
