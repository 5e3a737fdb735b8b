"""Which arms of a comparison are plain networks and their residual twins, by depth."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from resjax.models.architecture import Architecture


class Twins(NamedTuple):
    """The names of a plain network and of its residual twin."""

    depth: int
    baseline: str
    candidate: str


def families_of_twins(architectures: Sequence[Architecture]) -> list[list[Twins]]:
    """Pairs of arms that differ in the shortcut alone, those together that differ in nothing but depth."""
    plain = [arm for arm in architectures if arm.shortcut == "none"]
    families: dict[Architecture, list[Twins]] = {}
    for residual in architectures:
        for baseline in plain:
            is_twin = residual is not baseline and replace(residual, name=baseline.name, shortcut="none") == baseline
            if is_twin:
                family = replace(residual, name="", blocks=(1,) * len(residual.blocks))
                families.setdefault(family, []).append(Twins(residual.depth, baseline.name, residual.name))
    return list(families.values())
