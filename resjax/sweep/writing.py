"""The files of a sweep's workdir: checked before, and written by whichever of its shards comes to it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resjax.errors import BadInput
from resjax.report.figures.sweep_figures import draw_sweep
from resjax.report.page.sweep_page import sweep_page
from resjax.report.records import read_json, write_json, write_text
from resjax.run.replica_folder import read_or_set_aside
from resjax.run.workdir_lock import one_at_a_time
from resjax.sweep.record import differing, sweep_record

RECORD = "sweep.json"


def require_same_sweep(workdir: Path, declared: Mapping[str, Any]) -> None:
    """Refuses a workdir of another kind, or of a sweep on other data or with another recipe; a grid may grow.

    Raises:
      BadInput: names what differs.
    """
    for name in ("summary.json", "splits.json"):
        if (workdir / name).exists():
            raise BadInput(f"--workdir={workdir} holds a comparison ({name}): name a new one")
    before = read_or_set_aside(workdir / RECORD)
    if before is None:
        return
    if "merged" in before:
        raise BadInput(f"--workdir={workdir} holds a sweep merged from {', '.join(before['merged'])}: name a new one")
    if changed := differing(before, declared, grid=False):
        raise BadInput(f"--workdir={workdir} holds another sweep ({'; '.join(changed)}): name a new one")
    gone = [point for point in before["points"] if point not in declared["points"]]
    if gone:
        print(f"{len(gone)} points of an earlier grid are left aside: {', '.join(gone[:3])}", flush=True)


def write_record(workdir: Path, declared: Mapping[str, Any]) -> dict[str, Any]:
    """Writes `sweep.json` from the cells of the workdir."""
    with one_at_a_time(workdir):
        record = sweep_record(declared, [workdir])
        write_json(workdir / RECORD, record)
    return record


def write_report(workdir: Path) -> dict[str, Any]:
    """Draws the figures and writes `report.html` from `sweep.json`, and returns that."""
    with one_at_a_time(workdir):
        record = read_json(workdir / RECORD)
        draw_sweep(record, workdir)
        write_text(workdir / "report.html", sweep_page(record))
    return record
