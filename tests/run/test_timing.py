"""Where the time goes: phases inside phases, compiling apart from them, and other threads."""

import threading

import jax
import pytest

from resjax.run import timing
from resjax.run.timing import Timeline, phase, timed


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    return now


def test_phases_add_up_and_an_inner_one_takes_its_time_from_the_outer(clock):
    timeline = Timeline()
    clock[0] += 1
    with timeline.phase("training"):
        clock[0] += 4
        with timeline.phase("writing"):
            clock[0] += 2
    with timeline.phase("writing"):
        clock[0] += 1
    assert timeline.record() == {"seconds": 8, "other_seconds": 1, "training_seconds": 4, "writing_seconds": 3}


def test_compiling_is_taken_out_of_its_phase_and_counts_once_where_it_contains_tracing(clock):
    timeline = Timeline()
    with timeline.phase("training"):
        clock[0] += 2
        timeline.compiled(1)  # 101 to 102
        clock[0] += 3
        timeline.compiled(4.5)  # 100.5 to 105, around the one before
        clock[0] += 1
    record = timeline.record()
    assert record["compiling_seconds"] == 4.5 and record["training_seconds"] == 1.5 and record["seconds"] == 6


def test_jaxs_compiler_is_heard_until_the_block_ends():
    with timed() as timeline:
        with phase("training"):
            jax.jit(lambda x: x * 3 + 1)(2.0)
    record = timeline.record()
    assert record["compiling_seconds"] > 0 and record["training_seconds"] > 0
    before = dict(timeline.record())
    jax.jit(lambda x: x * 5 - 1)(2.0)
    with phase("training"):
        pass
    assert timeline.record()["compiling_seconds"] == before["compiling_seconds"]


def test_other_threads_count_nowhere(clock):
    timeline = Timeline()

    def other():
        with timeline.phase("writing"):
            timeline.compiled(1.0)

    with timeline.phase("training"):
        clock[0] += 1
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert timeline.record() == {"seconds": 1, "other_seconds": 0, "training_seconds": 1}


def test_a_phase_without_a_timeline_changes_nothing():
    @phase("writing")
    def answer():
        return 42

    assert answer() == 42
