"""A reproduction's record as tables: published numbers and our own, arm by arm, never in one row."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from resjax.report.page import words
from resjax.report.page.words import DASH

Record = Mapping[str, Any]
LOSS_DIGITS = 3


class Table(NamedTuple):
    """A table for the terminal, a text or a page: cells are text already."""

    title: str
    header: list[str]
    rows: list[list[str]]


def tables(record: Record) -> list[Table]:
    """The numbers side by side, the differences between the arms of a pair, and the recall of each class."""
    found = [_values(record)]
    if record["pairs"]:
        found.append(_differences(record))
    if record["recalls"]:
        found.append(_recalls(record))
    return found


def markdown(table: Table) -> str:
    """The table in Markdown, its title above."""
    lines = [table.header, ["---"] * len(table.header), *table.rows]
    return f"{table.title}:\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines)


def text(table: Table) -> str:
    """The table in columns, its title above."""
    lines = [table.header, *table.rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(table.header))]
    body = [
        "  ".join(
            [f"{line[0]:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    ]
    return "\n".join([table.title, *(line.rstrip() for line in body)])


def _values(record: Record) -> Table:
    arms = list(dict.fromkeys(own["arm"] for own in record["own"]))
    rows = [[label, *(_published(by_arm.get(arm)) for arm in arms)] for label, by_arm in _sources(record, arms).items()]
    for split, metric, label in _kinds_of_rows(record):
        cells = {own["arm"]: own["measures"].get(metric) for own in record["own"] if own["split"] == split}
        rows.append([label, *(_own(cells.get(arm), metric, record["quantity"]) for arm in arms)])
    return Table(
        f"{record['quantity'].capitalize()} in %; ours: mean ± standard deviation over seeds, and the 95 % interval of "
        "the mean over seeds",
        ["", *arms],
        rows,
    )


def _differences(record: Record) -> Table:
    pairs = [(pair["baseline"], pair["candidate"]) for pair in record["pairs"]]
    arms = list(dict.fromkeys(name for pair in pairs for name in pair))
    rows = []
    for label, by_arm in _sources(record, arms).items():
        cells = [_published_difference(by_arm.get(baseline), by_arm.get(candidate)) for baseline, candidate in pairs]
        if any(cell != DASH for cell in cells):
            rows.append([label, *cells])
    for split, metric, label in _kinds_of_rows(record):
        cells = []
        for pair in record["pairs"]:
            own = next((own for own in pair["own"] if own["split"] == split), None)
            cells.append(_own_difference(own and own["measures"].get(metric), metric, record["quantity"]))
        rows.append([label, *cells])
    return Table(
        f"Differences of {record['quantity']} in points, and of the loss in nats; ours: mean of the seeds' differences "
        "and its 95 % interval",
        ["", *(f"{candidate} minus {baseline}" for baseline, candidate in pairs)],
        rows,
    )


def _recalls(record: Record) -> Table:
    classes = list(record["recalls"][0]["classes"])
    rows = [
        [f"{each['of']}: {each['arm']}", *(_percent(each["classes"].get(name), 0) for name in classes)]
        for each in record["recalls"]
    ]
    return Table("Recall of each class in %, at the best epoch; ours over all seeds", ["", *classes], rows)


def _sources(record: Record, arms: Sequence[str]) -> dict[str, dict[str, Record]]:
    """Who published what of these arms: by who and what was measured, then by arm."""
    found: dict[str, dict[str, Record]] = {}
    for each in record["published"]:
        if each["arm"] in arms:
            found.setdefault(f"{each['who']}: {each['measures']}", {})[each["arm"]] = each
    return found


def _kinds_of_rows(record: Record) -> list[tuple[str, str, str]]:
    """A split, a metric and the words for both, for each row of our own numbers that has any."""
    splits = list(dict.fromkeys(own["split"] for own in record["own"]))
    there = {
        (own["split"], metric)
        for own in record["own"]
        for metric, described in own["measures"].items()
        if described["values"]
    }
    return [
        (split, metric, f"ours{f', split {split}' if split else ''}: {heading}")
        for split in splits
        for metric, heading in record["measures"].items()
        if (split, metric) in there
    ]


def _published(each: Record | None) -> str:
    if each is None:
        return DASH
    value = f"{each['value']:g}" + (f" to {each['high']:g}" if each["high"] is not None else "")
    return f"{each['hedge']} {value}".strip()


def _published_difference(baseline: Record | None, candidate: Record | None) -> str:
    """Of two published numbers, unless one of them is a range or a bound."""
    both = [each for each in (baseline, candidate) if each and each["high"] is None and each["hedge"] != "more than"]
    if len(both) < 2:
        return DASH
    about = "about " if any(each["hedge"] for each in both) else ""
    return about + words.points((both[1]["value"] - both[0]["value"]) / 100, 2 if not about else 1)


def _own(described: Record | None, metric: str, quantity: str) -> str:
    mean = words.number((described or {}).get("mean"))
    if described is None or mean is None:
        return DASH
    ends, sd = words.pair_of(described["ci95"]), words.number(described["sd"])
    if metric.endswith("loss"):
        spread = f" ± {sd:.{LOSS_DIGITS}f}" if sd is not None else ""
        within = f" ({ends[0]:.{LOSS_DIGITS}f} to {ends[1]:.{LOSS_DIGITS}f})" if ends else ""
        return f"{mean:.{LOSS_DIGITS}f}{spread}{within}"
    if quantity == "error":
        mean, ends = 1 - mean, ends and (1 - ends[1], 1 - ends[0])
    within = f" ({100 * max(ends[0], 0):.1f} to {100 * min(ends[1], 1):.1f})" if ends else ""
    return f"{100 * mean:.1f}" + (f" ± {100 * sd:.1f}" if sd is not None else "") + within


def _own_difference(described: Record | None, metric: str, quantity: str) -> str:
    mean = words.number((described or {}).get("mean"))
    if described is None or mean is None:
        return DASH
    ends = words.pair_of(described["ci95"])
    if quantity == "error" and not metric.endswith("loss"):
        mean, ends = -mean, ends and (-ends[1], -ends[0])
    within = f" ({words.change_interval(ends, metric)})" if ends else ""
    return words.change(mean, metric) + within


def _percent(share: object, digits: int) -> str:
    found = words.number(share)
    return DASH if found is None else f"{100 * found:.{digits}f}"


def sentences(record: Record) -> list[str]:
    """What the record says: the loss against depth, then each pair's verdict."""
    return [*(depth_sentence(family) for family in record["depth"] or [] if family["seeds"]), *record["sentences"]]


def depth_sentence(family: Record) -> str:
    """What the shortcut does to the training loss at each depth, and whether that grows with depth.

    Degradation is a claim about training (He et al. 2015, figure 1): a plain network that is deeper has a higher
    training error, and its residual twin has not.
    """
    measured = family["measures"]["train_loss"]
    at_depths = []
    for twins, described in zip(family["twins"], measured["by_depth"], strict=True):
        lower = sum(value < 0 for value in described["values"])
        at_depths.append(
            f"{words.change(described['mean'], 'loss')} at {twins['depth']} layers"
            f" ({_interval(described['ci95'])}lower in {lower} of {words.counted(len(described['values']), 'seed')})"
        )
    slope, ends = measured["slope"]["mean"], words.pair_of(measured["slope"]["ci95"])
    grows = "the gap grows with depth, as the paper reports" if slope < 0 else "the gap does not grow with depth"
    if ends is None or ends[0] <= 0 <= ends[1]:
        grows = "so many seeds do not show whether the gap grows with depth"
    return (
        f"Training loss after the last epoch, residual minus plain, in nats: {words.listed(at_depths)}. For ten layers "
        f"more it changes by {words.change(slope, 'loss')}{f' ({_interval(ends)[:-2]})' if ends else ''}: {grows}."
    )


def _interval(ends: object) -> str:
    return f"95 % interval {words.change_interval(ends, 'loss')}, " if words.pair_of(ends) else ""
