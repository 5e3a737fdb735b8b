"""What learning curves show: over-fitting, an unsteady validation, training that stopped early, divergence.

A rule looks at every finished seed by itself and speaks where it holds in at least half of them. A history is the lines
of a replica's `metrics.jsonl`; losses are in nats per image, accuracies are fractions, a point is 0.01 of accuracy.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from resjax.evaluation.diagnosis.finding import Finding, in_seeds, is_half

History = Sequence[Mapping[str, Any]]

LOSS_RISE = 0.10
"""Over-fitting: validation loss ends this share above its lowest value, while training loss has fallen by as much."""
EPOCHS_AFTER = 3
"""Over-fitting: epochs that must follow the lowest validation loss."""
FALL = 0.05
"""Instability: a fall of validation accuracy from one epoch to the next that counts, if chance does not explain it."""
SHARE_OF_FALLS = 0.25
"""Instability: the share of the steps of the run's second half that are such falls."""
STEPS = 4
"""Instability: the fewest steps that are judged."""
STILL_RISING = 0.02
"""Under-training: points (as a fraction) that the last quarter of the epochs gains on the quarter before."""


def over_fitting(arm: str, histories: Mapping[int, History]) -> Finding | None:
    """Validation loss has risen since an epoch from which training loss went on falling.

    The curves are smoothed by a running median of three epochs. Let `e` be the epoch of the lowest validation loss: the
    rule holds where 3 epochs or more follow, validation loss ends at least 10 % above that of `e`, and training loss at
    least 10 % below.
    """
    starts, rises = {}, {}
    for seed, history in histories.items():
        curves = _curves(history, "val_loss", "train_loss")
        if curves is None or len(curves) <= EPOCHS_AFTER:
            continue
        val, train = (_smoothed(curve) for curve in curves.T)
        lowest = int(val.argmin())
        rose = val[-1] >= (1 + LOSS_RISE) * val[lowest]
        fell = train[-1] <= (1 - LOSS_RISE) * train[lowest]
        if len(val) - 1 - lowest >= EPOCHS_AFTER and rose and fell:
            # The smoothed curve is flat around its lowest point: the epoch is that of the lowest loss itself.
            near = range(max(0, lowest - 1), lowest + 2)
            starts[seed] = int(history[min(near, key=curves[:, 0].__getitem__)]["epoch"])
            rises[seed] = float(val[-1] / val[lowest] - 1)
    if not is_half(len(starts), len(histories)):
        return None
    start, first, last = (int(of(list(starts.values()))) for of in (np.median, min, max))
    spread = f" (from epoch {first} to {last})" if first < last else ""
    rise = float(np.mean(list(rises.values())))
    return Finding(
        "over-fitting",
        arm,
        f"{arm} over-fits from epoch {start} on{in_seeds(len(starts), len(histories))}{spread}: validation loss rises "
        f"by {100 * rise:.0f} % until the end while training loss goes on falling.",
        {"epoch": start, "epochs": starts, "validation_loss_rise": rise, "seeds": len(histories), "least": LOSS_RISE},
    )


def instability(arm: str, histories: Mapping[int, History], images: int) -> Finding | None:
    """Validation accuracy falls again and again by more than counting `images` explains.

    In the second half of the epochs (4 steps at least), a fall counts where it is above 5 points and above twice the
    standard deviation of the difference of two independent counts, sqrt(2 p (1 - p) / images). The rule holds where at
    least a quarter of the steps are such falls.
    """
    falls, largest, judged = {}, (0.0, 0, 0), 0
    for seed, history in histories.items():
        curves = _curves(history, "val_accuracy")
        if curves is None or len(curves) // 2 < STEPS or images < 1:
            continue
        judged += 1
        first = len(curves) - 1 - len(curves) // 2
        before, after = curves[first:-1, 0], curves[first + 1 :, 0]
        chance = 2 * np.sqrt(2 * before * (1 - before) / images)
        steps = before - after
        counted = (steps > FALL) & (steps > chance)
        if counted.sum() >= SHARE_OF_FALLS * len(steps):
            falls[seed] = int(counted.sum())
            worst = int(steps.argmax())
            largest = max(largest, (float(steps[worst]), int(history[first + 1 + worst]["epoch"]), seed))
    if not is_half(len(falls), judged):
        return None
    fall, epoch, seed = largest
    where = f"epoch {epoch} of seed {seed}" if judged > 1 else f"epoch {epoch}"
    return Finding(
        "instability",
        arm,
        f"{arm}'s validation accuracy is unsteady{in_seeds(len(falls), judged)}: it falls by up to {100 * fall:.0f} "
        f"points from one epoch to the next ({where}), more than counting {images} images explains.",
        {"falls": falls, "largest_fall": fall, "epoch": epoch, "seed": seed, "images": images, "least": FALL},
    )


def under_training(arm: str, histories: Mapping[int, History]) -> Finding | None:
    """Validation still improves at the end.

    The rule holds where the last quarter of the epochs (2 at least) is on average at least 2 points above the quarter
    before, in accuracy on validation and in accuracy on training, and its validation loss is below.
    """
    gains = {}
    for seed, history in histories.items():
        curves = _curves(history, "val_accuracy", "train_accuracy", "val_loss")
        if curves is None:
            continue
        quarter = max(2, len(curves) // 4)
        if len(curves) < 2 * quarter:
            continue
        gain = curves[-quarter:].mean(0) - curves[-2 * quarter : -quarter].mean(0)
        if gain[0] >= STILL_RISING and gain[1] >= STILL_RISING and gain[2] < 0:
            gains[seed] = float(gain[0])
    if not is_half(len(gains), len(histories)):
        return None
    gain = float(np.mean(list(gains.values())))
    return Finding(
        "under-training",
        arm,
        f"{arm} still improves at the end{in_seeds(len(gains), len(histories))}: the last quarter of the epochs is "
        f"{100 * gain:.1f} points of validation accuracy above the quarter before. More epochs may change the answer.",
        {"gain": gain, "gains": gains, "seeds": len(histories), "least": STILL_RISING},
    )


def divergence(arm: str, results: Mapping[int, Mapping[str, Any]]) -> Finding | None:
    """Replicas whose loss was no longer finite; they are in no mean."""
    diverged = {seed: result["diverged_at"] for seed, result in results.items() if result["status"] == "diverged"}
    if not diverged:
        return None
    places = ", ".join(f"seed {seed} in epoch {at['epoch']}, step {at['step']}" for seed, at in diverged.items())
    return Finding(
        "divergence",
        arm,
        f"{arm} diverged in {len(diverged)} of {len(results)} replicas that ended ({places}); they are in no mean.",
        {"diverged": diverged, "of": len(results)},
    )


def _curves(history: History, *keys: str) -> np.ndarray | None:
    """(epoch, key) of a whole history; None where it is empty or a number is missing."""
    rows = [[line.get(key) for key in keys] for line in history]
    if not rows or any(value is None for row in rows for value in row):
        return None
    return np.array(rows, np.float64)


def _smoothed(curve: np.ndarray) -> np.ndarray:
    """The running median of three; the ends are repeated."""
    padded = np.pad(curve, 1, mode="edge")
    return np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)
