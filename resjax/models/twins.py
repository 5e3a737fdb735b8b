"""The one definition of twins: a plain network and a ResNet that differ in the shortcut alone.

>>> from resjax.models.architecture import architecture
>>> twins_among([architecture(name) for name in ("plain20", "resnet20", "se_resnet20")])
[Twins(depth=20, baseline='plain20', candidate='resnet20')]
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import NamedTuple

from resjax.models.architecture import Architecture
from resjax.models.own_network import NetworkSpec, architectures_among


class Twins(NamedTuple):
    """The names of a plain network and of the ResNet that is the same with a shortcut."""

    depth: int
    baseline: str
    """The plain network."""
    candidate: str
    """The ResNet."""


def plain_twin(architecture: Architecture) -> Architecture | None:
    """The same architecture without the shortcut, under its name in the table.

    None where the branches start at zero or are dropped (SkipInit, Fixup, zero-gamma, stochastic depth): without a
    shortcut such a network would pass nothing on.

    >>> from resjax.models.architecture import architecture
    >>> plain_twin(architecture("se_resnet34", width=16)).name, plain_twin(architecture("resnet34_fixup"))
    ('se_plain34', None)
    """
    return None if architecture.needs_shortcut else architecture.with_shortcut("none")


def twins_among(networks: Sequence[NetworkSpec]) -> list[Twins]:
    """Every pair of twins among the networks, in the order of the ResNets; names do not matter."""
    architectures = architectures_among(networks)
    plain = [each for each in architectures if each.is_plain]
    return [
        Twins(residual.depth, baseline.name, residual.name)
        for residual in architectures
        if not residual.is_plain and (twin := plain_twin(residual)) is not None
        for baseline in plain
        if replace(twin, name=baseline.name) == baseline
    ]


def plain_twin_name(architecture: Architecture, among: Sequence[NetworkSpec]) -> str | None:
    """The name of a ResNet's plain twin among the architectures, or else in the table; None where it has none.

    >>> from resjax.models.architecture import architecture
    >>> [plain_twin_name(architecture(name), ()) for name in ("resnet20", "plain20", "resnet34_fixup")]
    ['plain20', None, None]
    """
    if architecture.is_plain or (twin := plain_twin(architecture)) is None:
        return None
    here = [each.baseline for each in twins_among([*among, architecture]) if each.candidate == architecture.name]
    return here[0] if here else twin.name


def family_of(architecture: Architecture) -> str:
    """What the members of a family share: all but the name, and the number of blocks in each stage.

    >>> from resjax.models.architecture import architecture
    >>> family_of(architecture("resnet20")), family_of(architecture("resnet20")) == family_of(architecture("resnet56"))
    ('3 stages, shortcut pad, stem cifar, width 16', True)
    """
    own = [field for field in fields(architecture) if field.name not in ("name", "blocks")]
    values = {field.name: getattr(architecture, field.name) for field in own}
    special = [f"{field.name} {values[field.name]}" for field in own if values[field.name] != field.default]
    return ", ".join([f"{len(architecture.blocks)} stages", *special])


def families_of_twins(networks: Sequence[NetworkSpec]) -> list[list[Twins]]:
    """The pairs of twins by family: architectures of one family differ in nothing but the blocks of each stage."""
    by_name = {each.name: each for each in architectures_among(networks)}
    families: dict[str, list[Twins]] = {}
    for twins in twins_among(networks):
        families.setdefault(family_of(by_name[twins.candidate]), []).append(twins)
    return list(families.values())


def pairs_of_one_depth(architectures: Sequence[Architecture]) -> list[tuple[str, str]]:
    """The names of each ResNet after the first plain network of its depth; the two need not be twins.

    What is compared where ResNets differ in more than the shortcut: pre-activated and gated ones with the plain network
    of the same depth.
    """
    plain: dict[int, str] = {}
    for each in architectures:
        if each.is_plain:
            plain.setdefault(each.depth, each.name)
    return [(plain[each.depth], each.name) for each in architectures if not each.is_plain and each.depth in plain]
