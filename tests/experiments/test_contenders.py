"""Programs that take turns: fair turns, processes of their own, and what is said of one that fails."""

import os

import pytest

from experiments.benchmarks.harness import machine
from experiments.benchmarks.harness.contenders import (
    Failure,
    InProcess,
    Program,
    Worker,
    contest,
    in_a_process,
    take_turns,
)
from resjax.errors import BadInput


class Pretender:
    """A contender that takes a known time a step, fails after some turns, and writes down the order of turns."""

    def __init__(self, name: str, seconds: float, turns: list, fails_at: int | None = None):
        self.name, self.seconds, self.turns, self.left = name, seconds, turns, fails_at

    def take(self, steps: int) -> float:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Failure("out of memory")
        self.turns.append((self.name, steps))
        return steps * self.seconds

    def close(self) -> dict:
        return {}


def test_turns_take_about_a_second_after_an_untimed_step_there_and_back():
    turns = []
    contenders = {"slow": Pretender("slow", 0.5, turns), "fast": Pretender("fast", 0.125, turns)}
    rates, failures = take_turns(contenders, samples=2)
    assert rates == {"slow": [2.0, 2.0], "fast": [8.0, 8.0]} and not failures
    slow, fast = [("slow", 1), ("slow", 2)], [("fast", 1), ("fast", 8)]
    assert turns[-8:] == slow + fast + fast + slow


def test_rounds_of_warming_up_are_not_counted():
    turns = []

    class Slow(Pretender):
        def take(self, steps):
            # The first two rounds, and what precedes them.
            return super().take(steps) * (10 if len(turns) < 6 else 1)

    rates, _ = take_turns({"one": Slow("one", 0.125, turns)}, samples=2, warm_up=2)
    assert rates == {"one": [8.0, 8.0]} and len(turns) == 2 + 2 * (2 + 2)


@pytest.mark.parametrize("fails_at", [0, 1, 3, 4])
def test_one_that_fails_is_named_and_the_others_go_on(fails_at):
    contenders = {"big": Pretender("big", 0.5, [], fails_at), "small": Pretender("small", 0.5, [])}
    rates, failures = take_turns(contenders, samples=3)
    assert rates == {"small": [2.0, 2.0, 2.0]} and failures == {"big": "out of memory"}


def steps_in(folder) -> Program:
    taken = []
    return Program(taken.append, lambda: {"taken": taken, "process": os.getpid(), "folder": folder})


def short_of_memory() -> Program:
    raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying\nto allocate 9 bytes.")


def not_understood() -> Program:
    raise BadInput("--width=0: expected 1 or more")


def killed() -> Program:
    os.kill(os.getpid(), 9)
    return Program(lambda steps: None)


def test_a_worker_runs_in_its_own_process_until_it_is_closed():
    worker = Worker(steps_in, "here")
    assert worker.take(2) >= 0 and worker.take(3) >= 0
    described = worker.close()
    assert described.pop("process") != os.getpid() and described == {"taken": [2, 3], "folder": "here"}


def test_what_ran_out_of_memory_says_so_in_one_line():
    with pytest.raises(Failure, match="^out of memory: RuntimeError: RESOURCE_EXHAUSTED: .* to allocate 9 bytes.$"):
        InProcess(short_of_memory)
    rates, failures, descriptions = contest({"big": (short_of_memory,), "small": (steps_in, "")}, 1, 0.0, InProcess)
    assert list(rates) == list(descriptions) == ["small"] and "out of memory" in failures["big"]


def test_a_process_that_the_system_ends_ran_out_of_memory():
    with pytest.raises(Failure, match="^out of memory: the system ended the process$"):
        Worker(killed)


def test_bad_input_comes_back_from_a_process_as_it_is():
    with pytest.raises(BadInput, match="^--width=0: expected 1 or more$"):
        in_a_process(not_understood)
    assert in_a_process(sorted, [3, 1]) == [1, 3]


def test_what_other_programs_used_is_the_machines_time_less_ones_own(tmp_path, monkeypatch):
    ticks, clock = os.sysconf("SC_CLK_TCK"), [0.0]
    own = iter([1.0, 4.0])

    def counted(busy_seconds):
        # user, nice, system, idle, waiting, interrupts, software interrupts, stolen; then guests, counted in user too.
        counts = [busy_seconds * ticks, 0, ticks, 7 * ticks, 9 * ticks, 0, 0, 0, 50 * ticks, 0]
        (tmp_path / "stat").write_text(f"cpu  {' '.join(map(str, counts))}\ncpu0 0\n")

    monkeypatch.setattr(machine, "STAT", tmp_path / "stat")
    monkeypatch.setattr(machine, "_own_seconds", lambda: next(own))
    monkeypatch.setattr(machine.time, "perf_counter", lambda: clock[0])
    counted(100)
    since = machine.BackgroundLoad()
    counted(118)
    clock[0] = 10.0
    assert since.cores() == 1.5
    monkeypatch.setattr(machine, "STAT", tmp_path / "missing")
    assert since.cores() is None
