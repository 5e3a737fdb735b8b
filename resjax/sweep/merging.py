"""Brings the shards of a sweep that were trained in folders of their own into one record and report."""

from collections.abc import Sequence
from pathlib import Path

from msgspec import UNSET
from msgspec.structs import replace

from resjax.errors import BadInput
from resjax.evaluation.comparison.looks import Shown
from resjax.records import Sweep, read_record, write_record
from resjax.run.workdir.lock import make_workdir
from resjax.run.workdir.looks import add_looks, looks_in
from resjax.sweep.declaration import differences
from resjax.sweep.record import looks_of_sweep, sweep_record
from resjax.sweep.workdir import RECORD, write_report


def merge_sweeps(workdirs: Sequence[Path], target: Path) -> Sweep:
    """Writes record, figures and report of the cells of all shards into `target`. The cells stay where they are.

    Raises:
      BadInput: for fewer than two folders, a folder without a sweep, shards of different sweeps, and a target that is
        one of the folders or holds something else.
      RecordError: if two folders have different results for a cell.
    """
    if len(workdirs) < 2:
        raise BadInput(f"--merge={','.join(map(str, workdirs))}: expected two or more folders joined by commas")
    records = []
    for workdir in workdirs:
        if not (workdir / RECORD).exists():
            raise BadInput(f"--merge: {workdir} holds no {RECORD}; expected the --workdir of a shard")
        records.append(read_record(workdir / RECORD, Sweep))
    first = records[0]
    for workdir, record in zip(workdirs[1:], records[1:], strict=True):
        if record.fingerprint != first.fingerprint:
            changed = "; ".join(differences(first, record)) or "their points"
            raise BadInput(f"--merge: {workdirs[0]} and {workdir} are shards of different sweeps ({changed})")
    if target.resolve() in [workdir.resolve() for workdir in workdirs]:
        raise BadInput(f"--workdir={target} is one of the folders to merge; expected a new folder")
    written = target / RECORD
    if any(target.glob("*")) and not (written.exists() and read_record(written, Sweep).merged is not UNSET):
        raise BadInput(f"--workdir={target} is not empty and holds no merged sweep; expected a new folder")
    make_workdir(target)
    shown = [looks_in(workdir) for workdir in (*workdirs, target)]
    merged = replace(sweep_record(first, workdirs, Shown(shown)), merged=[str(workdir) for workdir in workdirs])
    write_record(written, merged)
    record = write_report(target)
    add_looks(target, looks_of_sweep(record))
    return record
