"""Silences tracebacks that orbax's threads print after the failed call itself has raised; imports no jax.

They are reported to an event loop that is already closed, at any later time, and say nothing new.
"""

import sys
from collections.abc import Callable
from typing import Any


def silence_late_orbax_errors() -> None:
    """Drops late errors of orbax's threads from `sys.unraisablehook`. All other errors reach the previous hook."""
    if not hasattr(sys.unraisablehook, "drops_late_orbax_errors"):
        sys.unraisablehook = _without_late_errors(sys.unraisablehook)


def is_late_orbax_error(error: BaseException | None) -> bool:
    """Whether this is the error of a reader or writer whose event loop is closed."""
    return isinstance(error, RuntimeError) and str(error) == "Event loop is closed"


def _without_late_errors(hook: Callable[[Any], object]) -> Callable[[Any], None]:
    def report(raised: Any) -> None:
        if not is_late_orbax_error(raised.exc_value):
            hook(raised)

    report.drops_late_orbax_errors = True
    return report
