"""Programs compiled before they are called, in threads beside what else happens.

XLA compiles a program mostly on one thread, and lets Python go on meanwhile: on a processor with several cores a train
step, the step of the last batch and the evaluation compile side by side, and those of the next network while the first
one trains. A program is the one that JAX would compile at its first call, so the numbers are the same bit for bit.
"""

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import jax
from jax import monitoring

WAITED = "/resjax/compile/waited"
"""The event, with its seconds, of a call that had to wait for a program."""
MOST_THREADS = 4
"""Programs compiled at a time, at most: each needs some hundred MB for a deep network."""

_tracing = threading.Lock()
"""Python traces one program at a time anyhow; two at once would both begin to compile later."""


class Ahead:
    """A jitted function, some programs of which are compiled ahead; a call with other shapes compiles as it always did.

    Args:
      function: from `jax.jit`, without static arguments.
      shape: what tells the programs apart: of the call's arguments, something that can be looked up.
    """

    def __init__(self, function: Any, shape: Callable[..., Hashable]):
        self.function, self._shape = function, shape
        self._programs: dict[Hashable, Future] = {}

    def compile(self, executor: ThreadPoolExecutor, *arguments: Any) -> None:
        """Has the program for arguments like these compiled, arrays or `jax.ShapeDtypeStruct`s, unless it is so."""
        shape = self._shape(*arguments)
        known = self._programs.get(shape)
        if known is None or known.cancelled():
            self._programs[shape] = executor.submit(_compiled, self.function, arguments)

    def __call__(self, *arguments: Any) -> Any:
        """The function's results; waits where its program is being compiled, and raises what that raised."""
        program = self._programs.get(self._shape(*arguments))
        if program is None or program.cancelled():
            return self.function(*arguments)
        if not program.done():
            start = time.perf_counter()
            program.exception()
            monitoring.record_event_duration_secs(WAITED, time.perf_counter() - start)
        return program.result()(*arguments)


def _compiled(function: Any, arguments: tuple) -> jax.stages.Compiled:
    with _tracing:
        lowered = function.lower(*arguments)
    return lowered.compile()


@contextmanager
def compiling() -> Iterator[ThreadPoolExecutor]:
    """Threads that compile; at the end of the block what has not begun is left, and what has is waited for."""
    executor = ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1), thread_name_prefix="compiling")
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)
