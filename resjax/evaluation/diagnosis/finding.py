"""What a rule of the diagnosis returns: a kind, an arm, a sentence, and the numbers behind it."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Finding(NamedTuple):
    """One thing that a rule found; `_asdict()` is its record in `summary.json`.

    >>> Finding("leaks", None, "3 of 60 validation images leak.", {"leaked": 3})._asdict()["kind"]
    'leaks'
    """

    kind: str
    """The rule's name, one of `resjax.evaluation.diagnosis.diagnose.KINDS`."""
    arm: str | None
    """The arm that it is about; None where it is about the data."""
    sentence: str
    evidence: Mapping[str, Any]
    """The numbers that the rule compared, thresholds included, as plain JSON values."""


def percent(share: float) -> str:
    """A fraction in whole per cent."""
    return f"{100 * share:.0f} %"


def in_seeds(found: int, of: int) -> str:
    """` in 4 of 6 seeds`, or nothing where there is one seed."""
    return f" in {found} of {of} seeds" if of > 1 else ""


def is_half(found: int, of: int) -> bool:
    """Whether a rule that looks at each seed holds in at least half of them, and in one at least."""
    return found > 0 and 2 * found >= of
