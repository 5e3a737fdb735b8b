"""The scores on labelled images in words and tables, for the terminal."""

from collections import Counter
from collections.abc import Iterator

from resjax.records import LabelledNetwork, LabelledScores, MeasureOfSeeds
from resjax.report.tables import Table, in_columns
from resjax.report.words import counted, percent

COLUMNS = {
    "accuracy": ("accuracy", 100),
    "balanced_accuracy": ("balanced", 100),
    "macro_f1": ("macro F1", 100),
    "log_loss": ("log loss", 1),
}
MOST_SHOWN_CLASSES = 12


def scores_text(record: LabelledScores, answering: str) -> str:
    """The scores of every network, the confusion matrix of the one that answers, and the verdicts."""
    return "\n".join(
        ["", *_images(record), "", in_columns(_table(record)), *_answers(record, answering), *_end(record)]
    )


def _images(record: LabelledScores) -> Iterator[str]:
    largest = max(record.classes, key=lambda name: record.classes[name])
    copies = "copies count once" if record.near_copies_known else "files with the same bytes count once"
    yield (
        f"scored: {counted(record.images, 'labelled image')}, {counted(record.groups, 'picture')} ({copies}); always "
        f"answering {largest} would have {percent(record.majority_share)}"
    )
    yield from _seen(record)
    if record.left_out:
        reasons = Counter(each.reason for each in record.left_out)
        named = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        shown = ", ".join(f"{each.id} ({each.detail or each.reason})" for each in record.left_out[:3])
        yield f"not scored {len(record.left_out):,}: {named}; such as {shown}"


def _seen(record: LabelledScores) -> Iterator[str]:
    seen = record.seen
    if seen.same_bytes is None:
        yield "WARNING: split.json does not name images by their bytes: whether these were trained on is not known"
    if seen.ids:
        near = f", {seen.near_copies:,} as near-copies" if seen.near_copies is not None else ""
        yield (
            f"WARNING: {len(seen.ids):,} more are also in train or val of the comparison ({seen.same_bytes or 0:,} "
            f"with the same bytes{near}): scored apart. Such as {', '.join(seen.ids[:3])}"
        )
    elif seen.same_bytes is not None:
        yield "none of them has the bytes of an image in train or val of the comparison"
    if not record.near_copies_known:
        yield "near-copies were not looked for"
    elif seen.known and seen.compared_with < seen.known:
        yield (
            f"near-copies of train and val were looked for among {seen.compared_with:,} of {seen.known:,} images: the "
            "others are not in the cache of decoded images, or too many"
        )
    if seen.in_test:
        yield f"{seen.in_test:,} are also in test of the comparison, and are scored"


def _table(record: LabelledScores) -> Table:
    there = [name for name in COLUMNS if any(name in each.measures for each in record.networks.values())]
    apart = any(network.seen_accuracy is not None for network in record.networks.values())
    rows = [
        [name, str(len(network.seeds)), *(_measure(network, each) for each in there)]
        + ([percent(network.seen_accuracy).removesuffix(" %")] if apart else [])
        for name, network in record.networks.items()
    ]
    header = ["", "seeds", *(COLUMNS[name][0] for name in there), *(["seen images"] if apart else [])]
    return Table(header, rows, "means over seeds that answer by themselves, in % and nats, with 95 % intervals")


def _measure(network: LabelledNetwork, name: str) -> str:
    found: MeasureOfSeeds = network.measures[name]
    _, scale = COLUMNS[name]
    digits = 1 if scale == 100 else 3
    text = f"{scale * found.mean:.{digits}f}"
    if found.interval is None:
        return text
    low, high = found.interval
    return f"{text} ({scale * low:.{digits}f} to {scale * high:.{digits}f})"


def _answers(record: LabelledScores, answering: str) -> Iterator[str]:
    together = record.networks[answering].together
    low, high = together.interval
    yield (
        f"the answers above ({answering}): accuracy {percent(together.accuracy)} ({100 * low:.1f} to {100 * high:.1f} "
        f"over pictures), log loss {together.log_loss:.3f}"
    )
    if len(record.classes) <= MOST_SHOWN_CLASSES:
        rows = [[name, *map(str, row)] for name, row in zip(record.classes, together.confusion_matrix, strict=True)]
        yield ""
        yield in_columns(Table(["true class", *record.classes], rows, "how many were answered as each class"))


def _end(record: LabelledScores) -> Iterator[str]:
    yield ""
    if record.no_comparison:
        yield f"no verdict: {record.no_comparison}"
    yield from (each.sentence for each in record.comparisons)
