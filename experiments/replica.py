"""Trains one replica from where its folder stands to its end."""

from collections.abc import Callable

from experiments.replica_folder import ReplicaFolder
from resjax.training.loop import Trainer


def run_replica(
    trainer: Trainer, replica: ReplicaFolder, on_epoch: Callable[[dict], None] = lambda metrics: None
) -> dict:
    """Trains a replica to its end, on from the last complete epoch in its folder, and returns its result record."""
    with replica:
        state = replica.begin()
        for epoch in trainer.fit(state, first_epoch=len(replica.lines) + 1, best=replica.best):
            replica.after_epoch(epoch)
            on_epoch(epoch.metrics)
        return replica.finish()
