"""What a sweep goes through, from flags: each point of the grid becomes the settings of a comparison of its own."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resjax.errors import BadInput
from resjax.run.settings import Settings

SWEPT = {
    "learning_rate": "lr",
    "weight_decay": "wd",
    "batch_size": "batch",
    "width": "width",
    "augment": "augment",
    "train_fraction": "fraction",
    "epochs": "epochs",
    "optimizer": "optimizer",
    "schedule": "schedule",
    "warmup_epochs": "warmup",
    "momentum": "momentum",
    "decayed": "decayed",
    "stem": "stem",
}
"""Flags that may have several values, with the words for them in the names of folders."""
DEPTH = "depth"
"""Not a flag of its own: it stands in for the numbers that the names of the architectures lack."""
TUNED = ("learning_rate", "weight_decay")
"""What a fair comparison lets each arm have its own best of; everything else is a condition that arms share."""
MOST_CELLS = 100_000
_FAMILY = re.compile(r"(plainnext|plain|resnext|resnet)(?=_|$)")
_EXAMPLE = "--grid=learning_rate=1e-3,1e-2"


@dataclass(frozen=True)
class Point:
    """A point of the grid: all that its replicas share but architecture and seed."""

    name: str
    """Of its folder in `cells/`."""
    choices: Mapping[str, object]
    """The values of the flags that are swept."""
    settings: Settings


@dataclass(frozen=True)
class SweepSettings:
    """All that a sweep is told."""

    base: Settings
    """At the first point; the workdir is the sweep's."""
    grid: Mapping[str, Sequence[object]]
    """The values of each flag that is swept, without the depths."""
    points: tuple[Point, ...]
    shard: tuple[int, int]
    """Which share of how many, from 1."""

    @property
    def fixed(self) -> dict[str, object]:
        """The flags that all points share."""
        return {name: value for name, value in self.base.flags.items() if name not in self.grid}

    @property
    def architectures(self) -> list[str]:
        return [each.name for each in self.base.architectures]


def parse_grid(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The values of each flag, as they were written.

    >>> parse_grid(["learning_rate=1e-3,1e-2", "augment=none|flip,rotate:15"])
    {'learning_rate': ('1e-3', '1e-2'), 'augment': ('none', 'flip,rotate:15')}
    """
    grid = {}
    for text in texts:
        name, equals, rest = text.strip().removeprefix("--").partition("=")
        if name not in (*SWEPT, DEPTH):
            near = difflib.get_close_matches(name, [*SWEPT, DEPTH], n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise BadInput(f"--grid={text!r}: {hint}one of {', '.join((*SWEPT, DEPTH))} is accepted, as in {_EXAMPLE}")
        separator = "|" if name == "augment" or "|" in rest else ","
        values = tuple(value.strip() for value in rest.split(separator))
        if not equals or not all(values) or len(set(values)) < len(values):
            raise BadInput(f"--grid={text!r}: one or more different values are accepted, as in {_EXAMPLE}")
        grid[name] = values
    return grid


def with_depths(names: str, depths: Sequence[str] | None) -> str:
    """Architectures with each depth in its place, twins beside each other.

    >>> with_depths("plain,preact_resnet_gn", ["20", "32"])
    'plain20,preact_resnet20_gn,plain32,preact_resnet32_gn'
    """
    if depths is None:
        return names
    if bad := [depth for depth in depths if not depth.isdecimal()]:
        raise BadInput(f"--grid=depth={','.join(depths)}: {bad[0]!r} is no number of layers; such as 20,32 is accepted")
    families = [name.strip() for name in names.split(",") if name.strip()]
    for family in families:
        if len(_FAMILY.findall(family)) != 1:
            raise BadInput(
                f"--architectures={names} with --grid=depth=...: {family!r} is complete; names without a number, such "
                "as plain,resnet, are accepted"
            )
    return ",".join(_FAMILY.sub(rf"\g<1>{depth}", family) for depth in depths for family in families)


def parse_shard(text: str) -> tuple[int, int]:
    """`3/16` is the third share of sixteen."""
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
    shard, shards = (int(part) for part in found.groups()) if found else (0, 0)
    if not 1 <= shard <= shards:
        raise BadInput(f"--shard={text}: K/N with K from 1 to N is accepted, such as 1/16 to 16/16")
    return shard, shards


def name_of(choices: Mapping[str, object]) -> str:
    """The folder of a point: `lr0.001_wd0`."""
    parts = (f"{SWEPT[name]}{re.sub('[^A-Za-z0-9.+-]', '-', str(value))}" for name, value in choices.items())
    return "_".join(parts) or "all"
