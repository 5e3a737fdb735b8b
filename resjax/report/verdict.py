"""What a comparison says in one sentence: its verdict where it was tested, a careful description where it was not."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from resjax.report.words import counted, listed, number, p_value, pair_of, percent, points, points_interval

METRICS = {"best_val_accuracy": "validation accuracy at the best epoch", "test_accuracy": "test accuracy"}
DESCRIBED = "described, not tested"


class Verdict(NamedTuple):
    """The sentence of a pair of arms, a word for it, and the lines behind it."""

    sentence: str
    label: str
    details: list[tuple[str, str]]
    """What was computed, and its value: only what is there."""


def headline_interval(comparison: Mapping[str, Any]) -> tuple[float, float] | None:
    """The interval that the sentence has: over seeds and images where there is one, else over seeds.

    None with fewer than two seeds, and where all seeds agree to the last bit: an interval without width would claim
    what nobody knows.
    """
    ends = pair_of(comparison.get("interval")) or pair_of(comparison.get("ci95"))
    return None if ends is None or ends[0] >= ends[1] else ends


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
        behind = f"on average over {seeds} seeds, 95 % interval {points_interval(ends)}"
        if ends[0] <= 0 <= ends[1]:
            behind += ", which includes no difference"
    return f"{candidate} is {points(abs(mean)).lstrip('+')} points {place} {baseline} in {metric} ({behind})."


def _details(comparison: Mapping[str, Any]) -> list[tuple[str, str]]:
    over_seeds = comparison.get("over_seeds") or {}
    by_image = comparison.get("over_images") or []
    by_image = [each for each in by_image if number(each.get("p_value")) is not None]
    p_seeds, test = over_seeds.get("p_value"), over_seeds.get("test")
    if not over_seeds:
        p_seeds, test = comparison.get("p_value"), comparison.get("test")
    lines = [("mean paired difference", f"{points(comparison.get('mean'))} points")]
    if number(comparison.get("sd")) is not None:
        lines.append(("standard deviation over seeds", f"{points(comparison['sd']).lstrip('+')} points"))
    intervals = [("95 % interval", headline_interval(comparison))]
    if pair_of(comparison.get("interval")):
        seeds_alone = pair_of(over_seeds.get("ci95") or comparison.get("ci95"))
        intervals = [("95 % interval, seeds and images together", intervals[0][1]), ("over seeds alone", seeds_alone)]
    lines += [(name, f"{points_interval(ends)} points") for name, ends in intervals if ends and ends[0] < ends[1]]
    if number(p_seeds) is not None:
        lines.append((f"p-value over seeds{f' ({test})' if test else ''}", p_value(p_seeds)))
    if number(comparison.get("holm_p_value")) is not None:
        lines.append(("the same after Holm, for all pairs of arms", p_value(comparison["holm_p_value"])))
    for each in by_image:
        right = f"{each['only_candidate_right']} images right in {comparison['candidate']} alone"
        left = f"{each['only_baseline_right']} in {comparison['baseline']} alone"
        lines.append(
            (f"p-value over images, seed {each['seed']} (McNemar)", f"{p_value(each['p_value'])}: {right}, {left}")
        )
    if number(comparison.get("smallest_detectable")) is not None:
        lines.append(
            (
                "smallest difference that this could detect",
                f"{points(comparison['smallest_detectable']).lstrip('+')} points",
            )
        )
    if number(comparison.get("seeds_to_settle")) is not None:
        lines.append(("seeds that would settle it", f"about {comparison['seeds_to_settle']:g}"))
    return lines if number(comparison.get("mean")) is not None else []
