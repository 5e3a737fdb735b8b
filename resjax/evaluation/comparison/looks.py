"""Verdicts that were shown before of the same replicas: which of them a later verdict has to reckon with.

A verdict at 5 % is right for one look. Who looks after 6, 8 and 12 seeds, each time at 5 %, has more false verdicts
(Armitage, McPherson and Rowe 1969, JRSS A 132, p. 235). Looks that were planned share a level (`planning`); after any
others a verdict is not confirmatory, and its record lists them.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from msgspec import UNSET
from msgspec.structs import replace

from resjax.evaluation.comparison.statistics.paired_tests import fewest_seeds
from resjax.evaluation.comparison.statistics.planning import looks_until
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


def with_earlier_looks(
    comparisons: Sequence[Comparison], shown: Shown, conditions: Sequence[str] | None = None
) -> list[Comparison]:
    """The comparisons, which are judged together, with the verdicts that were shown before.

    `planned_looks` are the looks of one plan (--seeds=auto), whose level is for all of them. `earlier_looks` are the
    verdicts that their level is not planned for.

    The latter are the verdicts on the same pair with other seeds, by another metric, margin or level, or at other
    settings of a sweep, and those on pairs that are not judged now, because Holm's correction does not know them. Not
    among them are

    - the same verdict, and whatever came after it: the same command on the same seeds shows nothing new;
    - the planned looks;
    - the same pair on the same seeds beside fewer others: a network that is added makes the level of all pairs
      stricter, and the same p against a stricter level is no further chance;
    - looks after which no verdict was possible, as with fewer than six seeds: they spend nothing of the level.

    Args:
      conditions: of a sweep, the condition of each comparison.
    """
    now = [
        _look(each, condition, shown.planned, counted(comparisons))
        for each, condition in zip(comparisons, conditions or [""] * len(comparisons), strict=True)
    ]
    pairs = [_pair(each) for each in now]
    lost = not all(folder.complete for folder in shown.folders)
    found = []
    for record, this in zip(comparisons, now, strict=True):
        earlier: dict[str, EarlierLook] = {}
        planned: dict[str, EarlierLook] = {}
        for folder in shown.folders:
            for look in _before(folder.looks, this):
                same = _pair(look) == _pair(this)
                counts = _counts(look, this) if same else _pair(look) not in pairs
                if same and not counts and look.seeds != this.seeds:
                    planned.setdefault(repr(_question(look)), _earlier(look, this))
                if counts and _could_decide(look):
                    # A look that several folders remember is one look.
                    earlier.setdefault(repr(_question(look)), _earlier(look, this))
        found.append(
            replace(
                record,
                earlier_looks=list(earlier.values()) or UNSET,
                planned_looks=list(planned.values()) or UNSET,
                looks_are_lost=lost or UNSET,
            )
        )
    return found


def looks_of(
    comparisons: Sequence[Comparison],
    planned: Sequence[int],
    recipe_version: int,
    version: str | None,
    *,
    conditions: Sequence[str] | None = None,
    waiting: Collection[int] = (),
) -> list[Look]:
    """The looks at comparisons that were judged together and shown; those without a verdict are none.

    Args:
      planned: the numbers of seeds that the level is planned for.
      version: of the resjax that judged, if that is known.
      conditions: of a sweep, the condition of each comparison.
      waiting: the places of comparisons that are not judged yet.
    """
    return [
        replace(
            _look(each, condition, planned, counted(comparisons)),
            verdict=each.verdict,
            recipe_version=recipe_version,
            resjax=version,
        )
        for place, (each, condition) in enumerate(zip(comparisons, conditions or [""] * len(comparisons), strict=True))
        if each.verdict is not None and place not in waiting
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
    pairs = enumerate(summary.comparisons)
    waiting = [place for place, each in pairs if not {each.baseline, each.candidate} <= ended]
    return looks_of(summary.comparisons, planned, summary.recipe_version, version, waiting=waiting)


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


def _look(record: Comparison, condition: str, planned: Sequence[int], comparisons: int) -> Look:
    """A look at this record now, whatever its verdict will be."""
    return Look(
        baseline=record.baseline,
        candidate=record.candidate,
        condition=condition or UNSET,
        settings=record.settings,
        metric=record.metric,
        margin=record.equivalence.margin if record.equivalence else None,
        seeds=record.seeds,
        level=record.level,
        planned=list(planned),
        comparisons=comparisons,
        verdict="inconclusive",
        recipe_version=0,
        resjax=None,
    )


def _before(looks: Sequence[Look], this: Look) -> Sequence[Look]:
    """The looks before this one; all, if it was not taken yet."""
    places = [place for place, look in enumerate(looks) if _identity(look) == _identity(this)]
    return looks[: places[0]] if places else looks


def _counts(look: Look, this: Look) -> bool:
    """Whether an earlier look at the same pair is one that this look's level is not planned for."""
    asked = [(each.metric, each.margin, each.level, each.settings) for each in (look, this)]
    if asked[0] != asked[1]:
        return True
    return look.seeds != this.seeds and not (this.planned and look.planned == this.planned)


def _could_decide(look: Look) -> bool:
    level = look.level / max(look.comparisons, 1)
    # The smallest p of a one-sided test, which equivalence rests on, is half that of a two-sided one.
    return len(look.seeds) >= fewest_seeds(level if look.margin is None else min(2 * level, 1.0))


def _earlier(look: Look, this: Look) -> EarlierLook:
    other = _pair(look) != _pair(this)
    return EarlierLook(
        seeds=len(look.seeds),
        metric=look.metric,
        margin=look.margin,
        verdict=look.verdict,
        baseline=look.baseline if other else UNSET,
        candidate=look.candidate if other else UNSET,
    )


def _pair(look: Look) -> tuple[object, ...]:
    return (look.baseline, look.candidate, look.condition)


def _question(look: Look) -> tuple[object, ...]:
    """What was asked, of which seeds."""
    return (*_pair(look), look.settings, look.metric, look.margin, look.seeds, look.level)


def _identity(look: Look) -> tuple[object, ...]:
    return (*_question(look), look.planned, look.comparisons)
