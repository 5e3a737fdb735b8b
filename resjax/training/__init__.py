"""Trains networks by a recipe, one replica or several at once, on one or many devices, and resumes bit for bit.

Names are loaded when first used, so that reading a recipe needs no jax.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resjax.training.ahead_of_time import AheadOfTimeJit, compiling
    from resjax.training.checkpoint import CheckpointError, Checkpoints, ResumePoint
    from resjax.training.loop import EpochResult, PartialEpoch, Trainer, UnfinishedEpoch
    from resjax.training.mesh import make_mesh, parse_mesh
    from resjax.training.optimizer import learning_rate_schedule, make_optimizer
    from resjax.training.recipe import Recipe
    from resjax.training.replicas import ReplicaTrainer, Way, choose_way
    from resjax.training.state import TrainState, initial_state, purpose_key
    from resjax.training.step import StepSums, make_train_step, predict_logits

_PLACES = {
    "ahead_of_time": ("AheadOfTimeJit", "compiling"),
    "checkpoint": ("CheckpointError", "Checkpoints", "ResumePoint"),
    "loop": ("EpochResult", "PartialEpoch", "Trainer", "UnfinishedEpoch"),
    "mesh": ("make_mesh", "parse_mesh"),
    "optimizer": ("learning_rate_schedule", "make_optimizer"),
    "recipe": ("Recipe",),
    "replicas": ("ReplicaTrainer", "Way", "choose_way"),
    "state": ("TrainState", "initial_state", "purpose_key"),
    "step": ("StepSums", "make_train_step", "predict_logits"),
}
_PLACE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "AheadOfTimeJit",
    "CheckpointError",
    "Checkpoints",
    "EpochResult",
    "PartialEpoch",
    "Recipe",
    "ReplicaTrainer",
    "ResumePoint",
    "StepSums",
    "TrainState",
    "Trainer",
    "UnfinishedEpoch",
    "Way",
    "choose_way",
    "compiling",
    "initial_state",
    "learning_rate_schedule",
    "make_mesh",
    "make_optimizer",
    "make_train_step",
    "parse_mesh",
    "predict_logits",
    "purpose_key",
]


def __getattr__(name: str) -> object:
    if name not in _PLACE_OF:
        raise AttributeError(f"module 'resjax.training' has no attribute {name!r}")
    return getattr(import_module(f"resjax.training.{_PLACE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
