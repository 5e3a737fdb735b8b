"""`looks.json` of a workdir: the verdicts that were shown there, read with care and added to."""

from collections.abc import Iterable
from pathlib import Path

from resjax.errors import DamagedRecord, RecordError
from resjax.evaluation.comparison.looks import remembered
from resjax.records import Look, Looks, Summary, read_record, write_record
from resjax.run.workdir.lock import one_at_a_time

NAME = "looks.json"


def looks_in(workdir: Path) -> Looks:
    """The verdicts that were shown in a workdir.

    One that a summary shows was shown: an older resjax kept no other record, and a run can be killed after its summary.
    """
    found = _recorded(workdir)
    try:
        return remembered(found, (), read_record(workdir / "summary.json", Summary))
    except (FileNotFoundError, RecordError):
        return found


def add_looks(workdir: Path, new: Iterable[Look], before: Looks | None = None) -> Looks:
    """Adds looks to those of a workdir, and returns all.

    Args:
      before: the looks of the workdir; by default those that its record has now.
    """
    with one_at_a_time(workdir):
        found = remembered(_recorded(workdir) if before is None else before, new)
        write_record(workdir / NAME, found)
    return found


def _recorded(workdir: Path) -> Looks:
    """What `looks.json` says. Without a sound one beside finished replicas more may have been shown."""
    path = workdir / NAME
    try:
        return read_record(path, Looks)
    except (FileNotFoundError, DamagedRecord):
        # Of a comparison, or of the cells of a sweep.
        ended = (workdir.glob(f"{place}runs/*/seed*/result.json") for place in ("", "cells/*/"))
        return Looks(complete=not any(map(any, ended)), looks=[])
