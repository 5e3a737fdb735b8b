"""Networks that each have their own best setting: which setting is best on validation, and the optimism of choosing it.

Settings have names. Results are those of replicas by seed, None for a replica that is pending or failed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from resjax.evaluation.comparison.comparing import Results, finished
from resjax.evaluation.selection import optimism_of_best
from resjax.records import Done, MeanAtPoint


class Choice(NamedTuple):
    """The setting at which a network is best."""

    name: str
    seeds: int
    """Seeds that are finished at this setting."""
    val_accuracy: float
    """The mean over these seeds, each at its best epoch."""


def val_accuracy(result: Done) -> float:
    """The validation accuracy at the best epoch, by which settings are chosen."""
    return result.best.val_accuracy


def reported_accuracy(result: Done) -> float:
    """Test accuracy if there is a test set, otherwise the validation accuracy by which settings are chosen."""
    return result.accuracy if result.evaluated_on == "test" else val_accuracy(result)


def choose(candidates: Mapping[str, Results], leaving_out: int | None = None) -> Choice | None:
    """The setting with the highest mean validation accuracy, among those that most seeds have finished.

    A setting at which a seed diverged therefore loses to every setting at which none did, however good its other seeds
    are. The first of equal settings wins. None if nothing is finished.

    Args:
      leaving_out: a seed that is not counted.
    """
    best = None
    for name, results in candidates.items():
        values = [val_accuracy(result) for seed, result in finished(results).items() if seed != leaving_out]
        if values:
            found = Choice(name, len(values), float(np.mean(values)))
            if best is None or found[1:] > best[1:]:
                best = found
    return best


def chosen_by_others(
    candidates: Mapping[str, Results], read: Callable[[Done], float] = reported_accuracy
) -> dict[int, float]:
    """The accuracy of each seed's replica at the setting that the other seeds choose.

    No seed takes part in the choice of its own setting, so the mean is what to expect of a new seed. The chosen
    setting's own mean is higher by the optimism of choosing among lucky seeds. Seeds whose replica at that setting has
    not finished are left out; with one seed the result is empty.
    """
    found = {}
    for seed in sorted({seed for results in candidates.values() for seed in results}):
        choice = choose(candidates, leaving_out=seed)
        result = candidates[choice.name].get(seed) if choice else None
        if isinstance(result, Done):
            found[seed] = read(result)
    return found


def optimism_of_choice(
    correct: Mapping[str, Mapping[int, Bool[np.ndarray, " image"]]], groups: Int[np.ndarray, " image"]
) -> float | None:
    """By how much (a fraction) the best setting's accuracy is too high, because it was chosen on the same images.

    This is `optimism_of_best` with settings in the place of epochs, and the mean over seeds in the place of right and
    wrong. The optimism of choosing the epoch is not included. None if it is not known.

    Args:
      correct: which images each finished seed has right, for each setting.
      groups: of copies among these images.
    """
    rows = [np.mean([*by_seed.values()], axis=0) for by_seed in correct.values() if by_seed]
    return optimism_of_best(np.stack(rows), groups) if rows else None


def edges(chosen: Mapping[str, float], values: Mapping[str, Sequence[float]]) -> list[str]:
    """The names of the chosen numbers that lie at an end of the values tried: the best value may lie beyond.

    Nothing lies below 0, so a decay of 0 is no edge; and with one value there was no choice.

    >>> edges({"learning_rate": 0.1, "weight_decay": 0}, {"learning_rate": [0.01, 0.1], "weight_decay": [0, 1e-4]})
    ['learning_rate']
    """
    return [
        name
        for name, value in chosen.items()
        if len(values[name]) > 1 and value in (min(values[name]), max(values[name])) and value != 0
    ]


def paired_means(baseline: Mapping[str, Results], candidate: Mapping[str, Results]) -> dict[str, MeanAtPoint]:
    """For each setting, the mean difference of reported accuracy over the seeds that both networks have finished."""
    found = {}
    for name in baseline:
        first, second = finished(baseline[name]), finished(candidate.get(name, {}))
        differences = [
            reported_accuracy(second[seed]) - reported_accuracy(first[seed]) for seed in first if seed in second
        ]
        mean = float(np.mean(differences)) if differences else None
        found[name] = MeanAtPoint(seeds=len(differences), mean=mean)
    return found
