"""A reproduction in tables and sentences: published numbers and our own side by side, never in one row."""

from collections.abc import Sequence

from resjax.records import Depth, Described, PublishedNumber, ReproductionRecord
from resjax.report.tables import Table
from resjax.report.words import DASH, Ends, change, change_interval, counted, listed, points

LOSS_DIGITS = 3


def tables(record: ReproductionRecord) -> list[Table]:
    """The numbers side by side, the differences between the networks of a pair, and the recall of each class."""
    return [*sections(record).values()]


def sections(record: ReproductionRecord) -> dict[str, Table]:
    """The same tables by the headings that a page gives them."""
    found = {"Published and own numbers": _values(record)}
    if record.pairs:
        found["What the shortcut changes"] = _differences(record)
    if record.recalls:
        found["Class by class"] = _recalls(record)
    return found


def sentences(record: ReproductionRecord) -> list[str]:
    """What the record says: the loss against depth, then each pair's verdict."""
    return [*(depth_sentence(family) for family in record.depth or [] if family.seeds), *record.sentences]


def depth_sentence(family: Depth) -> str:
    """What the shortcut does to the training loss at each depth, and whether that grows with depth.

    Degradation is a claim about training (He et al. 2015, figure 1): a deeper plain network has a higher training
    error than a shallower one, and its residual twin has not.
    """
    measured = family.measures["train_loss"]
    at_depths = []
    for twins, described in zip(family.twins, measured.by_depth, strict=True):
        lower = sum(value < 0 for value in described.values)
        at_depths.append(
            f"{change(described.mean, 'loss')} at {twins.depth} layers ({_interval(described.ci95)}lower in {lower} of "
            f"{counted(len(described.values), 'seed')})"
        )
    slope, ends = measured.slope.mean, measured.slope.ci95
    if ends is None or ends[0] <= 0 <= ends[1]:
        grows = "it is not shown whether the gap grows with depth"
    elif ends[1] < 0:
        grows = "the gap grows with depth, as the paper reports"
    else:
        grows = "the gap does not grow with depth"
    return (
        f"Training loss after the last epoch, residual minus plain, in nats: {listed(at_depths)}. For ten layers "
        f"more it changes by {change(slope, 'loss')}{f' ({_interval(ends)[:-2]})' if ends else ''}: {grows}."
    )


def _interval(ends: Ends) -> str:
    return f"95 % interval {change_interval(ends, 'loss')}, " if ends else ""


def _values(record: ReproductionRecord) -> Table:
    networks = list(dict.fromkeys(own.network for own in record.own))
    rows = [
        [label, *(_published(of.get(network)) for network in networks)]
        for label, of in _sources(record, networks).items()
    ]
    for split, metric, label in _kinds_of_rows(record):
        cells = {own.network: own.measures.get(metric) for own in record.own if own.split == split}
        rows.append([label, *(_own(cells.get(network), metric, record.quantity) for network in networks)])
    title = (
        f"{record.quantity.capitalize()} in %; ours: mean ± standard deviation over seeds, and the 95 % interval of "
        "the mean over seeds"
    )
    return Table(["", *networks], rows, title)


def _differences(record: ReproductionRecord) -> Table:
    pairs = [(pair.baseline, pair.candidate) for pair in record.pairs]
    networks = list(dict.fromkeys(name for pair in pairs for name in pair))
    rows = []
    for label, of in _sources(record, networks).items():
        cells = [_published_difference(of.get(baseline), of.get(candidate)) for baseline, candidate in pairs]
        if any(cell != DASH for cell in cells):
            rows.append([label, *cells])
    for split, metric, label in _kinds_of_rows(record):
        cells = []
        for pair in record.pairs:
            own = next((own for own in pair.own if own.split == split), None)
            cells.append(_own_difference(own and own.measures.get(metric), metric, record.quantity))
        rows.append([label, *cells])
    title = (
        f"Differences of {record.quantity} in points, and of the loss in nats; ours: mean of the seeds' differences "
        "and its 95 % interval"
    )
    return Table(["", *(f"{candidate} minus {baseline}" for baseline, candidate in pairs)], rows, title)


def _recalls(record: ReproductionRecord) -> Table:
    recalls = record.recalls or []
    classes = list(recalls[0].classes)
    rows = [[f"{each.of}: {each.network}", *(_share(each.classes.get(name)) for name in classes)] for each in recalls]
    return Table(["", *classes], rows, "Recall of each class in %, at the best epoch; ours over all seeds")


def _sources(record: ReproductionRecord, networks: Sequence[str]) -> dict[str, dict[str, PublishedNumber]]:
    """Who published what of these networks: by who and what was measured, then by network."""
    found: dict[str, dict[str, PublishedNumber]] = {}
    for each in record.published:
        if each.network in networks:
            found.setdefault(f"{each.who}: {each.measures}", {})[each.network] = each
    return found


def _kinds_of_rows(record: ReproductionRecord) -> list[tuple[str, str, str]]:
    """A split, a metric and the words for both, for each row of our own numbers that has any."""
    splits = list(dict.fromkeys(own.split for own in record.own))
    there = {
        (own.split, metric) for own in record.own for metric, described in own.measures.items() if described.values
    }
    return [
        (split, metric, f"ours{f', split {split}' if split else ''}: {heading}")
        for split in splits
        for metric, heading in record.measures.items()
        if (split, metric) in there
    ]


def _published(each: PublishedNumber | None) -> str:
    if each is None:
        return DASH
    value = f"{each.value:g}" + (f" to {each.high:g}" if each.high is not None else "")
    return f"{each.hedge} {value}".strip()


def _published_difference(baseline: PublishedNumber | None, candidate: PublishedNumber | None) -> str:
    """Of two published numbers, unless one of them is a range or a bound."""
    both = [each for each in (baseline, candidate) if each and each.high is None and each.hedge != "more than"]
    if len(both) < 2:
        return DASH
    about = "about " if any(each.hedge for each in both) else ""
    return about + points((both[1].value - both[0].value) / 100, 2 if not about else 1)


def _own(described: Described | None, metric: str, quantity: str) -> str:
    if described is None or described.mean is None:
        return DASH
    mean, ends, sd = described.mean, described.ci95, described.sd
    if metric.endswith("loss"):
        deviation = f" ± {sd:.{LOSS_DIGITS}f}" if sd is not None else ""
        within = f" ({ends[0]:.{LOSS_DIGITS}f} to {ends[1]:.{LOSS_DIGITS}f})" if ends else ""
        return f"{mean:.{LOSS_DIGITS}f}{deviation}{within}"
    if quantity == "error":
        mean, ends = 1 - mean, ends and (1 - ends[1], 1 - ends[0])
    deviation = f" ± {100 * sd:.1f}" if sd is not None else ""
    within = f" ({100 * max(ends[0], 0):.1f} to {100 * min(ends[1], 1):.1f})" if ends else ""
    return f"{100 * mean:.1f}{deviation}{within}"


def _own_difference(described: Described | None, metric: str, quantity: str) -> str:
    if described is None or described.mean is None:
        return DASH
    mean, ends = described.mean, described.ci95
    if quantity == "error" and not metric.endswith("loss"):
        mean, ends = -mean, ends and (-ends[1], -ends[0])
    return change(mean, metric) + (f" ({change_interval(ends, metric)})" if ends else "")


def _share(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:.0f}"
