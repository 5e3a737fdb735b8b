"""Arms that each have their own best setting: which one is best on validation, and what choosing it is worth.

Settings are told apart by name. Results are those of replicas, by seed; None is what has not ended or has failed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from resjax.evaluation.selection import optimism_of_best

Record = Mapping[str, Any]
Results = Mapping[int, Record | None]


class Choice(NamedTuple):
    """The setting that an arm is best at."""

    name: str
    seeds: int
    """Finished seeds of it."""
    val_accuracy: float
    """Their mean, at each one's best epoch."""


def val_accuracy(result: Record) -> float:
    """What settings are chosen by."""
    return result["best"]["val_accuracy"]


def reported_accuracy(result: Record) -> float:
    """Test accuracy where there is a test set, else the validation accuracy that was chosen by."""
    return result["accuracy"] if result["evaluated_on"] == "test" else val_accuracy(result)


def choose(candidates: Mapping[str, Results], leaving_out: int | None = None) -> Choice | None:
    """The setting with the highest mean validation accuracy, among those that most seeds have finished.

    A setting at which a seed diverged therefore loses to any at which none did, however good its other seeds are; of
    equals the first wins. None where nothing is finished.

    Args:
      leaving_out: a seed that has no say.
    """
    best = None
    for name, results in candidates.items():
        values = [val_accuracy(result) for seed, result in _done(results).items() if seed != leaving_out]
        if values:
            found = Choice(name, len(values), float(np.mean(values)))
            if best is None or found[1:] > best[1:]:
                best = found
    return best


def chosen_by_others(
    candidates: Mapping[str, Results], read: Callable[[Record], float] = reported_accuracy
) -> dict[int, float]:
    """For each seed the accuracy of its replica at the setting that the other seeds choose.

    No seed's luck has a say in its own setting, so the mean is what this way of choosing comes to with a new seed; what
    the chosen setting's own mean has above it is owed to choosing among lucky seeds. Seeds whose replica at that
    setting has not finished are left out, and without a second seed there is nothing.
    """
    found = {}
    for seed in sorted({seed for results in candidates.values() for seed in results}):
        choice = choose(candidates, leaving_out=seed)
        result = candidates[choice.name].get(seed) if choice else None
        if result is not None and result["status"] == "done":
            found[seed] = read(result)
    return found


def optimism_of_choice(
    correct: Mapping[str, Mapping[int, Bool[np.ndarray, " image"]]], groups: Int[np.ndarray, " image"]
) -> float | None:
    """By how much (a fraction) the best setting's accuracy is too high for being the best on the very same images.

    `optimism_of_best`, with settings in the place of epochs and the mean over seeds in that of right and wrong. What
    choosing the epoch adds is not in it. None where it cannot be said.

    Args:
      correct: which images each finished seed has right, for each setting.
      groups: of copies among these images.
    """
    rows = [np.mean([*by_seed.values()], axis=0) for by_seed in correct.values() if by_seed]
    return optimism_of_best(np.stack(rows), groups) if rows else None


def edges(chosen: Mapping[str, float], values: Mapping[str, Sequence[float]]) -> list[str]:
    """Which of the chosen numbers lie at an end of what was tried: the best may lie beyond.

    Nothing lies below 0, so a decay of 0 is no edge; and where one value was tried there was no choice.

    >>> edges({"learning_rate": 0.1, "weight_decay": 0}, {"learning_rate": [0.01, 0.1], "weight_decay": [0, 1e-4]})
    ['learning_rate']
    """
    return [
        name
        for name, value in chosen.items()
        if len(values[name]) > 1 and value in (min(values[name]), max(values[name])) and value != 0
    ]


def paired_means(baseline: Mapping[str, Results], candidate: Mapping[str, Results]) -> dict[str, dict[str, Any]]:
    """Setting by setting, the mean difference of reported accuracy over the seeds that both arms have finished."""
    found = {}
    for name in baseline:
        first, second = _done(baseline[name]), _done(candidate.get(name, {}))
        differences = [
            reported_accuracy(second[seed]) - reported_accuracy(first[seed]) for seed in first if seed in second
        ]
        found[name] = {"seeds": len(differences), "mean": float(np.mean(differences)) if differences else None}
    return found


def _done(results: Results) -> dict[int, Record]:
    return {seed: result for seed, result in results.items() if result is not None and result["status"] == "done"}
