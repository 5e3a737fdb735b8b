"""Programs compiled before they are called, in a thread beside what else happens.

XLA lets Python go on while it compiles: a network trains its first batches while the step of the last batch, the
evaluation and the next network's programs are still being compiled. A program is the one that JAX would compile at its
first call, so the numbers are the same bit for bit.
"""

import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import jax
from jax import monitoring

WAITED = "/resjax/compile/waited"
"""The event, with its seconds, of a call that had to wait for a program."""


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
    return function.lower(*arguments).compile()


@contextmanager
def compiling() -> Iterator[ThreadPoolExecutor]:
    """A thread that compiles; at the end of the block what has not begun is left, and what has is waited for.

    It is one, so that the program that is needed first is there first: XLA's code generation takes all cores by itself.
    """
    executor = ThreadPoolExecutor(1, thread_name_prefix="compiling")
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)
