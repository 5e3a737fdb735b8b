"""How long the pending replicas still take, from the steps and epochs that were measured on this machine."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

WARM_UP = 3
"""Steps of a network that are not counted: its program is compiled before the first, and the queue of steps fills."""
LEAST_SECONDS = 2.0
"""Measured training from which on there is a forecast."""
LEAST_EPOCHS = 0.1
"""Measured epochs of a network from which on its own speed counts, and not that of the others."""
FIGURE_SECONDS, PAGE_SECONDS = 0.35, 2.0
"""What a figure and the report take at the end, on a processor of 2025."""


@dataclass
class _Network:
    """What is known of a network.

    Args:
      work: floating-point operations of an epoch.
      replicas: that are pending.
      left: epochs of these.
      seconds, epochs: measured training, and how many epochs it was, with fractions for steps. Both fade with time.
      started, first: seconds until first epochs had ended, where steps are not seen, and how many epochs these were.
        Compiling is in it.
      seeds: of which an epoch has ended.
    """

    work: float
    replicas: int
    left: float
    seconds: float = 0.0
    epochs: float = 0.0
    started: float = 0.0
    first: int = 0
    seeds: frozenset[int] = frozenset()


class Forecast:
    """The seconds that are left of a comparison, corrected with each step, epoch and replica.

    Time counts for the network that is trained while it passes, so that evaluating, saving and writing are in it. What
    is not like the rest is left out: the first steps of a network, for which its program is compiled, and all time in
    which another thread compiles, because that takes cores from training.

    Args:
      work: of each network with pending replicas, the floating-point operations of an epoch. A network that was not yet
        measured is assumed to be as fast as the others.
      replicas: of each of these networks that are pending.
      epochs: of a replica.
      step: the share of an epoch that one step is. The rest is the evaluation.
      is_compiling: whether another thread compiles.
      clock: seconds.
    """

    def __init__(
        self,
        work: Mapping[str, float],
        replicas: Mapping[str, int],
        epochs: int,
        step: float,
        is_compiling: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self._networks = {name: _Network(work[name], count, epochs * count) for name, count in replicas.items()}
        self._epochs, self._step = epochs, step
        self._is_compiling, self._clock = is_compiling, clock
        self._calls, self._has_ended = 0, False
        self._seconds = 0.0
        """All that was measured."""
        self._between: list[float] = []
        """Seconds from the last epoch of a replica to the first step of the next, where steps are seen."""
        self._last, self._was_compiling = clock(), is_compiling()

    def step(self, name: str) -> None:
        """Call it before each step, and before the evaluation, of a replica that is trained alone by calls of steps."""
        network = self._networks[name]
        is_warm = self._calls > WARM_UP or bool(network.seeds)
        seconds, is_undisturbed = self._passed()
        if self._has_ended:
            self._between += [seconds] * is_undisturbed
            self._has_ended = False
        elif is_warm and is_undisturbed:
            self._measured(network, seconds, self._step if self._calls else 0.0)
        self._calls += 1

    def epoch(self, name: str, seed: int) -> None:
        """Call it after each epoch of a replica; after those of several that are trained together one after another."""
        network, steps = self._networks[name], max(0, self._calls - 1)
        is_warm = self._calls > WARM_UP or network.epochs > 0 or seed in network.seeds
        seconds, is_undisturbed = self._passed()
        if not is_warm:
            network.started += seconds
            network.first += 1
        elif is_undisturbed:
            self._measured(network, seconds, 1.0 - steps * self._step)
        if self._calls:
            # The load of a machine changes: what was measured a replica ago counts half.
            fading = 0.5 ** (1 / self._epochs)
            network.seconds, network.epochs = fading * network.seconds, fading * network.epochs
        network.left -= 1
        network.seeds |= {seed}
        self._calls, self._has_ended = 0, False

    def replica(self, name: str, count: int = 1) -> None:
        """Call it when a replica has ended, maybe early, or will not be trained."""
        network = self._networks[name]
        network.replicas -= count
        network.left = min(network.left, network.replicas * self._epochs)
        self._has_ended = True

    def seconds_left(self) -> float | None:
        """The seconds to the end of the comparison; None if too little was measured, or no replica is pending."""
        networks = self._networks.values()
        if self._seconds < LEAST_SECONDS or not any(each.replicas for each in networks):
            return None
        speed = sum(each.seconds for each in networks) / sum(each.epochs * each.work for each in networks)
        epoch = {
            name: each.seconds / each.epochs if each.epochs >= LEAST_EPOCHS else speed * each.work
            for name, each in self._networks.items()
        }
        # Without a thread that compiles ahead, the others will wait for their programs as the first ones did.
        waits = [
            max(0.0, each.started - each.first * epoch[name]) for name, each in self._networks.items() if each.first
        ]
        to_compile = sum(waits) / len(waits) * sum(not each.seeds for each in networks) if waits else 0.0
        figures = 5 + 2 * len(self._networks)
        training = sum(max(0.0, each.left) * epoch[name] for name, each in self._networks.items())
        between = sum(self._between) / max(1, len(self._between)) * sum(each.replicas for each in networks)
        return training + between + to_compile + PAGE_SECONDS + figures * FIGURE_SECONDS

    def _measured(self, network: _Network, seconds: float, epochs: float) -> None:
        self._seconds += seconds
        network.seconds += seconds
        network.epochs += epochs

    def _passed(self) -> tuple[float, bool]:
        """The seconds since the last call, and whether no other thread compiled at either end of them."""
        now, is_compiling = self._clock(), self._is_compiling()
        passed = now - self._last, not (is_compiling or self._was_compiling)
        self._last, self._was_compiling = now, is_compiling
        return passed
