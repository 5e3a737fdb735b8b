"""Where a program's time goes: seconds by phase, with compiling as a phase of its own."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

COMPILING = "/jax/core/compile/", "/resjax/compile/"
"""The events of tracing, lowering and compiling, and of waiting for a thread that compiles; with a warm compilation
cache they are short."""


class Timeline:
    """Seconds by phase, of the thread that made it. The time of an inner phase does not count for the outer one."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._thread = threading.get_ident()
        self._phases = ["other"]
        self._seconds: dict[str, float] = {}
        self._compiled: list[tuple[float, float]] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """The time inside counts as `name`; in another thread it does not count."""
        if threading.get_ident() != self._thread:
            yield
            return
        self._advance()
        self._phases.append(name)
        try:
            yield
        finally:
            self._advance()
            self._phases.pop()

    def compiled(self, seconds: float) -> None:
        """Counts the last `seconds` as compiling, minus what was counted before: tracing can contain tracing."""
        if threading.get_ident() != self._thread:
            return
        self._advance()
        start, before = self._last - seconds, 0.0
        while self._compiled and self._compiled[-1][1] > start:
            began, ended = self._compiled.pop()
            before += ended - began
            start = min(start, began)
        self._compiled.append((start, self._last))
        new = self._last - start - before
        self._count("compiling", new)
        self._count(self._phases[-1], -new)

    def record(self) -> dict[str, float]:
        """`seconds` in all, and `<phase>_seconds`, which add up to it; `other` is the time outside of all phases."""
        self._advance()
        parts = {f"{name}_seconds": max(0.0, seconds) for name, seconds in self._seconds.items()}
        return {"seconds": self._last - self._start} | parts

    def _advance(self) -> None:
        now = time.perf_counter()
        self._count(self._phases[-1], now - self._last)
        self._last = now

    def _count(self, name: str, seconds: float) -> None:
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds


_timelines: list[Timeline] = []


@contextmanager
def timed() -> Iterator[Timeline]:
    """A timeline to which `phase` and JAX's compiler report until the end of the block."""
    from jax import monitoring

    timeline = Timeline()

    def listen(event: str, duration_secs: float, **_: object) -> None:
        if event.startswith(COMPILING) and timeline in _timelines:
            timeline.compiled(duration_secs)

    # JAX has no public way to remove a listener; after the block this one does nothing.
    monitoring.register_event_duration_secs_listener(listen)
    _timelines.append(timeline)
    try:
        yield timeline
    finally:
        _timelines.remove(timeline)


@contextmanager
def phase(name: str) -> Iterator[None]:
    """The time inside counts as `name` in the timeline of `timed`, if there is one. Also a decorator."""
    if not _timelines:
        yield
        return
    with _timelines[-1].phase(name):
        yield
