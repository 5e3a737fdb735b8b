"""What stands behind the verdict on a pair of networks, and why there is none."""

from resjax.records import Comparison, Summary
from resjax.report.words import (
    change,
    change_interval,
    counted,
    known,
    listed,
    p_value,
    percent,
    percent_interval,
    unit_of,
    unsigned_change,
    with_width,
)


def verdict_details(pair: Comparison) -> list[tuple[str, str]]:
    """What was computed, and its value: only what is there, the most important first."""
    metric, unit = pair.metric, unit_of(pair.metric)
    interval, seeds_alone = with_width(pair.ci95), pair.over_seeds.ci95
    confidence = f"{100 * (1 - pair.level):.3g} %"
    several = [
        ("mean paired difference", pair.mean is not None, f"{change(pair.mean, metric)} {unit}"),
        ("standard deviation over seeds", pair.sd is not None, unsigned_change(pair.sd, metric)),
        (f"{confidence} interval{_brackets(pair.interval)}", interval, f"{change_interval(interval, metric)} {unit}"),
        ("95 % interval over seeds alone", seeds_alone, f"{change_interval(seeds_alone, metric)} {unit}"),
        (f"p-value{_brackets(pair.test)}", pair.p_value is not None, p_value(pair.p_value)),
        ("p-value, corrected for all comparisons", pair.holm_p_value is not None, p_value(pair.holm_p_value)),
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
            unsigned_change(smallest, metric),
        ),
        ("seeds needed for a difference of this size", pair.seeds_to_settle, f"about {pair.seeds_to_settle}"),
    ]
    several += [*_equivalence(pair), *_divergence(pair), *_looks(pair)]
    return [(name, value) for name, there, value in several if there]


def _equivalence(pair: Comparison) -> list[tuple[str, object, str]]:
    if not (found := known(pair.equivalence)):
        return []
    p = found.p_value if found.adjusted_p_value is None else found.adjusted_p_value
    within = unsigned_change(found.margin, pair.metric)
    return [(f"p-value of a difference of {within} or more (two one-sided tests)", p is not None, p_value(p))]


def _divergence(pair: Comparison) -> list[tuple[str, object, str]]:
    if not (found := known(pair.divergence)):
        return []
    rows: list[tuple[str, object, str]] = [
        (
            f"replicas of {name} that diverged (95 % interval)",
            True,
            f"{share.diverged} of {share.seeds}" + (f" ({percent_interval(share.interval)})" if share.interval else ""),
        )
        for name, share in ((pair.baseline, found.baseline), (pair.candidate, found.candidate))
    ]
    metric = pair.metric
    ends = f" ({change_interval(found.ci95, metric)})" if found.ci95 else ""
    return [
        *rows,
        ("p-value of divergence (McNemar over seeds)", found.p_value is not None, p_value(found.p_value)),
        (
            "difference with diverged replicas counted at chance",
            found.mean is not None,
            f"{change(found.mean, metric)} {unit_of(metric)}{ends}",
        ),
        ("its p-value", found.p_value_at_chance is not None, p_value(found.p_value_at_chance)),
    ]


def _looks(pair: Comparison) -> list[tuple[str, object, str]]:
    return [
        (name, bool(known(looks)), "; ".join(f"{counted(look.seeds, 'seed')}: {look.verdict}" for look in looks or ()))
        for name, looks in (
            ("verdicts at planned looks before", pair.planned_looks),
            ("verdicts shown before", pair.earlier_looks),
        )
    ]


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
