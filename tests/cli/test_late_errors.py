"""What orbax's threads report too late is left out, and nothing else."""

import sys
from types import SimpleNamespace

from absl import logging

from resjax.cli import program


def test_only_reports_to_an_ended_event_loop_are_left_out(monkeypatch):
    heard = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: heard.append(error))
    filters = logging.get_absl_logger(), program.standard_logging.getLogger("asyncio")
    for logger in filters:
        monkeypatch.setattr(logger, "filters", [*logger.filters])
    program._silence_repeated_errors.__wrapped__()
    others = [RuntimeError("Event loop stopped"), ValueError("Event loop is closed"), None]
    for error in [RuntimeError("Event loop is closed"), *others]:
        sys.unraisablehook(SimpleNamespace(exc_value=error))
        sys.excepthook(type(error), error, None)
    reports, errors = heard[::2], heard[1::2]
    assert [each.exc_value for each in reports] == errors == others
