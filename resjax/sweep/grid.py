"""What a sweep goes through, from flags: each point of the grid becomes the settings of a comparison of its own."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product

from absl import flags

from resjax.cli.settings import FLAGS, Settings, settings
from resjax.types import BadInput

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


def define_sweep_flags() -> None:
    flags.DEFINE_multi_string(
        "grid",
        [],
        "FLAG=VALUE,VALUE,...: a flag that goes through several values; once for each, and a later one for the same "
        f"flag replaces an earlier one. FLAG is one of {', '.join(SWEPT)}, or depth, which completes architectures "
        "without a number: --architectures=plain,resnet --grid=depth=20,32. Values that have commas themselves, those "
        "of augment, are joined by |: --grid='augment=none|flip|flip,rotate:15'",
    )
    flags.DEFINE_string(
        "shard", "1/1", "which share of the cells to train, such as 3/16; the shares of one sweep may run side by side"
    )
    flags.DEFINE_string(
        "merge",
        None,
        "folders of shards of one sweep that were trained apart, with commas between: their record and report go to "
        "--workdir, and nothing is trained",
    )


def sweep_settings() -> SweepSettings:
    """All flags as settings.

    Raises:
      BadInput: for a grid or a shard that cannot be read, or a value outside its range.
    """
    if FLAGS.seeds == "auto":
        raise BadInput("--seeds=auto in a sweep: a number of seeds such as 3 is accepted")
    if FLAGS.folds is not None or "," in (FLAGS.split or ""):
        raise BadInput("--folds or several methods in --split in a sweep: one split is accepted")
    texts = parse_grid(FLAGS.grid)
    if given := [name for name in texts if name != DEPTH and FLAGS[name].present]:
        raise BadInput(f"--{given[0]}={FLAGS[given[0]].value} with --grid={given[0]}=...: one of the two is accepted")
    architectures = with_depths(FLAGS.architectures, texts.pop(DEPTH, None))
    points: list[Point] = []
    base = None
    for values in product(*texts.values()):
        with _flags_at({"architectures": architectures, **dict(zip(texts, values, strict=True))}):
            here = settings("sweep")
            choices = {name: FLAGS[name].value for name in texts}
        base = base or here
        name = name_of(choices)
        if any(point.name == name for point in points):
            raise BadInput(f"--grid: {choices} occurs twice; different values are accepted")
        workdir = base.workdir / "cells" / name
        own = {"workdir": workdir, "flags": here.flags | {"workdir": str(workdir)}, "stopping": base.stopping}
        points.append(Point(name, choices, replace(here, **own)))
        if len(points) * len(here.architectures) * len(here.seeds) > MOST_CELLS:
            raise BadInput(f"--grid: at most {MOST_CELLS:,} cells are accepted")
    assert base is not None  # The product of no values has one element.
    grid = {name: tuple(dict.fromkeys(point.choices[name] for point in points)) for name in texts}
    return SweepSettings(base, grid, tuple(points), parse_shard(FLAGS.shard))


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


@contextmanager
def _flags_at(values: Mapping[str, str]) -> Iterator[None]:
    """Until the end of this flags have other values, so that a point is read and checked as a comparison would be."""
    before = {name: (FLAGS[name].value, FLAGS[name].present) for name in values}
    try:
        for name, value in values.items():
            FLAGS[name].parse(value)
        yield
    finally:
        for name, (value, present) in before.items():
            FLAGS[name].value, FLAGS[name].present = value, present
