"""The time that is left, on made-up machines: compiling, contention, several at a time, replicas that end early."""

import pytest

from resjax.run.forecast import LEAST_SECONDS, Forecast
from resjax.run.progress import rough_duration

EPOCHS, STEPS = 8, 30
STEP = 0.9 / STEPS
"""The share of an epoch that a step is; the evaluation is the rest."""
WORK = {"plain": 1.0, "resnet": 1.2}
SPEED = 1.5
"""Seconds for a unit of work, with all cores."""
AROUND, FINISHING = 0.8, 5.0
"""Seconds to begin and end a replica, and to write the report."""


class Machine:
    """Trains replicas one by one: another thread compiles for a while, and steps take twice as long meanwhile."""

    def __init__(self, seeds: int, compiling: float = 30.0, slower_after: int = 10**6):
        self.now, self.compiling, self.slower_after = 0.0, compiling, slower_after
        self.seeds = seeds
        self.forecasts: list[tuple[float, float]] = []
        """When, and the time of the end that was forecast."""
        self.after_replicas: list[tuple[float, float]] = []
        self.forecast = Forecast(
            WORK, dict.fromkeys(WORK, seeds), EPOCHS, STEP, lambda: self.now < compiling, lambda: self.now
        )

    def spend(self, seconds: float) -> None:
        self.now += seconds * (2 if self.now < self.compiling else 1)

    def run(self, diverges: bool = False) -> None:
        done = 0
        for seed in range(self.seeds):
            for name, work in WORK.items():
                self.spend(AROUND / 2)
                for _ in range(1 if diverges else EPOCHS):
                    for call in range(STEPS + 1):
                        self.forecast.step(name)
                        if (left := self.forecast.seconds_left()) is not None:
                            self.forecasts.append((self.now, self.now + left))
                        if done == 0 and call == 0:
                            self.now = max(self.now, self.compiling / 3)
                        slower = 1.5 if done >= self.slower_after else 1.0
                        self.spend(slower * SPEED * work * (STEP if call < STEPS else 1 - STEPS * STEP))
                    self.forecast.epoch(name, seed)
                self.spend(AROUND / 2)
                done += 1
                self.forecast.replica(name)
                if (left := self.forecast.seconds_left()) is not None:
                    self.after_replicas.append((self.now, self.now + left))
        self.now += FINISHING


def worst(forecasts: list[tuple[float, float]], end: float) -> float:
    """The largest error of a forecast, as a share of the whole time."""
    return max(abs(said - end) / end for _, said in forecasts)


@pytest.mark.parametrize("compiling", [0.0, 12.0, 60.0])
def test_forecasts_of_a_run_are_right_within_a_quarter_and_soon_within_a_tenth(compiling):
    machine = Machine(seeds=6, compiling=compiling)
    machine.run()
    assert machine.forecasts[0][0] < compiling + LEAST_SECONDS + 2 * AROUND + 1.0
    assert worst(machine.forecasts, machine.now) < 0.25
    assert worst(machine.after_replicas[2:], machine.now) < 0.1


def test_a_machine_that_becomes_slower_is_noticed_after_each_replica():
    machine = Machine(seeds=6, slower_after=3)
    machine.run()
    # Of each network a replica that was slower tells half of it, a second one three quarters.
    assert worst(machine.after_replicas[:2], machine.now) > 0.2
    assert worst(machine.after_replicas[5:], machine.now) < 0.03


def test_replicas_that_end_early_leave_less():
    machine = Machine(seeds=4, compiling=0.0)
    machine.run(diverges=True)
    assert all(said - now <= 7 * EPOCHS * SPEED * 1.2 + 10 for now, said in machine.after_replicas)
    assert machine.forecast.seconds_left() is None


def test_without_steps_the_first_epochs_are_what_compiling_takes():
    """On an accelerator, where several replicas share an epoch in one compiled call and nothing compiles ahead."""
    now = [0.0]
    forecast = Forecast(WORK, dict.fromkeys(WORK, 3), EPOCHS, STEP, clock=lambda: now[0])
    for name, compiling in (("plain", 40.0), ("resnet", 40.0)):
        for epoch in range(EPOCHS):
            now[0] += compiling * (epoch == 0) + 3 * SPEED * WORK[name]
            for seed in range(3):
                forecast.epoch(name, seed)
            if name == "plain" and epoch == 0:
                assert forecast.seconds_left() is None
            elif name == "plain":
                left = 3 * SPEED * ((EPOCHS - 1 - epoch) * WORK["plain"] + EPOCHS * WORK["resnet"]) + 40.0
                assert forecast.seconds_left() == pytest.approx(left + FINISHING, abs=1.0)
        forecast.replica(name, 3)


def test_a_network_that_is_not_trained_counts_no_more():
    now = [0.0]
    forecast = Forecast(WORK, dict.fromkeys(WORK, 2), EPOCHS, STEP, clock=lambda: now[0])
    for _ in range(3):
        now[0] += 10.0
        forecast.epoch("plain", 0)
    with_both = forecast.seconds_left()
    forecast.replica("resnet", 2)
    without = forecast.seconds_left()
    assert with_both is not None and without is not None
    assert with_both - without == pytest.approx(2 * EPOCHS * 12.0)


@pytest.mark.parametrize("seconds", [4.0, 80.0, 600.0, 30_000.0])
def test_a_rough_duration_has_two_ends_and_the_unit_of_each(seconds):
    words = rough_duration(seconds).split(" to ")
    assert len(words) == 2 and words[1].split()[-1] in ("s", "min")
