"""The same comparison at every point of a grid: learning rates, decays, batch sizes, widths, depths, less data.

  python -m experiments.sweep --flagfile=sweep_demo
  python -m experiments.sweep --architectures=plain,resnet --grid=depth=20,32,44 --grid=learning_rate=1e-3,1e-2 \\
      --seeds=6 --test_fraction=0.2 --shard=3/16 --workdir=runs/by_depth

A cell is a point of the grid, a network and a seed. Its files are in cells/POINT/runs/NETWORK/seedK of --workdir, and
cells/POINT is the workdir of a comparison, which probe and report accept; only the sweep trains there. The same command
resumes.

--shard=3/16 trains the third of sixteen shares, for job arrays. Shards may share a --workdir, even at the same time, or
have one each, which --merge=DIR,DIR brings together in --workdir. Cells that differ only in seed, learning rate and
weight decay share a compiled program, and are trained together where compare would train seeds together
(--replicas_as).

sweep.json, report.html and figures show accuracy against depth, a comparison in which each network has its own best
learning rate and decay (chosen on validation), sensitivity maps, and every cell that failed. A cell that fails (out of
memory, a batch larger than its share of the images, an error) is recorded and the others continue; the next start tries
it again. Exit status: 0 if every cell of the share has ended (a diverged one has) or is being trained by another
process; 1 if one failed; 2 for bad input, before anything is trained.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path

from absl import flags

from resjax.cli.flags.data import define_source_flags, define_split_flags, require_dataset
from resjax.cli.flags.paths import define_path
from resjax.cli.flags.settings import define_training_flags, settings
from resjax.cli.program import Command
from resjax.errors import BadInput
from resjax.sweep.grid import (
    DEPTH,
    MOST_CELLS,
    SWEPT,
    Point,
    SweepSettings,
    name_of,
    parse_grid,
    parse_shard,
    with_depths,
)

FLAGS = flags.FLAGS


def define_sweep_flags() -> None:
    flags.DEFINE_multi_string(
        "grid",
        [],
        "FLAG=VALUE,VALUE,...: a flag with several values; give --grid once for each such flag (a later one for the "
        f"same flag replaces an earlier one). FLAG is one of {', '.join(SWEPT)}, or depth, which completes "
        "architectures without a number: --architectures=plain,resnet --grid=depth=20,32. The values of augment, which "
        "have commas themselves, are joined by |: --grid='augment=none|flip|flip,rotate:15'",
    )
    flags.DEFINE_string(
        "shard", "1/1", "which share of the cells to train, such as 3/16; the shares of one sweep may run side by side"
    )
    define_path(
        "merge",
        None,
        "folders of shards of one sweep that were trained apart, with commas between: their record and report go to "
        "--workdir, and nothing is trained",
        separator=",",
    )


def sweep_settings() -> SweepSettings:
    """All flags as settings.

    Raises:
      BadInput: for a grid or a shard that cannot be read, or a value outside its range.
    """
    if FLAGS.seeds == "auto":
        raise BadInput("--seeds=auto in a sweep: expected a number of seeds such as 3")
    if FLAGS.folds is not None or "," in (FLAGS.split or ""):
        raise BadInput("--folds or several methods in --split in a sweep: expected one split")
    for name, only in (("comparisons", "twins"), ("metric", "accuracy"), ("margin", None)):
        if FLAGS[name].value != only:
            raise BadInput(f"--{name}={FLAGS[name].value} in a sweep: expected {only or 'none'}; compare takes others")
    texts = parse_grid(FLAGS.grid)
    if given := [name for name in texts if name != DEPTH and FLAGS[name].present]:
        raise BadInput(f"--{given[0]}={FLAGS[given[0]].value} with --grid={given[0]}=...: expected one of the two")
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
            raise BadInput(f"--grid: {choices} occurs twice; expected different values")
        workdir = base.workdir / "cells" / name
        own = {"workdir": workdir, "flags": here.flags | {"workdir": str(workdir)}, "stopping": base.stopping}
        points.append(Point(name, choices, replace(here, **own)))
        if len(points) * len(here.architectures) * len(here.seeds) > MOST_CELLS:
            raise BadInput(f"--grid: expected at most {MOST_CELLS:,} cells")
    assert base is not None  # The product of no values has one element.
    grid = {name: tuple(dict.fromkeys(point.choices[name] for point in points)) for name in texts}
    return SweepSettings(base, grid, tuple(points), parse_shard(FLAGS.shard))


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


def main() -> None:
    if FLAGS.merge is not None:
        from resjax.report.sweep_text import sweep_text
        from resjax.sweep.merging import merge_sweeps

        if FLAGS.workdir is None:
            raise BadInput("--merge without --workdir: expected a folder for the merged record and report")
        record = merge_sweeps([Path(part) for part in FLAGS.merge.split(",") if part], Path(FLAGS.workdir))
        print(sweep_text(record))
        print(f"\nsweep.json, report.html and figures are in {FLAGS.workdir}")
        return
    from resjax.run.setup.device import require_backend
    from resjax.sweep.sweep import sweep

    asked = sweep_settings()
    require_dataset("sweep")
    require_backend()
    _, failed = sweep(asked)
    if failed:
        print(f"{failed} cells of this share failed", file=sys.stderr)
        sys.exit(1)


COMMAND = Command(
    "sweep", __doc__, main, (define_sweep_flags, define_source_flags, define_split_flags, define_training_flags)
)
