"""The grid of a sweep: the points that flags describe, each with the settings of a comparison of its own."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resjax.errors import BadInput, closest
from resjax.run.settings import SIZES, Settings
from resjax.training.recipe import Recipe, fields_with_options

_SHORT = {
    "learning_rate": "lr",
    "weight_decay": "wd",
    "batch_size": "batch",
    "train_fraction": "fraction",
    "warmup_epochs": "warmup",
}
_OPTIONS = {option.flag: option for _, option in fields_with_options(Recipe)}
_ALIASES = {option.alias: flag for flag, option in _OPTIONS.items() if option.alias}
SWEPT = {flag: _SHORT.get(flag, flag) for flag in (*_OPTIONS, "train_fraction", *SIZES)}
"""Flags that may have several values, with their short names in the names of folders: the recipe's and some more."""
DEPTH = "depth"
"""Not a flag of its own: it completes architectures that are named without their number of layers."""
TUNED = ("learning_rate", "weight_decay")
"""In a fair comparison each network has its own best values of these; everything else is a condition for all."""
MOST_CELLS = 100_000
_FAMILY = re.compile(r"(plainnext|plain|resnext|resnet)(?=_|$)")
_EXAMPLE = "--grid=learning_rate=1e-3,1e-2"


@dataclass(frozen=True)
class Point:
    """A point of the grid: everything that its replicas share, except architecture and seed."""

    name: str
    """The name of its folder in `cells/`."""
    choices: Mapping[str, object]
    """The values of the swept flags."""
    settings: Settings


@dataclass(frozen=True)
class SweepSettings:
    """Everything that a sweep is told."""

    base: Settings
    """The settings at the first point, with the workdir of the sweep."""
    grid: Mapping[str, Sequence[object]]
    """The values of each swept flag, without the depths."""
    points: tuple[Point, ...]
    shard: tuple[int, int]
    """The number of the shard, from 1, and how many there are."""

    @property
    def fixed(self) -> dict[str, object]:
        """The flags that have one value at all points."""
        return {name: value for name, value in self.base.flags.items() if name not in self.grid}

    @property
    def architectures(self) -> list[str]:
        """The names of the networks."""
        return [each.name for each in self.base.architectures]


def parse_grid(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The values of each flag as they were written, from texts such as `learning_rate=1e-3,1e-2`.

    >>> parse_grid(["learning_rate=1e-3,1e-2", "augment=none|flip,rotate:15"])
    {'learning_rate': ('1e-3', '1e-2'), 'augment': ('none', 'flip,rotate:15')}

    Raises:
      BadInput: for an unknown flag, and for values that are missing or repeated.
    """
    grid = {}
    for text in texts:
        name, equals, rest = text.strip().removeprefix("--").partition("=")
        name = _ALIASES.get(name, name)
        if name not in (*SWEPT, DEPTH):
            near = closest(name, [*SWEPT, DEPTH])
            hint = f"did you mean {near[0]}? " if near else ""
            raise BadInput(f"--grid={text!r}: {hint}expected one of {', '.join((*SWEPT, DEPTH))}, as in {_EXAMPLE}")
        own_commas = name in _OPTIONS and _OPTIONS[name].parse is not None
        separator = "|" if own_commas or "|" in rest else ","
        values = tuple(value.strip() for value in rest.split(separator))
        if not equals or not all(values) or len(set(values)) < len(values):
            raise BadInput(f"--grid={text!r}: expected one or more different values, as in {_EXAMPLE}")
        grid[name] = values
    return grid


def with_depths(names: str, depths: Sequence[str] | None) -> str:
    """Adds each depth to names of architectures without a number; twins stand beside each other.

    >>> with_depths("plain,preact_resnet_gn", ["20", "32"])
    'plain20,preact_resnet20_gn,plain32,preact_resnet32_gn'

    Raises:
      BadInput: for a depth that is not a number, and a name that is complete.
    """
    if depths is None:
        return names
    if bad := [depth for depth in depths if not depth.isdecimal()]:
        raise BadInput(
            f"--grid=depth={','.join(depths)}: {bad[0]!r} is not a number of layers; expected numbers such as 20,32"
        )
    families = [name.strip() for name in names.split(",") if name.strip()]
    for family in families:
        if len(_FAMILY.findall(family)) != 1:
            raise BadInput(
                f"--architectures={names} with --grid=depth=...: {family!r} is complete; expected names without a "
                "number, such as plain,resnet"
            )
    return ",".join(_FAMILY.sub(rf"\g<1>{depth}", family) for depth in depths for family in families)


def parse_shard(text: str) -> tuple[int, int]:
    """The shard and the number of shards: `3/16` is the third of sixteen.

    Raises:
      BadInput: for anything else.
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
    shard, shards = (int(part) for part in found.groups()) if found else (0, 0)
    if not 1 <= shard <= shards:
        raise BadInput(f"--shard={text}: expected K/N with K from 1 to N, such as 1/16 to 16/16")
    return shard, shards


def name_of(choices: Mapping[str, object]) -> str:
    """The name of a point's folder, such as `lr0.001_wd0`."""
    parts = (f"{SWEPT[name]}{re.sub('[^A-Za-z0-9.+-]', '-', str(value))}" for name, value in choices.items())
    return "_".join(parts) or "all"
