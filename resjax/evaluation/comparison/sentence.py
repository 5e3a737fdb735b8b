"""A comparison in one sentence, followed by what qualifies it."""

from collections.abc import Callable, Iterator

from resjax.evaluation.comparison.divergence import FEWEST_FOR_INTERVAL
from resjax.evaluation.comparison.measures import measure_of, metric_words
from resjax.evaluation.comparison.paired import SEEDS_ALONE
from resjax.evaluation.comparison.statistics.paired_tests import fewest_seeds
from resjax.evaluation.comparison.statistics.planning import MOST_SEEDS, POWER
from resjax.records import Comparison, Interval
from resjax.records.kinds.comparison import Divergence


def sentence_of(record: Comparison, comparisons: int, next_look: int | None) -> str:
    """The verdict on a comparison with its evidence, and whatever qualifies it.

    Args:
      comparisons: how many are judged together.
      next_look: the number of seeds at which it will be judged; None if it was judged.
    """
    return " ".join([_answer(record, comparisons, next_look), *_qualifications(record)])


def amount(difference: float, metric: str) -> str:
    """A difference of a metric with its sign and unit.

    >>> amount(0.0312, "test_accuracy"), amount(-0.2, "test_log_loss")
    ('+3.1 points', '-0.200 nats')
    """
    return f"{_number(metric)(difference)} {_unit(metric)}"


def _answer(record: Comparison, comparisons: int, next_look: int | None) -> str:
    baseline, candidate, verdict = record.baseline, record.candidate, record.verdict
    if verdict is None or record.mean is None:
        return f"No verdict on {candidate} against {baseline}: no seed is finished in both."
    alone = " over seeds alone" if record.interval == SEEDS_ALONE else ""
    interval = _interval(record.ci95, record, alone)
    p_value, p_equal = record.p_value, None
    if record.holm_p_value is not None:
        p_value = record.holm_p_value
    if record.equivalence:
        found = record.equivalence
        p_equal = found.p_value if found.adjusted_p_value is None else found.adjusted_p_value
    p = p_equal if verdict == "equivalent" else p_value
    corrected = f" of {comparisons} comparisons" if record.holm_p_value is not None else ""
    tested = f", p = {p:.2g}{corrected}" if p is not None else ""
    evidence = (
        f"{candidate} minus {baseline} is {amount(record.mean, record.metric)} of {metric_words(record.metric)} "
        f"({interval}; {_counted(len(record.seeds))}{tested})"
    )
    if verdict == "equivalent" and record.equivalence:
        within = _size(record.equivalence.margin, record.metric)
        return f"{candidate} and {baseline} are equivalent within {within}: {evidence}."
    if verdict != "inconclusive":
        better, other = (candidate, baseline) if verdict == "candidate better" else (baseline, candidate)
        return f"{better} is better than {other}: {evidence}."
    needed = fewest_seeds(record.level / max(comparisons, 1))
    return f"Inconclusive: {evidence}. {_outlook(record, needed, next_look)}."


def _outlook(record: Comparison, needed: int, next_look: int | None) -> str:
    """What an inconclusive comparison could detect, and how many seeds would settle it."""
    count, wanted = len(record.seeds), record.seeds_to_settle
    if next_look is not None:
        # Of a sweep, whose other settings are pending.
        return (
            f"It is judged after {next_look} seeds" if count < next_look else "It is judged when all cells have ended"
        )
    if count == 1:
        return "One seed has no interval and no verdict: how much seeds differ is not known"
    if count < needed:
        return f"No verdict is possible with fewer than {needed} seeds"
    if record.smallest_detectable is None or record.mean is None:
        return "Nothing varies between seeds"
    detects = (
        f"With {count} seeds and these images only differences above {_size(record.smallest_detectable, record.metric)}"
        f" are found reliably ({100 * POWER:.0f} % power)"
    )
    if record.equivalence:
        within = _size(record.equivalence.margin, record.metric)
        detects = f"Neither a difference nor equivalence within {within} is shown. {detects}"
    found = _size(abs(record.mean), record.metric).split()[0]
    if wanted is None:
        return f"{detects}. {MOST_SEEDS} seeds would not be enough for {found}"
    return f"{detects}. About {max(wanted, count + 1)} seeds would be needed for {found}"


def _qualifications(record: Comparison) -> Iterator[str]:
    if record.divergence:
        yield _divergence(record, record.divergence)
    if record.not_above_chance:
        names = " and ".join(record.not_above_chance)
        are = "are" if len(record.not_above_chance) > 1 else "is"
        yield f"{names} {are} not shown to be better than chance, so this says little about what was learned."
    for look in record.planned_looks or ():
        if look.verdict != record.verdict:
            better = record.candidate if look.verdict == "candidate better" else record.baseline
            said = f"{better} was better" if look.verdict.endswith("better") else f"the answer was {look.verdict}"
            yield f"At the planned look after {_counted(look.seeds)} {said}."
    if record.earlier_looks:
        shown = len(record.earlier_looks)
        yield (
            f"Not confirmatory: {shown} {'verdicts were' if shown > 1 else 'verdict was'} shown before, and each look "
            "adds to the chance of a false one; --seeds=auto plans its looks."
        )
    if record.looks_are_lost:
        yield ("Not confirmatory: looks.json was missing or damaged, so which verdicts were shown before is not known.")


def _divergence(record: Comparison, found: Divergence) -> str:
    shares = ", ".join(
        f"{share.diverged} of {share.seeds} replicas of {name}"
        for name, share in ((record.baseline, found.baseline), (record.candidate, found.candidate))
    )
    tested = f" (p = {found.p_value:.2g})" if found.p_value is not None else ""
    text = f"Diverged: {shares}{tested}."
    if found.mean is None:
        return text
    p_value = f", p = {found.p_value_at_chance:.2g}" if found.p_value_at_chance is not None else ""
    interval = _interval(found.ci95, record) if found.ci95 else f"no interval below {FEWEST_FOR_INTERVAL} seeds"
    counted = f"{_counted(len(found.seeds))}{p_value}"
    return f"{text} Counted at chance, the difference is {amount(found.mean, record.metric)} ({interval}; {counted})."


def _interval(ends: Interval | None, record: Comparison, over: str = "") -> str:
    if not ends:
        return "no interval"
    low, high = map(_number(record.metric), ends)
    return f"{100 * (1 - record.level):.3g} % interval{over} {low} to {high}"


def _number(metric: str) -> Callable[[float], str]:
    # A zero is added so that -0.0 becomes +0.0.
    if measure_of(metric).is_share:
        return lambda difference: f"{round(100 * difference, 1) + 0.0:+.1f}"
    return lambda difference: f"{round(difference, 3) + 0.0:+.3f}"


def _unit(metric: str) -> str:
    return "points" if measure_of(metric).is_share else "nats"


def _size(difference: float, metric: str) -> str:
    return f"{_number(metric)(difference).lstrip('+-')} {_unit(metric)}"


def _counted(seeds: int) -> str:
    return f"{seeds} seed{'s' if seeds > 1 else ''}"
