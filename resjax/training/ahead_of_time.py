"""Jitted functions that are compiled in a thread before their first call.

Python goes on while XLA compiles: a network trains on its first batches while the step of the last batch, the
evaluation and the next network's programs are still being compiled. The programs are those that JAX would compile at
the first call: the results are the same bit for bit.
"""

import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import jax
from jax import monitoring

from resjax.terminal import activity
from resjax.training.memory import after_compiling

WAITED = "/resjax/compile/waited"
"""The `jax.monitoring` event, in seconds, of a call that had to wait for its program."""


POLL_SECONDS = 0.1
"""How often a call that waits for its program asks whether to stop."""


class StillCompiling(Exception):
    """A call was given up while its program was being compiled, because training was asked to stop."""


class CompilingThread(ThreadPoolExecutor):
    """One thread, which compiles programs until training is asked to stop."""

    def __init__(self, asked_to_stop: Callable[[], bool]):
        super().__init__(1, thread_name_prefix="compiling")
        self.asked_to_stop = asked_to_stop
        self._newest: Future | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a program is being compiled, or waits for it."""
        return self._newest is not None and not self._newest.done()

    def compile(self, function: Any, arguments: tuple) -> Future:
        """Begins to compile a jitted function for these arguments, after what was begun before."""
        self._newest = self.submit(compile_now, function, arguments)
        return self._newest


class AheadOfTimeJit:
    """A jitted function that can be compiled before its first call; other shapes are compiled at their first call.

    Args:
      function: from `jax.jit`, without static arguments.
      shape: from the call's arguments to a hashable value that tells the programs apart.
    """

    def __init__(self, function: Any, shape: Callable[..., Hashable]):
        self.function, self._shape = function, shape
        self._programs: dict[Hashable, Future] = {}
        self._asked_to_stop: Callable[[], bool] = lambda: False

    def compile(self, executor: CompilingThread, *arguments: Any) -> None:
        """Compiles for these arguments (arrays or `jax.ShapeDtypeStruct`s) in a thread, once per shape."""
        shape = self._shape(*arguments)
        known = self._programs.get(shape)
        if known is None or known.cancelled():
            self._asked_to_stop = executor.asked_to_stop
            self._programs[shape] = executor.compile(self.function, arguments)

    def __call__(self, *arguments: Any) -> Any:
        """The function's results. Waits if the program is being compiled, and raises what the compilation raised.

        Raises:
          StillCompiling: if training is asked to stop meanwhile. Nothing was computed, and no argument was donated.
        """
        program = self._programs.get(self._shape(*arguments))
        if program is None or program.cancelled():
            return self.function(*arguments)
        if not program.done():
            start = time.perf_counter()
            with activity("compiling"):
                while not wait([program], POLL_SECONDS).done:
                    if self._asked_to_stop():
                        raise StillCompiling
            monitoring.record_event_duration_secs(WAITED, time.perf_counter() - start)
        return program.result()(*arguments)


def compile_now(function: Any, arguments: tuple) -> jax.stages.Compiled:
    """The program of a jitted function for these arguments."""
    program = function.lower(*arguments).compile()
    analysis = program.memory_analysis()
    after_compiling(analysis.temp_size_in_bytes if analysis else 0)
    return program


@contextmanager
def compiling(asked_to_stop: Callable[[], bool] = lambda: False) -> Iterator[CompilingThread]:
    """One thread for compiling. At the end of the block, waiting compilations are cancelled and a running one finishes.

    With a single thread the program that is needed first is ready first; XLA's code generation uses all cores anyway.
    """
    executor = CompilingThread(asked_to_stop)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)
