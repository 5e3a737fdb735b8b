"""The files of a sweep's workdir: checked before training, written by each of its shards."""

from pathlib import Path

from msgspec import UNSET

from resjax.errors import BadInput
from resjax.evaluation.comparison.looks import Shown
from resjax.records import Declaration, Looks, Sweep, read_record, write_record, write_text
from resjax.report.figures.sweep_figures import draw_sweep
from resjax.report.page.sweep_page import sweep_page
from resjax.run.workdir.lock import one_at_a_time
from resjax.run.workdir.looks import looks_in
from resjax.run.workdir.sound_records import read_or_quarantine
from resjax.sweep.declaration import differences
from resjax.sweep.record import sweep_record

RECORD = "sweep.json"


def require_same_sweep(workdir: Path, declared: Declaration) -> None:
    """Checks that a workdir is new, or holds this sweep with the same or a smaller grid.

    Raises:
      BadInput: for a workdir of another kind, or of a sweep on other data or with another recipe; it names what
        differs.
    """
    for name in ("summary.json", "splits.json"):
        if (workdir / name).exists():
            raise BadInput(f"--workdir={workdir} holds a comparison ({name}); expected a new folder")
    read_or_quarantine(workdir / "looks.json", Looks)
    before = read_or_quarantine(workdir / RECORD, Sweep)
    if before is None:
        return
    if before.merged is not UNSET:
        merged = ", ".join(before.merged)
        raise BadInput(f"--workdir={workdir} holds a sweep merged from {merged}; expected a new folder")
    if changed := differences(before, declared, grid=False):
        raise BadInput(f"--workdir={workdir} holds another sweep ({'; '.join(changed)}); expected a new folder")
    gone = [point for point in before.points if point not in declared.points]
    if gone:
        print(f"{len(gone)} points of an earlier grid are left out of the record: {', '.join(gone[:3])}", flush=True)


def write_sweep(workdir: Path, declared: Declaration) -> Sweep:
    """Writes `sweep.json` from the cells of the workdir."""
    with one_at_a_time(workdir):
        record = sweep_record(declared, [workdir], Shown([looks_in(workdir)]))
        write_record(workdir / RECORD, record)
    return record


def write_report(workdir: Path) -> Sweep:
    """Draws the figures and writes `report.html` from `sweep.json`, and returns that record."""
    with one_at_a_time(workdir):
        record = read_record(workdir / RECORD, Sweep)
        draw_sweep(record, workdir)
        write_text(workdir / "report.html", sweep_page(record))
    return record
