"""Pictures drawn in processes are those drawn here, also after a process was killed; a process ends with its thread."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from resjax.data.synthetic import processes
from resjax.data.synthetic.source import Drawing, png_bytes

DRAWINGS = [Drawing("x", label, 7) for label in range(5)]


@pytest.fixture
def started(monkeypatch):
    """The processes that were started."""
    pids = []

    class Recorded(processes.DrawingProcess):
        def __init__(self):
            super().__init__()
            pids.append(self.pid)

    monkeypatch.setattr(processes, "DrawingProcess", Recorded)
    return pids


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_threads_pictures_come_from_one_process_that_ends_with_it(started):
    with ThreadPoolExecutor(1) as pool:
        pictures = list(pool.map(lambda drawing: processes.drawn_elsewhere(drawing, 32), DRAWINGS))
        assert len(started) == 1 and is_there(started[0])
    assert not is_there(started[0])
    assert pictures == [png_bytes(drawing, 32) for drawing in DRAWINGS]


def test_a_thread_whose_process_was_killed_draws_by_itself(started):
    def after_a_kill(drawing):
        first = processes.drawn_elsewhere(drawing, 32)
        os.kill(started[0], signal.SIGKILL)
        return first, processes.drawn_elsewhere(drawing, 32), processes.drawn_elsewhere(drawing, 32)

    with ThreadPoolExecutor(1) as pool:
        assert set(pool.submit(after_a_kill, DRAWINGS[1]).result()) == {png_bytes(DRAWINGS[1], 32)}
    assert len(started) == 1


def test_without_processes_a_thread_draws_by_itself(monkeypatch):
    monkeypatch.setattr(processes.sys, "executable", "/no/such/program")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(processes.drawn_elsewhere, DRAWINGS[0], 32).result() == png_bytes(DRAWINGS[0], 32)


def test_the_main_thread_starts_no_process(started):
    assert processes.drawn_elsewhere(DRAWINGS[2], 32) == png_bytes(DRAWINGS[2], 32)
    assert not started
