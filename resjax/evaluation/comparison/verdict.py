"""Whether one network is better than another: the statistics of a paired comparison, the rule, and the sentence."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int
from msgspec.structs import replace

from resjax.evaluation.comparison.intervals import (
    bca_interval,
    components_of_images,
    components_of_seeds,
    group_sums,
    two_level_bootstrap,
)
from resjax.evaluation.comparison.paired_tests import fewest_seeds, holm, mcnemar_test, sign_flip_test
from resjax.evaluation.comparison.planning import LEVEL, MOST_SEEDS, POWER, seeds_to_settle, smallest_detectable
from resjax.evaluation.comparison.statistics import describe
from resjax.records import Comparison, OverBoth, OverImages, OverSeeds, Verdict

TEST = "larger p of the exact sign-flip test over seeds and of the interval"
BOTH = "t over seeds and groups of images"
SEEDS_ALONE = "t over seeds: the answers to single images are not known"
PLANNED_SEEDS = (6, 8, 12, 20)
MEASURES = {
    "test_accuracy": "test accuracy",
    "best_val_accuracy": "validation accuracy at the best epoch",
}


class Answers(NamedTuple):
    """Which images each seed of two networks has right."""

    baseline: Bool[np.ndarray, "seed image"]
    candidate: Bool[np.ndarray, "seed image"]
    groups: Int[np.ndarray, " image"]
    """Images with equal numbers are copies of one picture."""


def paired_statistics(
    baseline: str,
    candidate: str,
    metric: str,
    seeds: Sequence[int],
    differences: Sequence[float],
    answers: Answers | None,
    level: float = LEVEL,
    comparisons: int = 1,
) -> Comparison:
    """The mean, interval and tests of paired differences, and what they can detect; without a verdict (see `judged`).

    `differences` are candidate minus baseline, fractions, one per seed. Without `answers` the interval is over seeds
    alone. Statistics that do not exist are None: the interval and p value of one seed, and the interval of differences
    without any variance. `ci95` covers with 1 - `level`. This is more than 95 % only if a comparison is looked at more
    than once: then it holds at all looks together (Jennison and Turnbull 1989, JRSS B 51, p. 305). What can be detected
    is planned at the level that Holm's first step leaves to one of `comparisons`.
    """
    described = describe(differences)
    by_signs = sign_flip_test(differences)
    found = by_group = None
    if answers is not None:
        by_group = group_sums(answers.candidate.astype(np.int8) - answers.baseline.astype(np.int8), answers.groups)
        # One group says nothing about how groups vary.
        by_group = by_group if len(by_group[1]) > 1 else None
    if len(differences) > 1:
        found = components_of_images(*by_group) if by_group else components_of_seeds(differences)
    ci95 = found.interval(level) if found else None
    planned = level / comparisons
    by_interval = found.p_value() if found else None
    over_images = []
    if answers is not None:
        over_images = [
            OverImages(seed=seed, **mcnemar_test(first, second)._asdict())
            for seed, first, second in zip(seeds, answers.baseline, answers.candidate, strict=True)
        ]
    return Comparison(
        baseline=baseline,
        candidate=candidate,
        metric=metric,
        seeds=list(seeds),
        differences=described.values,
        mean=described.mean,
        sd=described.sd,
        ci95=ci95,
        interval=None if ci95 is None else BOTH if by_group else SEEDS_ALONE,
        p_value=None if by_signs is None else max(by_signs, by_interval or 0.0),
        test=None if by_signs is None else TEST,
        level=level,
        over_seeds=OverSeeds(
            p_value=by_signs, test=None if by_signs is None else "sign flips", ci95=bca_interval(differences)
        ),
        over_images=over_images,
        over_both=OverBoth(
            p_value=by_interval, bootstrap_ci95=two_level_bootstrap(*by_group) if found and by_group else None
        ),
        smallest_detectable=smallest_detectable(found, len(differences), planned) if found else None,
        detectable={count: smallest_detectable(found, count, planned) if found else None for count in PLANNED_SEEDS},
        seeds_to_settle=seeds_to_settle(found, planned) if found else None,
        holm_p_value=None,
        verdict=None,
        sentence="",
    )


def judged(comparisons: Sequence[Comparison], next_look: int | None = None) -> list[Comparison]:
    """The comparisons of a run with their verdicts and sentences.

    The rule: a network is better if p is at most `level`. p is the larger of two: that of the exact sign-flip test over
    seeds, which asks whether these differences could be the luck of the seeds on these images, and that of the
    interval, which asks whether they would hold with other seeds and other images. With several comparisons p is
    Holm's. Everything else is inconclusive: always with fewer than six seeds, because their signs agree by chance in
    more than 5 %; and, while seeds are being added, between two looks.

    Args:
      next_look: the number of seeds at which the comparisons may be judged; None if it is reached.
    """
    adjusted = holm([each.p_value for each in comparisons])
    tested = sum(p is not None for p in adjusted)
    records = []
    for each, holm_p_value in zip(comparisons, adjusted, strict=True):
        verdict: Verdict | None = None
        if each.mean is not None:
            settled = next_look is None and holm_p_value is not None and holm_p_value <= each.level
            better: Verdict = "candidate better" if each.mean > 0 else "baseline better"
            verdict = better if settled else "inconclusive"
        record = replace(each, holm_p_value=holm_p_value if len(comparisons) > 1 else None, verdict=verdict)
        if verdict != "inconclusive":
            record = replace(record, seeds_to_settle=None)
        records.append(replace(record, sentence=_sentence(record, tested, next_look)))
    return records


def _sentence(record: Comparison, comparisons: int, next_look: int | None) -> str:
    baseline, candidate, verdict = record.baseline, record.candidate, record.verdict
    if verdict is None or record.mean is None:
        return f"No verdict on {candidate} against {baseline}: no seed is finished in both."
    points = f"{_points(record.mean)} points of {MEASURES.get(record.metric, record.metric)}"
    interval = "no interval"
    if record.ci95:
        low, high = map(_points, record.ci95)
        interval = f"{100 * (1 - record.level):.3g} % interval {low} to {high}"
    p_value = record.p_value if record.holm_p_value is None else record.holm_p_value
    corrected = "" if record.holm_p_value is None else f" of {comparisons} comparisons"
    tested = f", p = {p_value:.2g}{corrected}" if p_value is not None else ""
    evidence = f"{points} ({interval}; {_counted(len(record.seeds))}{tested})"
    if verdict != "inconclusive":
        better, other = (candidate, baseline) if verdict == "candidate better" else (baseline, candidate)
        return f"{better} is better than {other}: {candidate} minus {baseline} is {evidence}."
    needed = fewest_seeds(record.level / max(comparisons, 1))
    return f"Inconclusive: {candidate} minus {baseline} is {evidence}. {_outlook(record, needed, next_look)}."


def _points(fraction: float) -> str:
    # A zero is added so that -0.0 becomes +0.0.
    return f"{round(100 * fraction, 1) + 0.0:+.1f}"


def _counted(seeds: int) -> str:
    return f"{seeds} seed{'s' if seeds > 1 else ''}"


def _outlook(record: Comparison, needed: int, next_look: int | None) -> str:
    """What an inconclusive comparison could detect, and how many seeds would settle it."""
    count, wanted = len(record.seeds), record.seeds_to_settle
    if next_look is not None:
        return f"It is judged after {next_look} seeds"
    if count < needed:
        return f"No verdict is possible with fewer than {needed} seeds"
    if record.smallest_detectable is None or record.mean is None:
        return "Nothing varies between seeds"
    detects = (
        f"With {count} seeds and these images only differences above {100 * record.smallest_detectable:.1f} points are "
        f"found reliably ({100 * POWER:.0f} % power)"
    )
    found = f"{100 * abs(record.mean):.1f}"
    if wanted is None:
        return f"{detects}. {MOST_SEEDS} seeds would not be enough for {found}"
    return f"{detects}. About {max(wanted, count + 1)} seeds would be needed for {found}"
