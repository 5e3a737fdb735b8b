"""The same comparison at every point of a grid: learning rates, decays, batch sizes, widths, depths, less data.

  python -m experiments.sweep --flagfile=experiments/flags/sweep_demo.flags
  python -m experiments.sweep --architectures=plain,resnet --grid=depth=20,32,44 --grid=learning_rate=1e-3,1e-2 \
      --seeds=6 --test_fraction=0.2 --shard=3/16 --workdir=runs/by_depth

A cell is a replica of compare: a point of the grid, an architecture and a seed. It has the files of a replica, in
cells/POINT/runs/ARCHITECTURE/seedK of --workdir, and cells/POINT is the workdir of a comparison: probe and report take
it. The same command goes on with the cells that have not ended. --shard=3/16 takes the third of sixteen shares, for job
arrays; shards may share a --workdir, at the same time too, or have one each that --merge=DIR,DIR brings together in
--workdir. Cells that differ in seed, learning rate and weight decay alone share a compiled program, and are trained
together where compare would do so with seeds (--replicas_as).

sweep.json, report.html and figures hold accuracy against depth, a comparison in which each architecture has its own
best learning rate and decay chosen on validation, sensitivity maps, and every cell that failed. A cell that fails (out
of memory, a batch larger than its share of the images, an error) is written down and the others go on; the next start
tries it again. Exit status: 0 where every cell of the share has ended (one whose loss was not finite has), or is under
way in another process; 1 where one failed; 2 for bad input, before anything is trained.
"""

import sys
import time
from pathlib import Path

from absl import flags

from resjax.cli.compare import require_writable, whole_splits
from resjax.cli.data_flags import define_source_flags, define_split_flags
from resjax.cli.settings import define_training_flags, main_program
from resjax.run.progress import duration
from resjax.sweep.grid import SweepSettings, define_sweep_flags, sweep_settings
from resjax.types import BadInput

FLAGS = flags.FLAGS
RECORD_SECONDS = 60.0
"""How often the record is written while cells are trained, at most."""


def sweep(asked: SweepSettings) -> tuple[dict, int]:
    """Trains what is pending of a share, and returns the sweep's record, which is also in its workdir, and how many
    cells of the share failed.

    Raises:
      BadInput: before anything is written, where the workdir holds another sweep or the data do not fit.
    """
    # They import jax, which --help does without.
    from resjax.run.environment import describe_environment
    from resjax.run.load_data import load_dataset
    from resjax.sweep.record import declaration
    from resjax.report.page.sweep_tables import sweep_text
    from resjax.sweep.training import Share
    from resjax.sweep.writing import require_same_sweep, write_record, write_report

    base = asked.base
    require_writable(base.workdir)
    _, dataset = load_dataset(base.source, base.image_size)
    (split,) = whole_splits(base, dataset).values()
    declared = declaration(asked, dataset, split, describe_environment())
    require_same_sweep(base.workdir, declared)
    share = Share(asked, dataset, split)
    base.workdir.mkdir(parents=True, exist_ok=True)
    print(announcement(asked, share), flush=True)
    written = time.monotonic()

    def after_cell() -> None:
        nonlocal written
        if time.monotonic() - written > RECORD_SECONDS:
            write_record(base.workdir, declared)
            written = time.monotonic()

    write_record(base.workdir, declared)
    try:
        with base.stopping.waiting():
            share.train(after_cell)
    finally:
        write_record(base.workdir, declared)
    share.write_summaries()
    record = write_report(base.workdir)
    for said in dict.fromkeys(share.busy.values()):
        print(f"left to another process: {said}")
    print(sweep_text(record))
    print(f"\nsweep.json, report.html and figures are in {base.workdir}")
    own = {str(share.folder(cell)) for cell in share.own}
    return record, sum(cell["status"] == "failed" and cell["folder"] in own for cell in record["cells"])


def announcement(asked: SweepSettings, share) -> str:
    """What will run, on what, and about how long."""
    import jax

    from resjax.sweep.cells import program_key

    base, (shard, shards) = asked.base, asked.shard
    device = jax.devices()[0]
    text = (
        f"{len(share.cells)} cells: {len(asked.points)} points of {', '.join(asked.grid) or 'no grid'}, "
        f"{len(base.architectures)} architectures, {len(base.seeds)} seeds; on {device.platform} "
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


def main() -> None:
    if FLAGS.merge is not None:
        from resjax.sweep.merging import merge_sweeps
        from resjax.report.page.sweep_tables import sweep_text

        if FLAGS.workdir is None:
            raise BadInput("--merge without --workdir: a folder for the merged record and report is accepted")
        record = merge_sweeps([Path(part) for part in FLAGS.merge.split(",") if part], Path(FLAGS.workdir))
        print(sweep_text(record))
        print(f"\nsweep.json, report.html and figures are in {FLAGS.workdir}")
        return
    asked = sweep_settings()
    with asked.base.stopping.listening():
        _, failed = sweep(asked)
    if failed:
        print(f"{failed} cells of this share failed", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main_program(main, define_sweep_flags, define_source_flags, define_split_flags, define_training_flags)
