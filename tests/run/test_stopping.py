"""A run that is asked to stop: by a signal, by its time, and how it says to go on."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resjax.run import stopping as module
from resjax.run.stopping import Stopped, Stopping, leave, listening, released_on_leaving

ROOT = Path(__file__).parents[2]
TRAINS = """
import time
from resjax.run.stopping import Stopping, listening
stopping = Stopping()
with listening(), stopping.waiting():
    # The first of the two steps is finished and not saved.
    assert not stopping.before_step() and not stopping.before_step()
    print("ready", flush=True)
    was = False
    for _ in range(300):
        time.sleep(0.1)
        if stopping.signalled and not was:
            print("heard", flush=True)
        was = stopping.signalled
        if was:
            print("saving", flush=True)
"""
COMPILES = """
import hashlib
from resjax.run.stopping import Stopping, listening, released_on_leaving
stopping = Stopping()
with listening("the command"), stopping.waiting(), released_on_leaving(lambda: print("released", flush=True)):
    stopping.before_step()
    print("ready", flush=True)
    # As a compilation does, it keeps Python's handlers waiting, and lets other threads run.
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**30)
"""


@pytest.fixture(autouse=True)
def hangup():
    """SIGHUP as a terminal has it, also if the tests run under nohup; programs that are started inherit it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def started(code: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    ("number", "status", "name"),
    [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM"), (signal.SIGHUP, 129, "SIGHUP")],
)
def test_a_signal_waits_for_the_end_of_a_step_and_has_its_own_status(number, status, name, capfd):
    steps = []
    stopping = Stopping()
    with listening(), pytest.raises(Stopped, match=name) as stopped, stopping.waiting():
        for step in range(3):
            stopping.check()
            if step == 1:
                signal.raise_signal(number)
            steps.append(step)
    assert steps == [0, 1] and stopped.value.status == status


def test_a_signal_during_the_last_step_counts_after_it():
    stopping = Stopping()
    with listening(), pytest.raises(Stopped), stopping.waiting():
        signal.raise_signal(signal.SIGTERM)


def test_outside_of_training_a_signal_stops_what_is_under_way():
    with listening(), pytest.raises(Stopped):
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("it went on")


def test_what_an_import_makes_of_a_signal_is_a_stop_and_no_traceback():
    with pytest.raises(Stopped), listening():
        try:
            signal.raise_signal(signal.SIGTERM)
        except Stopped as error:
            raise ImportError("a module could not be loaded") from error
    with pytest.raises(ImportError), listening():
        raise ImportError("a module could not be loaded")


def test_afterwards_signals_are_handled_as_before():
    before = [signal.getsignal(number) for number in module.SIGNALS]
    with listening():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in module.SIGNALS] == before


def test_a_hook_for_errors_of_threads_that_a_command_sets_stays(monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = sys.unraisablehook
    with listening():
        assert sys.unraisablehook is not before
    assert sys.unraisablehook is before
    with listening():
        sys.unraisablehook = own = lambda failed: None
    assert sys.unraisablehook is own


def test_a_run_under_nohup_goes_on_after_its_terminal():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listening():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN and not Stopping().signalled
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_system_without_sighup_has_the_other_signals():
    code = """
import signal
del signal.SIGHUP
from resjax.run.stopping import listening, SIGNALS
with listening():
    print([signal.Signals(number).name for number in SIGNALS])
"""
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout == "['SIGINT', 'SIGTERM']\n"


def test_unsaved_steps_are_waited_for_but_for_a_second_ctrl_c():
    with started(TRAINS) as process:
        try:
            process.send_signal(signal.SIGTERM)
            # Of GNU `timeout`.
            process.send_signal(signal.SIGTERM)
            assert process.stdout.readline() == "heard\n"
            # Longer than a process stays that has nothing to save.
            for _ in range(int(20 * module.GRACE_SECONDS)):
                assert process.stdout.readline() == "saving\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130
            assert "SIGTERM" in process.stderr.readline() + process.stderr.readline()
        finally:
            process.kill()


def test_a_compilation_before_the_first_finished_step_is_not_waited_for():
    with started(COMPILES) as process:
        try:
            process.send_signal(signal.SIGHUP)
            assert process.wait(timeout=60) == 129
            assert process.stdout.read() == "released\n"
            said = process.stderr.read()
            assert "stopping (SIGHUP)" in said and said.endswith("resume with the same command: the command\n")
        finally:
            process.kill()


def test_what_is_unsaved_is_known_by_steps_and_forgotten_once_replicas_are_saved():
    stopping = Stopping()
    with listening(), stopping.waiting():
        with stopping.saved_at_end():
            found = []
            for _ in range(3):
                assert not stopping.before_step()
                found.append(module._process.has_unsaved)
            assert found == [False, True, True]
        assert not module._process.has_unsaved
    assert module._process.steps == 0


def test_leaving_releases_what_others_wait_for_and_goes_on_after_a_failure(monkeypatch):
    done = []
    monkeypatch.setattr(module.os, "_exit", lambda status: done.append(status))
    with released_on_leaving(lambda: done.append("outer")), released_on_leaving(lambda: 1 / 0):
        leave(143)
    assert done == ["outer", 143]


def test_a_program_whose_threads_are_stuck_ends_with_its_status():
    code = """
import sys, threading
from resjax.run.stopping import end_even_if_stuck
threading.Thread(target=threading.Event().wait).start()
end_even_if_stuck(1, 0.1)
sys.exit(1)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 1


def test_no_epoch_is_begun_that_would_not_end_in_time():
    stopping = Stopping(max_minutes=(time.monotonic() - module.STARTED) / 60 + 10)
    stopping.check()
    stopping.after_epoch(60.0)
    with pytest.raises(Stopped, match="--max_minutes") as stopped:
        stopping.after_epoch(599.0)
    assert stopped.value.status == 0
    # The longest epoch so far counts, not the last.
    with pytest.raises(Stopped):
        stopping.after_epoch(1.0)


def test_a_time_that_is_over_stops_before_the_next_step():
    stopping = Stopping(max_minutes=1e-9)
    assert stopping.before_step()
    with pytest.raises(Stopped, match="--max_minutes=1e-09"):
        stopping.check()
