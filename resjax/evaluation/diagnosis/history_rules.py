"""What learning curves show: over-fitting, unstable validation, training that ended too early, divergence.

A rule is applied to every finished seed, and holds if it holds in at least half of them. A history is the lines of a
replica's `metrics.jsonl`. Losses are in nats per image, accuracies are fractions, a point is 0.01 of accuracy.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from resjax.evaluation.diagnosis.rules import finding, in_seeds, is_half
from resjax.records import Diverged, Finding, MetricsLine, Result

History = Sequence[MetricsLine]

LOSS_RISE = 0.10
"""Over-fitting: validation loss ends this fraction above its lowest value, while training loss falls by as much."""
EPOCHS_AFTER = 3
"""Over-fitting: the least number of epochs after the lowest validation loss."""
FALL = 0.05
"""Instability: the least fall of validation accuracy from one epoch to the next, if chance does not explain it."""
SHARE_OF_FALLS = 0.25
"""Instability: the least fraction of such falls among the steps of the run's second half."""
STEPS = 4
"""Instability: the least number of steps that are judged."""
STILL_RISING = 0.02
"""Under-training: the least gain (a fraction) of the last quarter of the epochs over the quarter before."""


def over_fitting(network: str, histories: Mapping[int, History]) -> Finding | None:
    """Validation loss rises from some epoch on while training loss goes on falling.

    The curves are smoothed by a running median of three epochs. Let `e` be the epoch of the lowest validation loss: the
    rule holds if 3 epochs or more follow, validation loss ends at least 10 % above that of `e`, and training loss at
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
            starts[seed] = history[min(near, key=curves[:, 0].__getitem__)].epoch
            rises[seed] = float(val[-1] / val[lowest] - 1)
    if not is_half(len(starts), len(histories)):
        return None
    start, first, last = (int(of(list(starts.values()))) for of in (np.median, min, max))
    spread = f" (from epoch {first} to {last})" if first < last else ""
    rise = float(np.mean(list(rises.values())))
    return finding(
        "over-fitting",
        network,
        f"{network} over-fits from epoch {start} on{in_seeds(len(starts), len(histories))}{spread}: validation loss "
        f"rises by {100 * rise:.0f} % until the end while training loss goes on falling.",
        {"epoch": start, "epochs": starts, "validation_loss_rise": rise, "seeds": len(histories), "least": LOSS_RISE},
    )


def instability(network: str, histories: Mapping[int, History], pictures: float) -> Finding | None:
    """Validation accuracy falls repeatedly by more than counting `pictures` explains, of which copies are one.

    In the second half of the epochs (at least 4 steps), a fall counts if it is above 5 points and above twice the
    standard deviation of the difference of two independent counts, sqrt(2 p (1 - p) / pictures). The rule holds if at
    least a quarter of the steps are such falls.
    """
    falls, largest, judged = {}, (0.0, 0, 0), 0
    for seed, history in histories.items():
        curves = _curves(history, "val_accuracy")
        if curves is None or len(curves) // 2 < STEPS or pictures < 1:
            continue
        judged += 1
        first = len(curves) - 1 - len(curves) // 2
        before, after = curves[first:-1, 0], curves[first + 1 :, 0]
        chance = 2 * np.sqrt(2 * before * (1 - before) / pictures)
        steps = before - after
        counted = (steps > FALL) & (steps > chance)
        if counted.sum() >= SHARE_OF_FALLS * len(steps):
            falls[seed] = int(counted.sum())
            worst = int(steps.argmax())
            largest = max(largest, (float(steps[worst]), history[first + 1 + worst].epoch, seed))
    if not is_half(len(falls), judged):
        return None
    fall, epoch, seed = largest
    where = f"epoch {epoch} of seed {seed}" if judged > 1 else f"epoch {epoch}"
    return finding(
        "instability",
        network,
        f"{network}'s validation accuracy is unstable{in_seeds(len(falls), judged)}: it falls by up to "
        f"{100 * fall:.0f} points from one epoch to the next ({where}), more than counting {pictures:.0f} pictures "
        "explains.",
        {"falls": falls, "largest_fall": fall, "epoch": epoch, "seed": seed, "pictures": pictures, "least": FALL},
    )


def under_training(network: str, histories: Mapping[int, History]) -> Finding | None:
    """Validation still improves at the end.

    The rule holds if the last quarter of the epochs (at least 2) is on average at least 2 points above the quarter
    before, in accuracy on validation and in accuracy on training, and its validation loss is lower.
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
    return finding(
        "under-training",
        network,
        f"{network} still improves at the end{in_seeds(len(gains), len(histories))}: the last quarter of the epochs is "
        f"{100 * gain:.1f} points of validation accuracy above the quarter before. More epochs may change the answer.",
        {"gain": gain, "gains": gains, "seeds": len(histories), "least": STILL_RISING},
    )


def divergence(network: str, results: Mapping[int, Result]) -> Finding | None:
    """Replicas whose loss was not finite; no mean includes them."""
    diverged = {seed: result.diverged_at for seed, result in results.items() if isinstance(result, Diverged)}
    if not diverged:
        return None
    places = ", ".join(f"seed {seed} in epoch {at.epoch}, step {at.step}" for seed, at in diverged.items())
    return finding(
        "divergence",
        network,
        f"{network} diverged in {len(diverged)} of {len(results)} replicas that ended ({places}); they are in no mean.",
        {"diverged": diverged, "of": len(results)},
    )


def _curves(history: History, *keys: str) -> np.ndarray | None:
    """The values (epoch, key) of a whole history; None if it is empty or a number is missing."""
    rows = [[getattr(line, key) for key in keys] for line in history]
    if not rows or any(value is None for row in rows for value in row):
        return None
    return np.array(rows, np.float64)


def _smoothed(curve: np.ndarray) -> np.ndarray:
    """The running median of three epochs, with the ends repeated."""
    padded = np.pad(curve, 1, mode="edge")
    return np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)
