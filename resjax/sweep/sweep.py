"""A whole sweep, from settings to the report: trains the pending cells of a shard and writes record and report."""

import time

import jax

from resjax.errors import BadInput
from resjax.models.own_network import OwnNetwork
from resjax.records import Sweep
from resjax.report.sweep_text import sweep_text
from resjax.run.setup.dataset import load_dataset, require_outside_images, whole_splits
from resjax.run.setup.device import describe_environment, usable_dtype
from resjax.run.workdir.environments import require_same_environment
from resjax.run.workdir.lock import make_workdir, require_writable
from resjax.run.workdir.looks import add_looks
from resjax.run.workdir.ownership import require_own
from resjax.sweep.cells import program_key
from resjax.sweep.declaration import declare
from resjax.sweep.grid import SweepSettings
from resjax.sweep.record import looks_of_sweep
from resjax.sweep.training import Share
from resjax.sweep.workdir import RECORD, require_same_sweep, write_report, write_sweep
from resjax.terminal import duration

RECORD_SECONDS = 60.0
"""The record is written at most this often while cells are trained."""


def sweep(asked: SweepSettings) -> tuple[Sweep, int]:
    """Trains the pending cells of a shard; returns the sweep's record and how many cells of the shard failed.

    The record is also in the workdir.

    Raises:
      BadInput: before anything is written, if the workdir holds another sweep, the data do not fit, or a network has
        no name in resjax.
    """
    base = asked.base
    if own := [each.name for each in base.architectures if isinstance(each, OwnNetwork)]:
        raise BadInput(f"--architectures: {own[0]} in a sweep; expected names such as resnet20, compare takes your own")
    require_outside_images(base.source, base.workdir)
    require_writable(base.workdir)
    require_own(base.workdir, (RECORD, "report.html", "figures", "cells"), (RECORD, "cells/*/recipe.json"))
    _, dataset = load_dataset(base.source, base.image_size)
    (split,) = whole_splits(base.split, dataset).values()
    declared = declare(asked, dataset, split, describe_environment())
    require_same_sweep(base.workdir, declared)
    share = Share(asked, dataset, split)
    if share.pending:
        now = describe_environment(usable_dtype(base.dtype, jax.devices()[0])[0])
        folders = base.workdir.glob("cells/*/runs/*/seed*")
        require_same_environment(folders, now, mixed=base.allow_mixed_environment)
    make_workdir(base.workdir)
    add_looks(base.workdir, ())
    print(announcement(asked, share), flush=True)
    written = time.monotonic()

    def after_cell() -> None:
        nonlocal written
        if time.monotonic() - written > RECORD_SECONDS:
            write_sweep(base.workdir, declared)
            written = time.monotonic()

    write_sweep(base.workdir, declared)
    try:
        with base.stopping.waiting():
            share.train(after_cell)
    finally:
        write_sweep(base.workdir, declared)
    share.write_summaries()
    record = write_report(base.workdir)
    add_looks(base.workdir, looks_of_sweep(record))
    for said in dict.fromkeys(share.busy.values()):
        print(f"left to another process: {said}")
    print(sweep_text(record))
    print(f"\nsweep.json, report.html and figures are in {base.workdir}")
    own = {str(share.folder(cell)) for cell in share.own}
    return record, sum(cell.status == "failed" and cell.folder in own for cell in record.cells)


def announcement(asked: SweepSettings, share: Share) -> str:
    """What will be trained, on which device, and about how long it will take."""
    base, (shard, shards) = asked.base, asked.shard
    device = jax.devices()[0]
    text = (
        f"{len(share.cells)} cells: {len(asked.points)} points of {', '.join(asked.grid) or 'no grid'}, "
        f"{len(base.architectures)} networks, {len(base.seeds)} seeds; on {device.platform} "
        f"({device.device_kind})"
    )
    if shards > 1:
        text += f"\nshard {shard}/{shards}: {len(share.own)} cells"
    programs = len({program_key(asked.points, cell) for cell in share.pending})
    ended = len(share.own) - len(share.pending)
    if share.pending:
        text += f"\n{len(share.pending)} to train with {programs} programs, about {duration(share.seconds_left())}"
    else:
        text += "\nnothing to train"
    return text + (f"; {ended} ended before" if ended else "")
