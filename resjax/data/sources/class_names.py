"""Warnings about names of classes that are probably mistakes."""

import re
from collections import defaultdict
from collections.abc import Sequence

MISSING = {"nan", "none", "null", "na", "n/a", "#n/a", "<na>"}
"""What programs write where a label is missing, in lower case."""
NAMED = 3
"""How many of a longer list a warning names."""


def class_warnings(classes: Sequence[str], counts: Sequence[int]) -> list[str]:
    """A line about classes whose names differ in case, spaces, `_` or `-` alone, and one about missing labels.

    >>> class_warnings(["Cat", "cat", "dog"], [1, 20, 20])
    ["WARNING: classes whose names differ in case or spaces alone: 'Cat' (1 image) and 'cat' (20 images)"]
    """
    alike = defaultdict(list)
    for name, count in zip(classes, counts, strict=True):
        alike[re.sub(r"[\s_-]+", " ", name).strip().casefold() or name].append(_counted(name, count))
    groups = [" and ".join(names) for names in alike.values() if len(names) > 1]
    missing = [
        _counted(name, count) for name, count in zip(classes, counts, strict=True) if name.strip().casefold() in MISSING
    ]
    warnings = []
    if groups:
        warnings.append(f"WARNING: classes whose names differ in case or spaces alone: {_some(groups)}")
    if missing:
        warnings.append(f"WARNING: {_some(missing)}: is this a class, or a label that is missing?")
    return warnings


def _counted(name: str, count: int) -> str:
    return f"{name!r} ({count:,} image{'s' * (count != 1)})"


def _some(texts: Sequence[str]) -> str:
    more = len(texts) - NAMED
    return ", ".join(texts[:NAMED]) + (f" and {more:,} more" if more > 0 else "")
