"""A run that is asked to stop: by a signal, by its time, and how it says to go on."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resjax.run.stopping import Stopped, Stopping, how_to_go_on

ROOT = Path(__file__).parents[2]
HEARD = """
import signal, time
from resjax.run.stopping import Stopping
stopping = Stopping()
with stopping.listening(), stopping.waiting():
    print("ready", flush=True)
    for _ in range(300):
        time.sleep(0.1)
        if stopping._signal is not None:
            print("heard", flush=True)
"""


@pytest.mark.parametrize(
    ("number", "status", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_signal_waits_for_the_end_of_a_step_and_has_its_own_status(number, status, name):
    steps = []
    stopping = Stopping()
    with stopping.listening(), pytest.raises(Stopped, match=name) as stopped, stopping.waiting():
        for step in range(3):
            stopping.check()
            if step == 1:
                signal.raise_signal(number)
            steps.append(step)
    assert steps == [0, 1] and stopped.value.status == status


def test_a_signal_during_the_last_step_counts_after_it():
    stopping = Stopping()
    with stopping.listening(), pytest.raises(Stopped), stopping.waiting():
        signal.raise_signal(signal.SIGTERM)


def test_outside_of_training_a_signal_stops_what_is_under_way():
    stopping = Stopping()
    with stopping.listening(), pytest.raises(Stopped):
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("it went on")


def test_afterwards_signals_are_handled_as_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Stopping().listening():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_second_ctrl_c_leaves_at_once_and_a_second_sigterm_does_not():
    process = subprocess.Popen([sys.executable, "-c", HEARD], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout.readline() == "ready\n"
            for number in (signal.SIGTERM, signal.SIGTERM):
                process.send_signal(number)
                assert process.stdout.readline() == "heard\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130
        finally:
            process.kill()


def test_no_epoch_is_begun_that_would_not_end_in_time():
    stopping = Stopping(max_minutes=(time.monotonic() - _started()) / 60 + 10)
    stopping.check()
    stopping.after_epoch(60.0)
    with pytest.raises(Stopped, match="--max_minutes") as stopped:
        stopping.after_epoch(599.0)
    assert stopped.value.status == 0
    # The longest epoch so far counts, not the last.
    with pytest.raises(Stopped):
        stopping.after_epoch(1.0)


def test_a_time_that_is_over_stops_before_the_next_step():
    with pytest.raises(Stopped, match="--max_minutes=1e-09"):
        Stopping(max_minutes=1e-9).check()


def test_the_command_that_goes_on_is_the_one_that_was_given(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["experiments/compare.py", "--dataset=csv:my photos/train.csv"])
    assert how_to_go_on().endswith("'--dataset=csv:my photos/train.csv'")


def _started() -> float:
    from resjax.run import stopping

    return stopping.STARTED
