"""`looks.json` of a workdir: the verdicts that were shown there, read with care and added to."""

from collections.abc import Iterable
from pathlib import Path

import resjax
from resjax.errors import DamagedRecord, RecordError
from resjax.evaluation.comparison.looks import looks_of, remembered
from resjax.records import Comparison, Look, Looks, Summary, read_record, write_record
from resjax.run.workdir.sound_records import read_or_quarantine

NAME = "looks.json"


def looks_in(workdir: Path) -> Looks:
    """The verdicts that were shown in a workdir.

    One that a summary shows was shown: an older resjax kept no other record, and a run can be killed after its summary.
    Without a sound `looks.json` beside finished replicas more may have been shown.
    """
    path = workdir / NAME
    try:
        found = read_record(path, Looks) if path.exists() else None
    except DamagedRecord:
        found = None
    if found is None:
        found = Looks(complete=not any(workdir.glob("runs/*/seed*/result.json")), looks=[])
    try:
        return remembered(found, (), read_record(workdir / "summary.json", Summary))
    except (FileNotFoundError, RecordError):
        return found


def begin_looks(workdir: Path) -> Looks:
    """As `looks_in`, and writes it. A damaged record is quarantined, so nobody else may be writing there."""
    found = looks_in(workdir)
    read_or_quarantine(workdir / NAME, Looks)
    write_record(workdir / NAME, found)
    return found


def add_looks(workdir: Path, before: Looks, new: Iterable[Look]) -> Looks:
    """Writes the looks of a workdir with new ones after those before, and returns them."""
    found = remembered(before, new)
    if found != before:
        write_record(workdir / NAME, found)
    return found


def looks_shown(comparisons: Iterable[Comparison], planned: Iterable[int], recipe_version: int) -> list[Look]:
    """The looks at comparisons that this resjax shows."""
    return looks_of(comparisons, tuple(planned), recipe_version, resjax.__version__)
