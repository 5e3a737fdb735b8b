"""Shards of a sweep that were trained in folders of their own, as one record and report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resjax.errors import BadInput
from resjax.report.records import read_json, write_json
from resjax.sweep.record import differing, sweep_record
from resjax.sweep.writing import RECORD, write_report

SHARED = (
    *("recipe_version", "config", "grid", "points", "architectures", "seeds"),
    *("dataset", "environment", "fingerprint"),
)


def merge_sweeps(workdirs: Sequence[Path], target: Path) -> dict[str, Any]:
    """Writes record, figures and report of all shards' cells into `target`; the cells stay where they are.

    Raises:
      BadInput: for fewer than two folders, one that holds no sweep, shards of different sweeps, and a target that is
        one of them or holds something else.
      RecordError: where two folders have different results for a cell.
    """
    if len(workdirs) < 2:
        raise BadInput(f"--merge={','.join(map(str, workdirs))}: two or more folders with commas between are accepted")
    records = []
    for workdir in workdirs:
        if not (workdir / RECORD).exists():
            raise BadInput(f"--merge: {workdir} holds no {RECORD}; the --workdir of a shard is accepted")
        records.append(read_json(workdir / RECORD))
    first = records[0]
    for workdir, record in zip(workdirs[1:], records[1:], strict=True):
        if record["fingerprint"] != first["fingerprint"]:
            changed = "; ".join(differing(first, record)) or "their points"
            raise BadInput(f"--merge: {workdirs[0]} and {workdir} are shards of different sweeps ({changed})")
    if target.resolve() in [workdir.resolve() for workdir in workdirs]:
        raise BadInput(f"--workdir={target} is one of the folders to merge; a new one is accepted")
    there = target / RECORD
    if any(target.glob("*")) and not (there.exists() and "merged" in read_json(there)):
        raise BadInput(f"--workdir={target} is not empty, and holds no merged sweep; a new folder is accepted")
    target.mkdir(parents=True, exist_ok=True)
    merged = sweep_record({key: first[key] for key in SHARED}, workdirs)
    write_json(there, merged | {"merged": [str(workdir) for workdir in workdirs]})
    return write_report(target)
