"""Verdicts that were shown before of the same replicas: which of them a later verdict has to reckon with.

A verdict at 5 % is right for one look. Who looks after 6, 8 and 12 seeds, each time at 5 %, has more false verdicts
(Armitage, McPherson and Rowe 1969, JRSS A 132, p. 235). Looks that were planned share a level (`planning`); after any
others a verdict is not confirmatory, and its record lists them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec import UNSET
from msgspec.structs import replace

from resjax.evaluation.comparison.paired_tests import fewest_seeds
from resjax.evaluation.comparison.planning import looks_until
from resjax.records import Comparison, Look, Looks, Summary
from resjax.records.kinds.comparison import EarlierLook


@dataclass(frozen=True)
class Shown:
    """What was shown before a verdict.

    Attributes:
      folders: the looks of each workdir that the replicas are from.
      planned: the numbers of seeds that the verdict's level is planned for; empty for one look.
    """

    folders: Sequence[Looks] = ()
    planned: Sequence[int] = ()


def with_earlier_looks(comparisons: Sequence[Comparison], shown: Shown) -> list[Comparison]:
    """The comparisons, which are judged together, with the verdicts before that their level is not planned for.

    These are the verdicts on the same pair with other seeds, by another metric, margin or level, and those on pairs
    that are not judged now, because Holm's correction does not know them. Not among them are

    - the same verdict, and whatever came after it: the same command on the same seeds shows nothing new;
    - the looks of one plan (--seeds=auto), whose level is for all of them;
    - the same pair on the same seeds beside fewer others: a network that is added makes the level of all pairs
      stricter, and the same p against a stricter level is no further chance;
    - looks after which no verdict was possible, as with fewer than six seeds: they spend nothing of the level.
    """
    pairs = {(each.baseline, each.candidate) for each in comparisons}
    together = counted(comparisons)
    lost = not all(folder.complete for folder in shown.folders)
    found = []
    for record in comparisons:
        earlier: dict[str, EarlierLook] = {}
        for folder in shown.folders:
            for look in _before(folder.looks, record, together, shown.planned):
                if _counts(look, record, pairs, shown.planned):
                    # A look that several folders remember is one look.
                    earlier.setdefault(repr(_question(look)), _earlier(look, record))
        record = replace(record, earlier_looks=list(earlier.values()) or UNSET, looks_are_lost=lost or UNSET)
        found.append(record)
    return found


def looks_of(
    comparisons: Iterable[Comparison], planned: Sequence[int], recipe_version: int, version: str | None
) -> list[Look]:
    """The looks at comparisons that were judged together and shown; those without a verdict are none."""
    judged = [each for each in comparisons if each.verdict is not None]
    return [
        Look(
            baseline=each.baseline,
            candidate=each.candidate,
            metric=each.metric,
            margin=_margin(each),
            seeds=each.seeds,
            level=each.level,
            planned=list(planned),
            comparisons=counted(judged),
            verdict=each.verdict,
            recipe_version=recipe_version,
            resjax=version,
        )
        for each in judged
        if each.verdict is not None
    ]


def looks_of_summary(summary: Summary, planned: Sequence[int], version: str | None) -> list[Look]:
    """The looks that a summary shows: its verdicts on networks of which no replica is pending.

    Args:
      planned: the numbers of seeds that the level is planned for.
      version: of the resjax that judged, if that is known.
    """
    ended = {
        name
        for name, network in summary.architectures.items()
        if network.problem is not UNSET or "pending" not in network.status.values()
    }
    shown = [each for each in summary.comparisons if {each.baseline, each.candidate} <= ended]
    return looks_of(shown, planned, summary.recipe_version, version)


def planned_by(summary: Summary) -> tuple[int, ...]:
    """The numbers of seeds that the comparison's level is planned for; empty for seeds that were given."""
    automatic = summary.config.get("seeds") == "auto"
    return looks_until(summary.config["max_seeds"]) if automatic and "max_seeds" in summary.config else ()


def remembered(before: Looks, new: Iterable[Look], summary: Summary | None = None) -> Looks:
    """The looks with the new ones added; one that was there before is not added again.

    `summary` adds what it shows, where no look at the same seeds with the same question is known.
    """
    looks = list(before.looks)
    asked = [_question(look) for look in looks]
    of_summary = looks_of_summary(summary, planned_by(summary), None) if summary else []
    looks += [look for look in of_summary if _question(look) not in asked]
    for look in new:
        if _identity(look) not in [_identity(each) for each in looks]:
            looks.append(look)
    return replace(before, looks=looks)


def counted(comparisons: Iterable[Comparison]) -> int:
    """How many of the comparisons are corrected for: those with a p value."""
    return sum(each.p_value is not None for each in comparisons)


def _before(looks: Sequence[Look], record: Comparison, together: int, planned: Sequence[int]) -> Sequence[Look]:
    """The looks before the one at this record; all, if it was not looked at yet."""
    same = (
        *(record.baseline, record.candidate, record.metric, _margin(record), record.seeds),
        *(record.level, list(planned), together),
    )
    places = [place for place, look in enumerate(looks) if _identity(look) == same]
    return looks[: places[0]] if places else looks


def _counts(look: Look, record: Comparison, pairs: set[tuple[str, str]], planned: Sequence[int]) -> bool:
    if not _could_decide(look):
        return False
    pair = (look.baseline, look.candidate)
    if pair != (record.baseline, record.candidate):
        return pair not in pairs
    if (look.metric, look.margin, look.level) != (record.metric, _margin(record), record.level):
        return True
    if planned and list(planned) == look.planned:
        return False
    return look.seeds != record.seeds


def _could_decide(look: Look) -> bool:
    level = look.level / max(look.comparisons, 1)
    # The smallest p of a one-sided test, which equivalence rests on, is half that of a two-sided one.
    return len(look.seeds) >= fewest_seeds(level if look.margin is None else min(2 * level, 1.0))


def _earlier(look: Look, record: Comparison) -> EarlierLook:
    other = (look.baseline, look.candidate) != (record.baseline, record.candidate)
    return EarlierLook(
        seeds=len(look.seeds),
        metric=look.metric,
        margin=look.margin,
        verdict=look.verdict,
        baseline=look.baseline if other else UNSET,
        candidate=look.candidate if other else UNSET,
    )


def _margin(record: Comparison) -> float | None:
    return record.equivalence.margin if record.equivalence else None


def _question(look: Look) -> tuple[object, ...]:
    """What was asked, of which seeds."""
    return (look.baseline, look.candidate, look.metric, look.margin, look.seeds, look.level)


def _identity(look: Look) -> tuple[object, ...]:
    return (*_question(look), look.planned, look.comparisons)
