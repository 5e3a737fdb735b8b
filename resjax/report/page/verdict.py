"""What a comparison says in one sentence: its verdict where it was tested, a careful description where it was not."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from resjax.report.page.words import counted, listed, number, p_value, pair_of, percent, points, points_interval

METRICS = {"best_val_accuracy": "validation accuracy at the best epoch", "test_accuracy": "test accuracy"}
DESCRIBED = "described, not tested"


class Verdict(NamedTuple):
    """The sentence of a pair of arms, a word for it, and the lines behind it."""

    sentence: str
    label: str
    details: list[tuple[str, str]]
    """What was computed, and its value: only what is there."""


def headline_interval(comparison: Mapping[str, Any]) -> tuple[float, float] | None:
    """The interval that the sentence has.

    None with fewer than two seeds, and where all seeds agree to the last bit: an interval without width would claim
    what nobody knows.
    """
    ends = pair_of(comparison.get("ci95"))
    return None if ends is None or ends[0] >= ends[1] else ends


def confidence(comparison: Mapping[str, Any]) -> str:
    """How often the interval covers: 95 %, or more where a comparison is looked at several times."""
    level = number(comparison.get("level"))
    return f"{100 * (1 - (0.05 if level is None else level)):.3g} %"


def verdict_of(comparison: Mapping[str, Any]) -> Verdict:
    """The verdict of one pair of arms."""
    label = comparison.get("verdict") or DESCRIBED
    sentence = comparison.get("sentence") or _description(comparison)
    return Verdict(sentence, label, _details(comparison))


def no_verdict(summary: Mapping[str, Any]) -> str:
    """Why there is no verdict: one arm alone, or no seed that is finished in two arms."""
    arms = summary["architectures"]
    done = {name: sum(status == "done" for status in arm["status"].values()) for name, arm in arms.items()}
    if not any(done.values()):
        return "No replica is finished: there is nothing to compare yet."
    if len(arms) == 1:
        ((name, arm),) = arms.items()
        mean = percent(arm["best_val_accuracy"]["mean"])
        return (
            f"{name} reaches {mean} on validation at its best epoch ({counted(done[name], 'seed')}); there is no other "
            "arm to compare it with."
        )
    return f"No seed is finished in two arms ({listed([f'{name} {count}' for name, count in done.items()])} finished)."


def _description(comparison: Mapping[str, Any]) -> str:
    candidate, baseline = comparison["candidate"], comparison["baseline"]
    mean, seeds = number(comparison.get("mean")), len(comparison["seeds"])
    if mean is None:
        return f"{candidate} and {baseline} share no finished seed."
    metric = METRICS.get(comparison["metric"], comparison["metric"])
    place = "above" if mean > 0 else "below" if mean < 0 else "from"
    ends = headline_interval(comparison)
    if seeds == 1:
        behind = "with one seed, which gives no interval: another seed may turn it round"
    elif ends is None:
        behind = f"in every one of {seeds} seeds, which leaves no interval over seeds"
    else:
        behind = f"on average over {seeds} seeds, {confidence(comparison)} interval {points_interval(ends)}"
        if ends[0] <= 0 <= ends[1]:
            behind += ", which includes no difference"
    return f"{candidate} is {points(abs(mean)).lstrip('+')} points {place} {baseline} in {metric} ({behind})."


def _details(comparison: Mapping[str, Any]) -> list[tuple[str, str]]:
    over_seeds = comparison.get("over_seeds") or {}
    ends, of = headline_interval(comparison), comparison.get("interval")
    seeds_alone = pair_of(over_seeds.get("ci95"))
    several = [
        ("mean paired difference", _points(comparison.get("mean"))),
        ("standard deviation over seeds", _size(comparison.get("sd"))),
        (f"{confidence(comparison)} interval{_in_brackets(of)}", ends and f"{points_interval(ends)} points"),
        ("95 % interval over seeds alone", seeds_alone and f"{points_interval(seeds_alone)} points"),
        (f"p-value{_in_brackets(comparison.get('test'))}", _p_value(comparison.get("p_value"))),
        ("the same after Holm, for all pairs of arms", _p_value(comparison.get("holm_p_value"))),
        (f"p-value over seeds{_in_brackets(over_seeds.get('test'))}", _p_value(over_seeds.get("p_value"))),
    ]
    for each in comparison.get("over_images") or []:
        right = f"{counted(each['only_candidate_right'], 'image')} right in {comparison['candidate']} alone"
        left = f"{each['only_baseline_right']} in {comparison['baseline']} alone"
        p = _p_value(each.get("p_value"))
        several.append((f"p-value over images, seed {each['seed']} (McNemar)", p and f"{p}: {right}, {left}"))
    several.append(("smallest difference that this could detect", _size(comparison.get("smallest_detectable"))))
    wanted = number(comparison.get("seeds_to_settle"))
    several.append(("seeds that would settle it", f"about {wanted:g}" if wanted else None))
    known = number(comparison.get("mean")) is not None
    return [(name, value) for name, value in several if known and value]


def _points(value: object) -> str | None:
    return None if number(value) is None else f"{points(value)} points"


def _size(value: object) -> str | None:
    return None if number(value) is None else f"{points(value).lstrip('+')} points"


def _p_value(value: object) -> str | None:
    return None if number(value) is None else p_value(value)


def _in_brackets(text: str | None) -> str:
    return f" ({text})" if text else ""
