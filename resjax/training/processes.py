"""Several processes that train as one: how they find each other, and what the first tells the others.

All run the same command. Process 0 leads: it alone reads and writes the workdir, and decides what is trained next. The
others hear of it, compute their part, and write nothing, so that they need neither the workdir nor a shared file system
(https://docs.jax.dev/en/latest/multi_process.html).
"""

import itertools
import json
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import jax
import numpy as np

from resjax.training.state import TrainState
from resjax.types import BadInput

HEARING_SECONDS = 60
STOP = "resjax/stop"
"""What another process than the first sets where it is asked to stop."""
_messages = itertools.count()


def start_processes(address: str | None, process_id: int | None, processes: int | None, timeout: int = 300) -> int:
    """Joins this process to the others, before anything asks for a device; does nothing without an address.

    Returns which process this is.

    Args:
      address: of process 0, as HOST:PORT; `auto` lets JAX find all out on a TPU pod, SLURM, Open MPI, Kubernetes.
      process_id: which process this is, from 0.
      processes: how many there are.
      timeout: seconds to wait for the others. After that the program ends with a line on stderr and status 2.

    Raises:
      BadInput: for parts that do not fit each other, or where `auto` finds nothing.
    """
    if address is None:
        if process_id is not None or processes is not None:
            raise BadInput("--process_id and --num_processes need --coordinator_address: HOST:PORT or auto is accepted")
        return 0
    known = {}
    if address != "auto":
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise BadInput(f"--coordinator_address={address}: HOST:PORT of process 0, or auto, is accepted")
        if processes is None or process_id is None or not 0 <= process_id < processes:
            raise BadInput(
                f"--process_id={process_id} --num_processes={processes}: with an address both are needed, the number "
                "of this process from 0 and how many there are"
            )
        known = {"coordinator_address": address, "process_id": process_id, "num_processes": processes}
    joined = _ends_unless_joined(address, process_id, timeout)
    try:
        # XLA would abort the program with a stack trace at its own time-out, so that comes later.
        jax.distributed.initialize(**known, initialization_timeout=timeout + 60)
    except (RuntimeError, ValueError) as error:
        found = "JAX finds no cluster that it knows" if address == "auto" else "JAX cannot start"
        raise BadInput(
            f"--coordinator_address={address}: {found} ({error}); HOST:PORT of process 0 is accepted"
        ) from error
    finally:
        joined.cancel()
    return jax.process_index()


def _ends_unless_joined(address: str, process_id: int | None, timeout: int) -> threading.Timer:
    def end() -> None:
        missing = "the others" if process_id == 0 else "process 0 or another one"
        print(
            f"error: --coordinator_address={address}: {missing} did not come within {timeout} s; an address that all "
            "processes reach, or a longer --coordinator_timeout, is accepted",
            file=sys.stderr,
            flush=True,
        )
        # The main thread is inside of XLA and does not come back.
        os._exit(2)

    timer = threading.Timer(timeout, end)
    timer.daemon = True
    timer.start()
    return timer


def tell(message: dict | None) -> None:
    """From process 0 to all others, each of which has to `hear` it; None is the end."""
    if jax.process_count() > 1:
        _store().key_value_set(f"resjax/{next(_messages)}", json.dumps(message))


def hear() -> dict | None:
    """What process 0 tells next."""
    key = f"resjax/{next(_messages)}"
    while True:
        try:
            return json.loads(_store().blocking_key_value_get(key, 1000 * HEARING_SECONDS))
        except jax.errors.JaxRuntimeError as error:
            # Process 0 may write a report for a long time; that it has died JAX finds out by itself.
            if "DEADLINE_EXCEEDED" not in str(error):
                raise


def _store():
    # JAX has no public name for it. A broadcast would do too, but the CPU's end after 30 seconds of waiting.
    from jax._src import distributed

    return distributed.global_state.client


@contextmanager
def leading() -> Iterator[None]:
    """What process 0 does; at its end the others hear that it is over, or that it ended early."""
    try:
        yield
    except BaseException:
        with suppress(jax.errors.JaxRuntimeError):
            tell({"ended": "early"})
        raise
    tell(None)


@contextmanager
def epoch_told() -> Iterator[None]:
    """What process 0 does after an epoch that all have trained; then they hear whether there is another.

    Without it they would be inside the next one, and wait in it for a process that has left.
    """
    try:
        yield
    except BaseException:
        tell({"go_on": False})
        raise
    tell({"go_on": True})


def ask_to_stop() -> None:
    """Has process 0 stop after the epoch, for another process that was asked to."""
    with suppress(jax.errors.JaxRuntimeError):
        _store().key_value_set(STOP, str(jax.process_index()), allow_overwrite=True)


def another_was_asked_to_stop() -> bool:
    if jax.process_count() == 1:
        return False
    try:
        return bool(_store().key_value_try_get(STOP))
    except jax.errors.JaxRuntimeError as error:
        if "NOT_FOUND" not in str(error):
            raise
        return False


@contextmanager
def not_waiting_for_the_lost() -> Iterator[None]:
    """Ends this process at once where another has ended before its time, or this one fails beside those that wait.

    At the end of a program JAX waits for all processes, and these would wait for each other.
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
                f"another process has ended or cannot be reached ({said[:200]}); what was complete is kept, and the "
                "same command on all of them goes on"
            )
        elif not isinstance(error, BadInput):
            traceback.print_exc()
        print(f"error: {said}", file=sys.stderr, flush=True)
        os._exit(2 if isinstance(error, BadInput) else 1)


def share(states: Sequence[TrainState]) -> list[TrainState]:
    """The states that process 0 gives, on every process; the others give states of the same shapes."""
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
