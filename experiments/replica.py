"""Trains replicas from where their folders stand to their ends, alone or together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import TypeVar

import jax

from experiments.replica_folder import ReplicaFolder
from resjax.training.loop import Trainer
from resjax.training.mesh import make_mesh
from resjax.training.processes import hear, share, tell
from resjax.training.replicas import Together, Way

K = TypeVar("K")
S = TypeVar("S")
OnEpoch = Callable[[str, int, dict], None]
"""Told an arm, a seed and the line of an epoch that has ended."""


def schedule(pending: Mapping[K, Sequence[S]], ways: Mapping[K, Way]) -> list[tuple[K, tuple[S, ...]]]:
    """Which seeds of which arm are trained at a time, in order: the lowest seeds of all arms first.

    An arm may be anything that shares programs, and a seed anything with an order.

    One by one that is seed by seed, so that an early stop leaves pairs. `devices` takes as many rounds as it must, of
    sizes as equal as can be; `vmap` and `map` take all seeds of an arm at once.
    """
    groups = []
    for place, (name, seeds) in enumerate(pending.items()):
        if not seeds:
            continue
        rounds = -(-len(seeds) // ways[name].at_once(len(seeds)))
        sizes = [len(seeds) // rounds + (number < len(seeds) % rounds) for number in range(rounds)]
        for number, size in enumerate(sizes):
            first = sum(sizes[:number])
            groups.append((place, name, tuple(seeds[first : first + size])))
    groups.sort(key=lambda group: (group[2][0], group[0]))
    return [(name, seeds) for _, name, seeds in groups]


class ArmPrograms:
    """The compiled programs of one arm, by how many replicas they train and how.

    `label` names the arm to other processes.
    """

    def __init__(self, trainer: Trainer, label: str = ""):
        self.trainer, self.label = trainer, label
        self._together: dict[tuple, Together] = {}

    def together(self, way: Way, replicas: int) -> Together:
        """The program for a group of so many replicas; where each has a row, on a mesh with as many."""
        name = "devices" if way.name == "sequential" else way.name
        # With several processes no device may be left out.
        rows = way.rows if jax.process_count() > 1 and way.name == "devices" else replicas
        shape = (rows if name == "devices" else 1, way.batch)
        if (name, shape) not in self._together:
            self._together[name, shape] = Together(self.trainer, name, make_mesh(*shape))
        return self._together[name, shape]


def run_replica(trainer: Trainer, replica: ReplicaFolder, way: Way, on_epoch: OnEpoch) -> dict:
    """Trains a replica to its end, on from the last complete epoch in its folder, and returns its result record."""
    with replica:
        state = replica.begin()
        for epoch in trainer.fit(state, first_epoch=len(replica.lines) + 1, best=replica.best):
            if way.note:
                epoch.metrics["trained_as"] = way.describe(1)
            replica.after_epoch(epoch)
            on_epoch(replica.name, replica.seed, epoch.metrics)
        return replica.finish()


def run_replicas(
    programs: ArmPrograms, way: Way, replicas: Sequence[ReplicaFolder], on_epoch: OnEpoch
) -> Iterator[dict]:
    """Trains replicas of an arm to their ends and yields their result records.

    Their trainers may differ in learning rate and weight decay from that of `programs`, and in nothing else. Those that
    stand at the same epoch are trained together, whichever way they came there.
    """
    if way.name == "sequential" and way.batch == 1:
        for replica in replicas:
            yield run_replica(replica.trainer, replica, way, on_epoch)
        return
    with ExitStack() as stack:
        states = {replica: stack.enter_context(replica).begin() for replica in replicas}
        by_epoch = {len(replica.lines): [] for replica in replicas}
        for replica in replicas:
            by_epoch[len(replica.lines)].append(replica)
        for done, group in sorted(by_epoch.items()):
            together = programs.together(way, len(group))
            best = [replica.best for replica in group]
            tell(
                {
                    "programs": programs.label,
                    "way": asdict(way),
                    "seeds": [replica.seed for replica in group],
                    "done": done,
                    "best": best,
                }
            )
            started = share([states.pop(replica) for replica in group])
            for results in together.fit(
                started, first_epoch=done + 1, best=best, trainers=[replica.trainer for replica in group]
            ):
                for replica, epoch in zip(group, results, strict=True):
                    if epoch is not None:
                        epoch.metrics["trained_as"] = way.describe(len(group))
                        replica.after_epoch(epoch)
                # All are saved before the first is told of: that may end the run, and they stay at one epoch.
                for replica, epoch in zip(group, results, strict=True):
                    if epoch is not None:
                        on_epoch(replica.name, replica.seed, epoch.metrics)
            for replica in group:
                yield replica.finish()


def follow(programs: Mapping[str, ArmPrograms]) -> None:
    """What every process but the first does: its part of what the first trains, until that ends."""
    while (told := hear()) is not None:
        arm, way = programs[told["programs"]], Way(**told["way"])
        states = share([arm.trainer.initial_state(seed) for seed in told["seeds"]])
        together = arm.together(way, len(states))
        for _ in together.fit(states, first_epoch=told["done"] + 1, best=told["best"]):
            pass
