"""Which networks are compared with which: by default what the shortcut does, and otherwise what was asked for."""

from collections.abc import Iterable, Sequence
from itertools import combinations

from resjax.errors import BadInput
from resjax.evaluation.comparison.statistics.paired_tests import fewest_seeds

RULES = ("twins", "first", "all")
Pair = tuple[str, str]
"""The names of the baseline and of the candidate."""


def pairs_asked(rule: str, networks: Sequence[str], twins: Iterable[Pair]) -> list[Pair]:
    """The comparisons that --comparisons asks for, in the order of the networks.

    `twins` compares each residual network with its plain twin, and every other network but the first with the first;
    a plain network that is somebody's twin needs no other comparison. `first` compares every network with the first,
    `all` every two. `A:B,C:D` are these comparisons, baseline first.

    >>> pairs_asked("twins", ["plain34", "resnet34", "se_resnet34"], [("plain34", "resnet34")])
    [('plain34', 'resnet34'), ('plain34', 'se_resnet34')]

    Raises:
      BadInput: for an unknown rule or network, or a pair that occurs twice.
    """
    if rule == "all":
        return [*combinations(networks, 2)]
    first, *others = networks
    if rule == "first":
        return [(first, other) for other in others]
    if rule == "twins":
        plain = {candidate: baseline for baseline, candidate in twins}
        compared = {*plain, *plain.values()}
        return [(plain.get(name, first), name) for name in networks if name in plain or name not in {first, *compared}]
    return _listed(rule, networks)


def _listed(text: str, networks: Sequence[str]) -> list[Pair]:
    pairs: list[Pair] = []
    for part in text.split(","):
        baseline, colon, candidate = (word.strip() for word in part.partition(":"))
        if not colon or not baseline or not candidate:
            raise BadInput(f"--comparisons={text!r}: expected {', '.join(RULES)}, or pairs such as plain34:resnet34")
        for name in (baseline, candidate):
            if name not in networks:
                raise BadInput(f"--comparisons={text!r}: {name} is not compared; expected {', '.join(networks)}")
        if baseline == candidate or {baseline, candidate} in [set(pair) for pair in pairs]:
            raise BadInput(f"--comparisons={text!r}: expected different pairs of different networks")
        pairs.append((baseline, candidate))
    return pairs


def undecidable(pairs: int, seeds: int, level: float) -> str:
    """Why so many comparisons cannot be decided with so many seeds, and how many would do; empty if they can be.

    >>> undecidable(3, 6, 0.05)
    'no verdict is possible: 3 comparisons at once need at least 7 seeds, there are 6'
    """
    needed = fewest_seeds(level / max(pairs, 1))
    if not pairs or seeds >= needed:
        return ""
    together = f"{pairs} comparisons at once need" if pairs > 1 else "a comparison needs"
    return f"no verdict is possible: {together} at least {needed} seeds, there {'are' if seeds > 1 else 'is'} {seeds}"
