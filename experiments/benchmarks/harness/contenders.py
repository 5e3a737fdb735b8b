"""Programs that take turns, each in a process of its own: memory, threads and settings are not shared."""

import contextlib
import math
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from resjax.errors import BadInput
from resjax.training.memory import hold_memory, with_huge_pages

MEMORY_WORDS = ("out of memory", "resource_exhausted", "can't allocate memory", "cannot allocate memory", "bad_alloc")
"""Words that the messages of JAX, torch, cuDNN and the C library contain when memory runs out."""
LONGEST_REASON = 200
KILLED = -9
"""The exit code of a process that was killed. The system kills the largest process when memory runs out."""


class Program(NamedTuple):
    """The program of a process."""

    run: Callable[[int], None]
    """Takes that many steps and returns when they are done."""
    describe: Callable[[], dict] = dict
    """Its description at the end, such as `peak_bytes`."""


class Failure(Exception):
    """A contender cannot continue; the text says why in one line."""


class Contender(Protocol):
    """A program that takes steps when it is its turn."""

    def take(self, steps: int) -> float:
        """Takes a number of steps and returns their seconds. Raises `Failure`."""
        ...

    def close(self) -> dict:
        """Ends it and returns the description of its program; empty after a failure."""
        ...


class InProcess:
    """A program in this process, for tests and inside a `Worker`."""

    def __init__(self, build: Callable[..., Program], *arguments: Any):
        with _failures():
            self._program = build(*arguments)

    def take(self, steps: int) -> float:
        with _failures():
            start = time.perf_counter()
            self._program.run(steps)
            return time.perf_counter() - start

    def close(self) -> dict:
        return self._program.describe()


class Worker:
    """A program in a new process, which builds it. `build` is a function of a module; its arguments are pickled.

    Raises:
      Failure: if it could not be built; the text says so if memory ran out.
      BadInput: as `build` does.
    """

    def __init__(self, build: Callable[..., Program], *arguments: Any):
        # As `compare` does. The steps of torch gain from it, too, though torch does not do it by itself.
        os.environ.update(with_huge_pages(os.environ))
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, build, arguments))
        self._process.start()
        theirs.close()
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def take(self, steps: int) -> float:
        self._pipe.send(steps)
        return self._answer()

    def close(self) -> dict:
        try:
            self._pipe.send(None)
            return self._answer()
        except (Failure, OSError):
            return {}
        finally:
            self._pipe.close()
            self._process.join()

    def _answer(self) -> Any:
        try:
            kind, value = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            self._process.join()
            code = self._process.exitcode
            why = "out of memory: the system ended the process" if code == KILLED else f"its process ended with {code}"
            raise Failure(why) from error
        if kind == "done":
            return value
        raise (BadInput if kind == "bad input" else Failure)(value)


def _serve(pipe: Any, build: Callable[..., Program], arguments: tuple) -> None:
    """The process of a worker: receives numbers of steps and sends seconds, until it receives None."""
    hold_memory()
    # Without an owner nobody waits for an answer. Ctrl-C reaches the owner, too, which prints the message.
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        try:
            program = InProcess(build, *arguments)
            pipe.send(("done", None))
            while (steps := pipe.recv()) is not None:
                pipe.send(("done", program.take(steps)))
            pipe.send(("done", program.close()))
        except Failure as failure:
            pipe.send(("failed", str(failure)))
        except BadInput as error:
            pipe.send(("bad input", str(error)))


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Turns the errors of JAX and torch into a `Failure` of one line."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        short = isinstance(error, MemoryError) or any(word in text.lower() for word in MEMORY_WORDS)
        raise Failure(("out of memory: " if short else "") + text[:LONGEST_REASON]) from error


def in_a_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in a new process and returns its result. This process then never holds the device.

    Raises:
      Failure, BadInput: as `Worker`.
    """
    worker = Worker(_once, function, arguments)
    return worker.close()["returned"]


def _once(function: Callable[..., Any], arguments: tuple) -> Program:
    returned = function(*arguments)
    return Program(lambda steps: None, lambda: {"returned": returned})


def take_turns(
    contenders: dict[str, Contender], samples: int, min_seconds: float = 1.0, warm_up: int = 0
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Steps per second of each contender in each sample, and the reasons of those that failed.

    A sample is as many steps as take about `min_seconds`, after one step that is not timed. Every round gives each
    contender a turn, in one order and then in reverse, so that none always follows the same one. `warm_up` rounds
    precede the samples and are not counted.
    """
    failures: dict[str, str] = {}
    steps = {}

    def attempt(name: str, count: int) -> float | None:
        try:
            return contenders[name].take(count)
        except Failure as failure:
            failures[name] = str(failure)
            return None

    for name in contenders:
        if attempt(name, 2) is not None and (seconds := attempt(name, 1)) is not None:
            steps[name] = max(1, math.ceil(min_seconds / max(seconds, 1e-9))) if min_seconds else 1
    rates: dict[str, list[float]] = {name: [] for name in steps}
    for sample in range(-warm_up, samples):
        for name in _there_and_back(steps, sample):
            if name not in failures and attempt(name, 1) is not None:
                if (seconds := attempt(name, steps[name])) is not None and sample >= 0:
                    rates[name].append(steps[name] / seconds)
    return {name: values for name, values in rates.items() if name not in failures}, failures


def _there_and_back(names: Iterable[str], sample: int) -> list[str]:
    return list(names)[:: -1 if sample % 2 else 1]


def contest(
    programs: dict[str, tuple],
    samples: int,
    min_seconds: float = 1.0,
    open_contender: Callable[..., Contender] = Worker,
    warm_up: int = 0,
) -> tuple[dict[str, list[float]], dict[str, str], dict[str, dict]]:
    """`take_turns` of programs given as (build, argument, ...), and the description of each at the end."""
    failures, contenders = {}, {}
    try:
        for name, program in programs.items():
            try:
                contenders[name] = open_contender(*program)
            except Failure as failure:
                failures[name] = str(failure)
        rates, late = take_turns(contenders, samples, min_seconds, warm_up)
        failures |= late
    finally:
        descriptions = {name: contender.close() for name, contender in contenders.items()}
    return rates, failures, descriptions


def peak_resident_bytes() -> int:
    """The peak of the resident memory of this process."""
    # Kilobytes on Linux, bytes on a Mac.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
