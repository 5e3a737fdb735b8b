"""Whether one arm is better than another: the record of a paired comparison, the rule, and the sentence."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from resjax.evaluation.comparison.intervals import (
    bca_interval,
    components_of_images,
    components_of_seeds,
    group_sums,
    two_level_bootstrap,
)
from resjax.evaluation.comparison.paired_tests import fewest_seeds, holm, mcnemar_test, sign_flip_test
from resjax.evaluation.comparison.planning import LEVEL, MOST_SEEDS, seeds_to_settle, smallest_detectable
from resjax.evaluation.comparison.statistics import describe

TEST = "larger p of the exact sign-flip test over seeds and of the interval"
BOTH = "t over seeds and groups of images"
SEEDS_ALONE = "t over seeds: the answers to single images are not known"
PLANNED_SEEDS = (6, 8, 12, 20)
MEASURES = {
    "test_accuracy": "test accuracy",
    "best_val_accuracy": "validation accuracy at the best epoch",
}


class Answers(NamedTuple):
    """Which images each seed of two arms has right."""

    baseline: Bool[np.ndarray, "seed image"]
    candidate: Bool[np.ndarray, "seed image"]
    groups: Int[np.ndarray, " image"]
    """Equal numbers are copies of one picture."""


def paired_statistics(
    seeds: Sequence[int],
    differences: Sequence[float],
    answers: Answers | None,
    level: float = LEVEL,
    comparisons: int = 1,
) -> dict[str, Any]:
    """What paired differences say (candidate minus baseline, fractions): mean, interval, tests, and what they can see.

    Without `answers` the interval is of the seeds alone. What does not exist is None: an interval and a p of one seed,
    an interval of differences without any variance. `ci95` covers with 1 - `level`, which is more than 95 % only where
    a comparison is looked at more than once: there it holds at all looks together (Jennison and Turnbull 1989, JRSS B
    51, p. 305). What can be seen is planned at the level that Holm's first step leaves to one of `comparisons`.
    """
    described = describe(differences)
    by_signs = sign_flip_test(differences)
    found = by_group = None
    if answers is not None:
        by_group = group_sums(answers.candidate.astype(np.int8) - answers.baseline.astype(np.int8), answers.groups)
        # One group says nothing of how groups vary.
        by_group = by_group if len(by_group[1]) > 1 else None
    if len(differences) > 1:
        found = components_of_images(*by_group) if by_group else components_of_seeds(differences)
    ci95 = found.interval(level) if found else None
    planned = level / comparisons
    by_interval = found.p_value() if found else None
    return {
        "seeds": list(seeds),
        "differences": described["values"],
        "mean": described["mean"],
        "sd": described["sd"],
        "ci95": ci95,
        "interval": None if ci95 is None else BOTH if by_group else SEEDS_ALONE,
        "p_value": None if by_signs is None else max(by_signs, by_interval or 0.0),
        "test": None if by_signs is None else TEST,
        "level": level,
        "over_seeds": {
            "p_value": by_signs,
            "test": None if by_signs is None else "sign flips",
            "ci95": bca_interval(differences),
        },
        "over_images": [
            {"seed": seed, **mcnemar_test(baseline, candidate)}
            for seed, baseline, candidate in zip(seeds, answers.baseline, answers.candidate, strict=True)
        ]
        if answers is not None
        else [],
        "over_both": {
            "p_value": by_interval,
            "bootstrap_ci95": two_level_bootstrap(*by_group) if found and by_group else None,
        },
        "smallest_detectable": smallest_detectable(found, len(differences), planned) if found else None,
        "detectable": {
            str(count): smallest_detectable(found, count, planned) if found else None for count in PLANNED_SEEDS
        },
        "seeds_to_settle": seeds_to_settle(found, planned) if found else None,
    }


def judged(comparisons: Sequence[Mapping[str, Any]], next_look: int | None = None) -> list[dict[str, Any]]:
    """The comparisons of a run with their verdicts.

    The rule: an arm is better where p is at most `level`. p is the larger of two: the exact sign-flip test over seeds,
    which asks whether these differences could be the seeds' luck on these images, and the interval's, which asks
    whether they would hold with other seeds and other images. With several comparisons p is Holm's. All else is
    inconclusive: fewer than six seeds always, since their signs fall the same way by chance in more than 5 %; and,
    while seeds are added, whatever stands between two looks.

    Args:
      next_look: how many seeds there have to be before the comparisons may be judged; None where they are there.
    """
    adjusted = holm([each["p_value"] for each in comparisons])
    several = len(comparisons) > 1
    records = []
    for each, holm_p_value in zip(comparisons, adjusted, strict=True):
        verdict = None
        if each["mean"] is not None:
            settled = next_look is None and holm_p_value is not None and holm_p_value <= each["level"]
            better = "candidate better" if each["mean"] > 0 else "baseline better"
            verdict = better if settled else "inconclusive"
        record = {**each, "holm_p_value": holm_p_value if several else None, "verdict": verdict}
        if verdict != "inconclusive":
            record["seeds_to_settle"] = None
        records.append(record | {"sentence": _sentence(record, sum(p is not None for p in adjusted), next_look)})
    return records


def _sentence(record: Mapping[str, Any], comparisons: int, next_look: int | None) -> str:
    baseline, candidate, verdict = (record[key] for key in ("baseline", "candidate", "verdict"))
    count = len(record["seeds"])
    if verdict is None:
        return f"No verdict on {candidate} against {baseline}: no seed is finished in both."
    points = f"{_points(record['mean'])} points of {MEASURES.get(record['metric'], record['metric'])}"
    confidence = f"{100 * (1 - record['level']):.3g} % interval"
    interval = (
        f"{confidence} {_points(record['ci95'][0])} to {_points(record['ci95'][1])}"
        if record["ci95"]
        else "no interval"
    )
    p_value = record["p_value"] if record["holm_p_value"] is None else record["holm_p_value"]
    holms = "" if record["holm_p_value"] is None else f" of {comparisons} comparisons"
    tested = f", p = {p_value:.2g}{holms}" if p_value is not None else ""
    evidence = f"{points} ({interval}; {count} seed{'s' if count > 1 else ''}{tested})"
    if verdict != "inconclusive":
        better, other = (candidate, baseline) if verdict == "candidate better" else (baseline, candidate)
        return f"{better} is better than {other}: {candidate} minus {baseline} is {evidence}."
    needed = fewest_seeds(record["level"] / max(comparisons, 1))
    return f"Inconclusive: {candidate} minus {baseline} is {evidence}; {_way_on(record, needed, next_look)}."


def _points(fraction: float) -> str:
    # A zero is added so that -0.0 becomes +0.0.
    return f"{round(100 * fraction, 1) + 0.0:+.1f}"


def _way_on(record: Mapping[str, Any], needed: int, next_look: int | None) -> str:
    count, wanted = len(record["seeds"]), record["seeds_to_settle"]
    if next_look is not None:
        return f"it is judged after {next_look} seeds"
    if count < needed:
        return f"no verdict is possible with fewer than {needed} seeds"
    if record["smallest_detectable"] is None:
        return "nothing varies between seeds"
    sees = f"so many seeds and images detect {100 * record['smallest_detectable']:.1f} points"
    if wanted is None:
        return f"{sees}, and {MOST_SEEDS} seeds would not settle a difference this small"
    return f"{sees}, and about {max(wanted, count + 1)} seeds would settle a difference of this size"
