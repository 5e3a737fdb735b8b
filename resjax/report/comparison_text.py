"""A comparison in words and tables: for the terminal, and as the Markdown of README.md and the guides."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from resjax.records import (
    Comparison,
    CrossValidation,
    Depth,
    Described,
    NetworkCosts,
    NetworkSummary,
    PooledDifference,
    Splits,
    SplitSummary,
    Summary,
)
from resjax.report.cautions import data_note, leak_warning, optimism, warnings_of
from resjax.report.majority import majority_line, majority_of_splits
from resjax.report.tables import Table, in_columns, markdown
from resjax.report.words import (
    counted,
    known,
    measure_asked,
    metric_heading,
    plain_points,
    spread,
    spread_of,
    unit_of,
    unsigned_change,
)

COLUMNS = {
    "best_val_accuracy": "val, best epoch",
    "final_val_accuracy": "val, last epoch",
    "last_three_val_accuracy": "val, last three",
    "final_train_accuracy": "train, last epoch",
    "test_accuracy": "test, best epoch",
    "final_test_accuracy": "test, last epoch",
    "leaked_accuracy": "leaked images",
    "clean_accuracy": "clean images",
}
"""Accuracies with their headings; leaked and clean are the parts of test where there is one, else of val."""
DEPTH_COLUMNS = {
    "train_accuracy": ("train, points", 100),
    "train_loss": ("train loss, nats", 1),
    "val_accuracy": ("val, points", 100),
    "gap": ("train minus val, points", 100),
}


def comparison_text(summary: Summary) -> str:
    """The networks side by side with what was not counted, their differences and verdicts, and warnings."""
    lines = ["", "accuracy in %, mean and standard deviation over seeds", in_columns(_networks_table(summary))]
    lines += not_counted(summary)
    lines += filter(None, [majority_line(summary), optimism(summary)])
    lines += differences(summary.comparisons)
    lines += verdicts(summary)
    for family in summary.depth or []:
        lines += depth_lines(family)
    return "\n".join([*lines, *warnings_of(summary.dataset)])


def not_counted(summary: Summary) -> list[str]:
    """A line for each network that has pending or diverged seeds."""
    lines = []
    for name, network in summary.architectures.items():
        others = [f"seed {seed} {status}" for seed, status in network.status.items() if status != "done"]
        lines += [f"not counted of {name}: {', '.join(others)}"] if others else []
    return lines


def comparison_markdown(summary: Summary) -> str:
    """The networks as a table in Markdown, with the share of the largest class and the paired differences below."""
    below = [majority_line(summary), *differences(summary.comparisons)]
    return markdown(_networks_table(summary), is_text=True) + "\n\n" + "\n".join(filter(None, below))


def diagnosis_text(summary: Summary) -> str:
    """What the diagnosis found, a line for each sentence, after an empty one; empty where it found nothing."""
    lines = [f"{finding.kind}: {finding.sentence}\n" for finding in known(summary.diagnosis) or []]
    return "".join(["\n", *lines]) if lines else ""


def costs_line(name: str, costs: NetworkCosts) -> str:
    """What a network costs, in a line."""
    by_xla = costs.forward_flops_xla
    counted_by_xla = f" ({by_xla / 1e9:.3g} by XLA's count)" if by_xla is not None else ""
    return (
        f"{name}: {costs.parameters:,} parameters; forward pass of an image: {costs.forward_flops / 1e9:.3g} GFLOP"
        f"{counted_by_xla}, {costs.activation_bytes / 1e6:.3g} MB of activations"
    )


def splits_text(record: Splits) -> str:
    """The splits of `splits.json` side by side with their paired differences, and a warning for each that leaks."""
    lines = ["", "by split: accuracy in %, mean and standard deviation over seeds"]
    lines.append(in_columns(_splits_table(record), names=2))
    lines += filter(None, [majority_of_splits(record)])
    for name, part in _parts(record).items():
        lines += [f"{name}: {line}" for line in differences(part.comparisons)]
    lines += filter(None, (data_note(record.dataset.name), *map(leak_warning, record.splits.values())))
    return "\n".join(lines)


def splits_markdown(record: Splits) -> str:
    """The splits of `splits.json` as a table in Markdown, with the paired differences below."""
    below = [f"* {name}: {line}" for name, part in _parts(record).items() for line in differences(part.comparisons)]
    majority = [f"* {text}"] if (text := majority_of_splits(record)) else []
    return markdown(_splits_table(record), is_text=True) + "\n\n" + "\n".join(majority + below)


def differences(pairs: Sequence[Comparison] | Sequence[PooledDifference]) -> list[str]:
    """A sentence for each pair: the mean paired difference in percentage points, its spread, and every seed's."""
    lines = []
    for pair in pairs:
        if pair.mean is not None:
            number = _plain_number(pair.metric)
            deviation = f", standard deviation {number(pair.sd)[1:]}" if pair.sd is not None else ""
            by_seed = " ".join(number(value) for value in pair.differences)
            heading = COLUMNS.get(pair.metric) or metric_heading(pair.metric)
            lines.append(
                f"{pair.candidate} minus {pair.baseline}, {heading}: {number(pair.mean)} {unit_of(pair.metric)} on "
                f"average{deviation}; by seed {by_seed}"
            )
    return lines


def _plain_number(metric: str) -> Callable[[float], str]:
    """How a difference of a metric is written on a terminal."""
    return plain_points if unit_of(metric) == "points" else lambda value: f"{round(value, 3) + 0.0:+.3f}"


def verdicts(summary: Summary) -> list[str]:
    """The sentence on each pair of networks that share a finished seed, or of which a replica diverged."""
    return [pair.sentence for pair in summary.comparisons if pair.mean is not None or pair.divergence]


def plan(summary: Summary) -> list[str]:
    """What more seeds would show, a line for each pair of networks of which enough is known."""
    lines = []
    for pair in summary.comparisons:
        detectable = {count: value for count, value in pair.detectable.items() if value is not None}
        if pair.mean is None or not detectable:
            continue
        found = ", ".join(
            f"{unsigned_change(value, pair.metric)} with {count} seeds" for count, value in detectable.items()
        )
        wanted = f"About {pair.seeds_to_settle} seeds" if pair.seeds_to_settle else "More than 200 seeds"
        lines.append(
            f"{pair.candidate} minus {pair.baseline} after {counted(len(pair.seeds), 'seed')}: "
            f"{_plain_number(pair.metric)(pair.mean)} {unit_of(pair.metric)}. {wanted} would be needed for a "
            f"verdict on this difference. Smallest differences that are found reliably on these images (80 % power): "
            f"{found}."
        )
    return lines


def depth_lines(family: Depth) -> list[str]:
    """The differences of twins at each depth with their intervals, and the slopes, as a table."""
    if not family.seeds:
        return []
    parts = family.measures
    rows = [
        [f"{twins.candidate} minus {twins.baseline}"]
        + [_with_interval(parts[name].by_depth[place], scale) for name, (_, scale) in DEPTH_COLUMNS.items()]
        for place, twins in enumerate(family.twins)
    ]
    rows.append(
        ["per ten layers", *(_with_interval(parts[name].slope, scale) for name, (_, scale) in DEPTH_COLUMNS.items())]
    )
    title = f"by depth, after the last epoch, with the 95 % interval over {counted(len(family.seeds), 'seed')}"
    header = ["", *(heading for heading, _ in DEPTH_COLUMNS.values())]
    return ["", in_columns(Table(header, rows, title))]


def _with_interval(described: Described, scale: float) -> str:
    if described.mean is None:
        return "-"
    ends = described.ci95
    return f"{scale * described.mean:+.2f}" + (f" ({scale * ends[0]:+.2f} to {scale * ends[1]:+.2f})" if ends else "")


def _parts(record: Splits) -> dict[str, SplitSummary | CrossValidation]:
    """What `splits.json` says of each split, and of all folds together."""
    return {**record.splits, **({"all folds": record.cross_validated} if record.cross_validated else {})}


def _splits_table(record: Splits) -> Table:
    parts = _parts(record)
    columns = _columns(network for part in parts.values() for network in part.architectures.values())
    rows = [
        [name, network, *(spread(getattr(values, column, None), "-") for column in columns)]
        for name, part in parts.items()
        for network, values in part.architectures.items()
    ]
    return Table(["split", "", *_headings(columns)], rows)


def _networks_table(summary: Summary) -> Table:
    networks: dict[str, NetworkSummary] = summary.architectures
    columns = _columns(networks.values())
    asked = measure_asked(summary.config)
    rows = [
        [
            *(name, f"{network.parameters:,}"),
            *([spread_of((known(network.measures) or {}).get(asked), asked, "-")] if asked else []),
            *(spread(getattr(network, column), "-") for column in columns),
        ]
        for name, network in networks.items()
    ]
    return Table(["", "parameters", *([asked.replace("_", " ")] if asked else []), *_headings(columns)], rows)


def _columns(networks: Iterable[Any]) -> list[str]:
    """The accuracies that any of the networks has."""
    there = list(networks)
    return [column for column in COLUMNS if any(known(getattr(each, column, None)) is not None for each in there)]


def _headings(columns: Sequence[str]) -> list[str]:
    side = "test" if "test_accuracy" in columns else "val"
    parts = {column: f"{side}, {COLUMNS[column]}" for column in ("leaked_accuracy", "clean_accuracy")}
    return [parts.get(column, COLUMNS[column]) for column in columns]
