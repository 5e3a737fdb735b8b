"""What orbax's readers report too late is left out, and nothing else."""

import sys
from types import SimpleNamespace

from resjax.training.orbax_errors import silence_late_orbax_errors


def test_only_reports_to_an_ended_event_loop_are_left_out(monkeypatch):
    heard = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    silence_late_orbax_errors()
    hook = sys.unraisablehook
    silence_late_orbax_errors()
    assert sys.unraisablehook is hook
    others = [RuntimeError("Event loop stopped"), ValueError("Event loop is closed"), None]
    for error in [RuntimeError("Event loop is closed"), *others]:
        sys.unraisablehook(SimpleNamespace(exc_value=error))
    assert [each.exc_value for each in heard] == others
