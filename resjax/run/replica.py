"""Trains replicas from where their folders stand to their ends, alone or together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import TypeVar

import jax

from resjax.run.replica_folder import ReplicaFolder
from resjax.training.loop import Trainer, UnfinishedEpoch
from resjax.training.mesh import make_mesh
from resjax.training.processes import (
    announcing_next_epoch,
    broadcast_states,
    receive_message,
    request_stop,
    send_message,
)
from resjax.training.replicas import ReplicaTrainer, Way

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
        self._together: dict[tuple, ReplicaTrainer] = {}

    def together(self, way: Way, replicas: int) -> ReplicaTrainer:
        """The program for a group of so many replicas; where each has a row, on a mesh with as many."""
        name = "devices" if way.name == "sequential" else way.name
        # With several processes no device may be left out.
        rows = way.rows if jax.process_count() > 1 and way.name == "devices" else replicas
        shape = (rows if name == "devices" else 1, way.batch)
        if (name, shape) not in self._together:
            self._together[name, shape] = ReplicaTrainer(self.trainer, name, make_mesh(*shape))
        return self._together[name, shape]


def run_replica(trainer: Trainer, replica: ReplicaFolder, way: Way, on_epoch: OnEpoch) -> dict | None:
    """Trains a replica to its end, on from where its folder stands, and returns its result record.

    None where it was asked to stop inside an epoch, which is saved as far as it came.
    """
    with replica:
        state = replica.begin()
        first_epoch = len(replica.lines) + 1
        for epoch in trainer.fit(state, first_epoch=first_epoch, best=replica.best, partial=replica.begun):
            if isinstance(epoch, UnfinishedEpoch):
                replica.within_epoch(epoch)
                return None
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
    stand at the same step are trained together, whichever way they came there. Where they are asked to stop inside an
    epoch, they are saved as far as they came, and no more results follow.
    """
    if way.name == "sequential" and way.batch == 1:
        for replica in replicas:
            result = run_replica(replica.trainer, replica, way, on_epoch)
            if result is None:
                return
            yield result
        return
    with ExitStack() as stack:
        states = {replica: stack.enter_context(replica).begin() for replica in replicas}
        by_stand = {replica.stands_at: [] for replica in replicas}
        for replica in replicas:
            by_stand[replica.stands_at].append(replica)
        for (done, _), group in sorted(by_stand.items()):
            together = programs.together(way, len(group))
            best = [replica.best for replica in group]
            send_message(
                {
                    "programs": programs.label,
                    "way": asdict(way),
                    "seeds": [replica.seed for replica in group],
                    "done": done,
                    "best": best,
                }
            )
            started = broadcast_states([states.pop(replica) for replica in group])
            begun = [replica.begun for replica in group if replica.begun is not None]
            trainers = [replica.trainer for replica in group]
            for results in together.fit(started, first_epoch=done + 1, best=best, partial=begun, trainers=trainers):
                with announcing_next_epoch():
                    ended = []
                    for replica, epoch in zip(group, results, strict=True):
                        if isinstance(epoch, UnfinishedEpoch):
                            replica.within_epoch(epoch)
                        elif epoch is not None:
                            epoch.metrics["trained_as"] = way.describe(len(group))
                            replica.after_epoch(epoch)
                            ended.append((replica.name, replica.seed, epoch.metrics))
                    if not ended:
                        return
                    # All are saved before the first is told of: that may end the run, and they stay at one epoch.
                    for each in ended:
                        on_epoch(*each)
            for replica in group:
                yield replica.finish()


def follow(programs: Mapping[str, ArmPrograms], asked_to_stop: Callable[[], bool] = lambda: False) -> bool:
    """What every process but the first does: its part of what the first trains, until that ends.

    False where that ended early.
    """
    while (told := receive_message()) is not None:
        if "ended" in told:
            return False
        arm, way = programs[told["programs"]], Way(**told["way"])
        states = broadcast_states([arm.trainer.initial_state(seed) for seed in told["seeds"]])
        together = arm.together(way, len(states))
        for _ in together.fit(states, first_epoch=told["done"] + 1, best=told["best"]):
            if asked_to_stop():
                request_stop()
            told = receive_message()
            if "ended" in told:
                return False
            if not told["go_on"]:
                break
    return True
