"""What stands behind the verdict on a pair of networks, and why there is none."""

from resjax.records import Comparison, Summary
from resjax.report.words import (
    counted,
    listed,
    p_value,
    percent,
    points,
    points_interval,
    unsigned_points,
    with_width,
)


def verdict_details(pair: Comparison) -> list[tuple[str, str]]:
    """What was computed, and its value: only what is there, the most important first."""
    interval, seeds_alone = with_width(pair.ci95), pair.over_seeds.ci95
    confidence = f"{100 * (1 - pair.level):.3g} %"
    several = [
        ("mean paired difference", pair.mean is not None, f"{points(pair.mean)} points"),
        ("standard deviation over seeds", pair.sd is not None, f"{unsigned_points(pair.sd)} points"),
        (f"{confidence} interval{_brackets(pair.interval)}", interval, f"{points_interval(interval)} points"),
        ("95 % interval over seeds alone", seeds_alone, f"{points_interval(seeds_alone)} points"),
        (f"p-value{_brackets(pair.test)}", pair.p_value is not None, p_value(pair.p_value)),
        ("p-value, Holm-corrected for all pairs", pair.holm_p_value is not None, p_value(pair.holm_p_value)),
        (
            f"p-value over seeds{_brackets(pair.over_seeds.test)}",
            pair.over_seeds.p_value is not None,
            p_value(pair.over_seeds.p_value),
        ),
    ]
    for each in pair.over_images:
        right = f"{counted(each.only_candidate_right, 'image')} right with {pair.candidate} alone"
        left = f"{each.only_baseline_right} with {pair.baseline} alone"
        words = f"p-value over images, seed {each.seed} (McNemar)"
        several.append((words, each.p_value is not None, f"{p_value(each.p_value)}: {right}, {left}"))
    smallest = pair.smallest_detectable
    several += [
        (
            "smallest difference found reliably (80 % power)",
            smallest is not None,
            f"{unsigned_points(smallest)} points",
        ),
        ("seeds needed for a difference of this size", pair.seeds_to_settle, f"about {pair.seeds_to_settle}"),
    ]
    return [(name, value) for name, there, value in several if there]


def no_verdict(summary: Summary) -> str:
    """Why there is no verdict: one network alone, or no seed that is finished in two networks."""
    networks = summary.architectures
    done = {name: sum(status == "done" for status in network.status.values()) for name, network in networks.items()}
    if not any(done.values()):
        return "No replica is finished: there is nothing to compare yet."
    if len(networks) == 1:
        ((name, network),) = networks.items()
        return (
            f"{name} reaches {percent(network.best_val_accuracy.mean)} on validation at its best epoch "
            f"({counted(done[name], 'seed')}). There is no other network to compare it with."
        )
    finished = listed([f"{name} {count}" for name, count in done.items()])
    return f"No seed is finished in two networks (finished seeds: {finished})."


def _brackets(text: str | None) -> str:
    return f" ({text})" if text else ""
