"""Training with several processes: how they connect, and the messages of process 0 to the others.

All processes run the same command. Process 0 leads: it alone reads and writes the workdir, and decides what is trained
next. The others receive its decisions, compute their part and write nothing. They need no shared file system
(https://docs.jax.dev/en/latest/multi_process.html).

Decisions go by JAX's key-value store. Rows of a mesh without a seed repeat the first. Out of memory ends the run.
"""

import itertools
import json
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import jax
import numpy as np

from resjax.errors import BadInput
from resjax.training.state import TrainState

RECEIVE_SECONDS = 60
"""Time-out of one call to the store; `receive_message` repeats it."""
STOP = "resjax/stop"
"""The key that a process other than the first sets if it is asked to stop."""
_messages = itertools.count()


def connect_processes(address: str | None, process_id: int | None, processes: int | None, timeout: int = 300) -> int:
    """Connects this process to the others, before JAX uses a device. Does nothing without an address.

    Returns the number of this process.

    Args:
      address: of process 0, as HOST:PORT. With `auto` JAX detects a TPU pod, SLURM, Open MPI or Kubernetes.
      process_id: number of this process, from 0.
      processes: number of processes.
      timeout: seconds to wait for the others. After that the program ends with a line on stderr and status 2.

    Raises:
      BadInput: if the arguments contradict each other, or `auto` detects nothing.
    """
    if address is None:
        if process_id is not None or processes is not None:
            raise BadInput("--process_id and --num_processes need --coordinator_address: expected HOST:PORT or auto")
        return 0
    known = {}
    if address != "auto":
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise BadInput(f"--coordinator_address={address}: expected HOST:PORT of process 0, or auto")
        if processes is None or process_id is None or not 0 <= process_id < processes:
            raise BadInput(
                f"--process_id={process_id} --num_processes={processes}: expected, with an address, the number of this "
                "process from 0, and the number of processes"
            )
        known = {"coordinator_address": address, "process_id": process_id, "num_processes": processes}
    timer = _exit_unless_connected(address, process_id, timeout)
    try:
        # At its own time-out XLA aborts the program with a stack trace, so that comes later.
        jax.distributed.initialize(**known, initialization_timeout=timeout + 60)
    except (RuntimeError, ValueError) as error:
        found = "JAX detects no cluster" if address == "auto" else "JAX cannot start"
        raise BadInput(
            f"--coordinator_address={address}: {found} ({error}); expected HOST:PORT of process 0"
        ) from error
    finally:
        timer.cancel()
    return jax.process_index()


def _exit_unless_connected(address: str, process_id: int | None, timeout: int) -> threading.Timer:
    def end() -> None:
        missing = "the other processes" if process_id == 0 else "process 0 or another process"
        print(
            f"error: --coordinator_address={address}: {missing} did not connect within {timeout} s; expected an "
            "address that all processes reach, or a longer --coordinator_timeout",
            file=sys.stderr,
            flush=True,
        )
        # The main thread is inside XLA and does not return.
        os._exit(2)

    timer = threading.Timer(timeout, end)
    timer.daemon = True
    timer.start()
    return timer


def send_message(message: dict | None) -> None:
    """Sends a message from process 0 to all others, each of which has to receive it; None is the last one."""
    if jax.process_count() > 1:
        _store().key_value_set(f"resjax/{next(_messages)}", json.dumps(message))


def receive_message() -> dict | None:
    """Waits for the next message of process 0 and returns it.

    Raises:
      JaxRuntimeError: if process 0 has ended.
    """
    key = f"resjax/{next(_messages)}"
    while True:
        try:
            return json.loads(_store().blocking_key_value_get(key, 1000 * RECEIVE_SECONDS))
        except jax.errors.JaxRuntimeError as error:
            # Process 0 may be busy with a report for long. JAX itself detects if it has died.
            if "DEADLINE_EXCEEDED" not in str(error):
                raise


def _store() -> Any:
    # JAX has no public name for it. A broadcast would do, but on CPU it times out after 30 seconds.
    from jax._src import distributed

    return distributed.global_state.client


@contextmanager
def announcing_end() -> Iterator[None]:
    """Around everything that process 0 does: tells the others at the end that it is over, or ended early."""
    try:
        yield
    except BaseException:
        with suppress(jax.errors.JaxRuntimeError):
            send_message({"ended": "early"})
        raise
    send_message(None)


@contextmanager
def announcing_next_epoch() -> Iterator[None]:
    """Around what process 0 does after an epoch: tells the others at the end whether there is another epoch.

    Otherwise they would start the next epoch, and wait there for a process that has left.
    """
    try:
        yield
    except BaseException:
        send_message({"go_on": False})
        raise
    send_message({"go_on": True})


def request_stop() -> None:
    """Asks process 0 to stop after the epoch, because this process was asked to stop."""
    with suppress(jax.errors.JaxRuntimeError):
        _store().key_value_set(STOP, str(jax.process_index()), allow_overwrite=True)


def stop_requested() -> bool:
    """Whether another process has called `request_stop`."""
    if jax.process_count() == 1:
        return False
    try:
        return bool(_store().key_value_try_get(STOP))
    except jax.errors.JaxRuntimeError as error:
        if "NOT_FOUND" not in str(error):
            raise
        return False


@contextmanager
def exiting_at_failure() -> Iterator[None]:
    """Ends this process at once if another process is lost, or if this one fails and is not the first.

    Otherwise JAX waits for all processes at the end of the program, and they would wait for each other.
    """
    try:
        yield
    except BaseException as error:
        lost = isinstance(error, jax.errors.JaxRuntimeError)
        if jax.process_count() == 1 or (jax.process_index() == 0 and not lost):
            raise
        said = " ".join(str(error).split())
        if lost:
            said = (
                f"another process has ended or cannot be reached ({said[:200]}); finished work is kept, and the "
                "same command on all processes resumes"
            )
        elif not isinstance(error, BadInput):
            traceback.print_exc()
        print(f"error: {said}", file=sys.stderr, flush=True)
        os._exit(2 if isinstance(error, BadInput) else 1)


def broadcast_states(states: Sequence[TrainState]) -> list[TrainState]:
    """The states of process 0, on every process. The others pass states of the same shapes."""
    if jax.process_count() == 1:
        return list(states)

    def send(leaf: jax.Array) -> jax.Array:
        if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = _broadcast(np.asarray(jax.random.key_data(leaf)))
            return jax.random.wrap_key_data(jax.numpy.asarray(data), impl=jax.random.key_impl(leaf))
        return jax.numpy.asarray(_broadcast(np.asarray(leaf)))

    return jax.tree.map(send, list(states))


def _broadcast(array: np.ndarray) -> np.ndarray:
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.broadcast_one_to_all(array))
