"""Trains replicas, alone or together, from where their folders stand to their end."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import TypeVar

import jax

from resjax.records import Result
from resjax.run.settings import OnEpoch
from resjax.run.workdir.replica_folder import ReplicaFolder
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
from resjax.training.saving import SaveInterval, detached

K = TypeVar("K")
S = TypeVar("S")


def schedule(pending: Mapping[K, Sequence[S]], ways: Mapping[K, Way]) -> list[tuple[K, tuple[S, ...]]]:
    """Which seeds of which network are trained at a time, in order: the lowest seeds of all networks first.

    A network may be anything that shares programs, and a seed anything with an order.

    One by one this is seed by seed, so that an early stop leaves pairs. `devices` needs one or more rounds, of sizes as
    equal as possible; `vmap` and `map` train all seeds of a network at once.
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


class NetworkPrograms:
    """The compiled programs of one network, by how many replicas they train and in which way.

    `label` names the network to other processes.
    """

    def __init__(self, trainer: Trainer, label: str = ""):
        self.trainer, self.label = trainer, label
        self._together: dict[tuple, ReplicaTrainer] = {}

    def trainer_for(self, way: Way, replicas: int) -> ReplicaTrainer:
        """The program for a group of this many replicas; if each has a row of devices, on a mesh with as many rows."""
        name = "devices" if way.name == "sequential" else way.name
        # With several processes all devices have to take part.
        rows = way.rows if jax.process_count() > 1 and way.name == "devices" else replicas
        shape = (rows if name == "devices" else 1, way.batch)
        if (name, shape) not in self._together:
            self._together[name, shape] = ReplicaTrainer(self.trainer, name, make_mesh(*shape))
        return self._together[name, shape]


def run_replica(
    trainer: Trainer,
    replica: ReplicaFolder,
    way: Way,
    on_epoch: OnEpoch,
    clock: Callable[[], float] = time.monotonic,
) -> Result | None:
    """Trains a replica from where its folder stands to its end, and returns its result.

    None on a stop request inside an epoch. The epoch is saved as far as it came. `clock` says when to save.
    """
    with replica:
        state = replica.begin()
        first_epoch = len(replica.lines) + 1
        interval = SaveInterval(clock)
        for epoch in trainer.fit(state, first_epoch=first_epoch, best=replica.best, partial=replica.begun):
            if isinstance(epoch, UnfinishedEpoch):
                replica.within_epoch(epoch)
                return None
            # The next epoch donates the state.
            kept = epoch._replace(state=detached(epoch.state))
            save = _is_time_to_save(interval, [replica])
            line = replica.after_epoch(kept, way.describe(1) if way.note else None, save=save)
            on_epoch(replica.name, replica.seed, line)
        return replica.finish()


def run_replicas(
    programs: NetworkPrograms,
    way: Way,
    replicas: Sequence[ReplicaFolder],
    on_epoch: OnEpoch,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Result]:
    """Trains replicas of a network to their end and yields their results.

    Their trainers may differ in learning rate and weight decay from that of `programs`, and in nothing else. Replicas
    at the same step are trained together, however they came there. On a stop request inside an epoch, they are saved
    as far as they came, and no more results follow. `clock` says when to save, all of a group after the same epoch.
    """
    if way.name == "sequential" and way.batch == 1:
        for replica in replicas:
            result = run_replica(replica.trainer, replica, way, on_epoch, clock)
            if result is None:
                return
            yield result
        return
    with ExitStack() as stack:
        states = {replica: stack.enter_context(replica).begin() for replica in replicas}
        by_stand = {replica.position: [] for replica in replicas}
        for replica in replicas:
            by_stand[replica.position].append(replica)
        for (done, _), group in sorted(by_stand.items()):
            together = programs.trainer_for(way, len(group))
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
            interval = SaveInterval(clock)
            for results in together.fit(started, first_epoch=done + 1, best=best, partial=begun, trainers=trainers):
                with announcing_next_epoch():
                    ended, save = [], _is_time_to_save(interval, group)
                    for replica, epoch in zip(group, results, strict=True):
                        if isinstance(epoch, UnfinishedEpoch):
                            replica.within_epoch(epoch)
                        elif epoch is not None:
                            line = replica.after_epoch(epoch, way.describe(len(group)), save=save)
                            ended.append((replica.name, replica.seed, line))
                    if not ended:
                        return
                    # All hold the epoch before the first is reported, which may end the run: so they stay at one epoch.
                    for each in ended:
                        on_epoch(*each)
            for replica in group:
                yield replica.finish()


def _is_time_to_save(interval: SaveInterval, replicas: Sequence[ReplicaFolder]) -> bool:
    """Whether all replicas are saved now. While one is being written, training goes on without a further save."""
    # Each is asked, so that the error of none waits.
    writing = [replica.is_saving() for replica in replicas]
    return not any(writing) and interval.is_over()


def follow(programs: Mapping[str, NetworkPrograms], asked_to_stop: Callable[[], bool] = lambda: False) -> bool:
    """What every process but the first does: its part of what the first trains, until the first ends.

    False if the first ended early.
    """
    while (told := receive_message()) is not None:
        if "ended" in told:
            return False
        own, way = programs[told["programs"]], Way(**told["way"])
        states = broadcast_states([own.trainer.initial_state(seed) for seed in told["seeds"]])
        together = own.trainer_for(way, len(states))
        for _ in together.fit(states, first_epoch=told["done"] + 1, best=told["best"]):
            if asked_to_stop():
                request_stop()
            told = receive_message()
            if told is None or "ended" in told:
                return False
            if not told["go_on"]:
                break
    return True
