"""Results of replicas, made for the tests of statistics: only the numbers that a test gives differ."""

from typing import Any

import numpy as np

from resjax.evaluation.metrics import per_class_scores
from resjax.records import Diverged, DivergedAt, Done, MetricsLine, NetworkCosts, ReplicaTiming

TIMING = ReplicaTiming(seconds=2.5, training_seconds=2.0, device="cpu")
COSTS = NetworkCosts(
    parameters=1000, forward_flops=36e6, forward_flops_xla=None, activation_bytes=483_000, init_from=None
)
MATRIX = [[1, 0], [0, 1]]


def made_line(val_accuracy: float | None, epoch: int = 1, **more: Any) -> MetricsLine:
    """A line of `metrics.jsonl`."""
    values: dict[str, Any] = {
        "train_loss": 1.0,
        "train_accuracy": 0.9,
        "val_loss": 1.25,
        "val_accuracy": val_accuracy,
        "learning_rate": 5e-4,
        "is_best": True,
        "seconds": 2.0,
        "images_per_second": 100.0,
    }
    return MetricsLine(epoch=epoch, **values | more)


def made_done(
    best: float,
    last: float | None = None,
    *,
    test: float | None = None,
    matrix: list[list[int]] = MATRIX,
    train_accuracy: float = 0.9,
    train_loss: float = 1.0,
    **more: Any,
) -> Done:
    """A finished replica with the validation accuracy of its best and of its last epoch, and its test accuracy."""
    values: dict[str, Any] = {
        "best": made_line(best),
        "last": made_line(best if last is None else last, train_accuracy=train_accuracy, train_loss=train_loss),
        "best_updates": 2,
        "evaluated_on": "val" if test is None else "test",
        "accuracy": best if test is None else test,
        "confusion_matrix": matrix,
        "per_class": per_class_scores(np.array(matrix), [f"class {label}" for label in range(len(matrix))]),
        "last_three_val_accuracy": best,
        "best_optimism": None,
        "loss": 1.25,
    }
    return Done(
        architecture="made",
        seed=0,
        status="done",
        parameters=1000,
        trained_as=["sequential"],
        timing=TIMING,
        **values | more,
    )


def made_diverged(epoch: int = 1, step: int = 3) -> Diverged:
    """A replica whose loss was not finite."""
    return Diverged(
        architecture="made",
        seed=0,
        status="diverged",
        parameters=1000,
        best=None,
        last=made_line(0.1, epoch, train_loss=None),
        best_updates=0,
        trained_as=["sequential"],
        evaluated_on="val",
        diverged_at=DivergedAt(epoch=epoch, step=step),
        timing=TIMING,
    )
