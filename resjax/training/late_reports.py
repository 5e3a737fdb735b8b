"""Leaves out what orbax's readers and writers report after the call that failed, to an event loop that has ended.

That may be at any later time. What went wrong is said by the call itself, so their tracebacks say nothing new.
"""

import sys
from collections.abc import Callable
from typing import Any


def leave_out_late_reports() -> None:
    """From now on such a report has no traceback; every other goes to the hook that was there."""
    if not hasattr(sys.unraisablehook, "leaves_out_late_reports"):
        sys.unraisablehook = _without_late_reports(sys.unraisablehook)


def is_late_report(error: BaseException | None) -> bool:
    """Whether this is the error of a reader or writer whose event loop has ended."""
    return isinstance(error, RuntimeError) and str(error) == "Event loop is closed"


def _without_late_reports(hook: Callable[[Any], object]) -> Callable[[Any], None]:
    def report(raised: Any) -> None:
        if not is_late_report(raised.exc_value):
            hook(raised)

    report.leaves_out_late_reports = True
    return report
