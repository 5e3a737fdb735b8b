"""Runs the steps of the suite one after another, each in its time, and writes rows as they come.

The steps run in one other process, so that JAX is imported once and a step that hangs, crashes or runs out of memory
takes nothing with it: the process is killed, the row says why, and the next step gets a new one.
"""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from msgspec import UNSET

from resjax.records import read_lines
from resjax.records.files import append_line
from resjax.run.progress import duration
from resjax.run.stopping import released_on_leaving
from resjax.training.memory import hold_memory

from ..harness.rows import versions
from .settings import Step, SuiteRow, SuiteSettings

LEAST_SECONDS = 2.0
"""A step is not begun with less."""
LONGEST_REASON = 300
KEPT_PROGRAMS = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
"""So that a program that was compiled once in the suite is not compiled again."""


def run_suite(
    settings: SuiteSettings, steps: Sequence[Step], seconds: float, path: Path | None = None
) -> list[SuiteRow]:
    """Measures the cases that have no row yet, and returns all rows, those of the file first.

    Args:
      steps: in order of value. Time that a step leaves goes to the steps after it.
      seconds: for all steps together.
      path: the file of the rows. Cases that are done in it on this device are skipped; the others are tried again.
    """
    rows = read_lines(path, SuiteRow) if path and path.exists() else []
    done = {(row.step, row.case) for row in rows if row.status == "done" and row.device == settings.device.name}
    start, share = time.monotonic(), 0.0
    process = StepProcess(settings)
    with released_on_leaving(process.kill):
        try:
            for step in steps:
                share += step.share
                end = start + seconds * share
                if end - time.monotonic() < LEAST_SECONDS:
                    print(f"{step.name}: no time left", flush=True)
                    continue
                for row in process.run(step, done, end):
                    rows.append(row)
                    print(describe_row(row), flush=True)
                    if path:
                        append_line(path, row)
        finally:
            process.kill()
    return rows


def describe_row(row: SuiteRow) -> str:
    """A row in one line."""
    ended = "" if row.status == "done" else f"{row.status.upper()} ({row.why}) "
    return f"{row.step}, {row.case}, {duration(row.seconds)}: {ended}{row.text}".rstrip(": ")


class StepProcess:
    """The process of the steps; it is started when it is needed, and anew after it was killed."""

    def __init__(self, settings: SuiteSettings):
        self._settings = settings
        self._process: Any = None
        self._pipe: Any = None

    def run(self, step: Step, done: set[tuple[str, str]], end: float) -> Iterator[SuiteRow]:
        """The rows of a step, as they come. Its cases have until `end`; what does not end then is killed."""
        if self._process is None:
            context = get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs, self._settings))
            self._process.start()
            theirs.close()
        names = frozenset(case for of, case in done if of == step.name)
        begun, started = "", time.monotonic()
        try:
            self._pipe.send((step.cases, names, end - time.monotonic()))
            while self._pipe.poll(max(0.0, end - time.monotonic())):
                kind, *content = self._pipe.recv()
                if kind == "ended":
                    return
                if kind == "begun":
                    (begun,), started = content, time.monotonic()
                    continue
                yield self._row(step, begun, time.monotonic() - started, *content)
                begun = ""
            status, why = "unfinished", "its time was over"
        except (EOFError, ConnectionError):
            self._process.join()
            status, why = "failed", f"its process ended with {self._process.exitcode}"
        self.kill()
        yield self._row(step, begun or "start", time.monotonic() - started, status, why, "", {})

    def kill(self) -> None:
        """Ends the process and everything that it started."""
        if self._process is None:
            return
        if self._process.pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self._pipe.close()
        self._process = None

    def _row(self, step: Step, case: str, seconds: float, status: Any, why: str, text: str, values: dict) -> SuiteRow:
        return SuiteRow(
            step=step.name,
            case=case,
            status=status,
            rehearsal=self._settings.rehearsal,
            seconds=seconds,
            device=self._settings.device.name,
            versions=versions("jax", "jaxlib", "flax"),
            text=text,
            values=values,
            why=why or UNSET,
        )


def _serve(pipe: Connection, settings: SuiteSettings) -> None:
    """The process of the steps: gets a step's cases, the names to skip and the seconds, and sends what it finds."""
    # A group of its own, so that what it starts is ended with it.
    os.setsid()
    hold_memory()
    # JAX reads these when a step imports it, and so do the processes of the contenders.
    for name, value in KEPT_PROGRAMS.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(settings.workdir / "programs"))
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            cases_of, names, seconds = pipe.recv()
            end = time.monotonic() + seconds
            try:
                cases = cases_of(settings)
            except Exception as error:
                pipe.send(("begun", "start"))
                pipe.send(("row", "failed", _reason(error), "", {}))
                cases = []
            for case in cases:
                if case.name in names:
                    continue
                pipe.send(("begun", case.name))
                try:
                    measured = case.measure(end - time.monotonic())
                except Exception as error:
                    # Whatever it is, the next case begins.
                    pipe.send(("row", "failed", _reason(error), "", {}))
                    continue
                status = "unfinished" if measured.unfinished else "done"
                pipe.send(("row", status, measured.unfinished, measured.text, measured.values))
            pipe.send(("ended",))


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_REASON]
