"""What a reproduction leaves when its comparisons have ended: record, page, figure, and the tables on the terminal."""

from collections.abc import Sequence
from pathlib import Path

from resjax.records import ReproductionRecord, write_record, write_text
from resjax.report.figures.style import save
from resjax.report.page.reproduction_page import reproduction_figures, reproduction_page
from resjax.report.reproduction_text import sentences, tables
from resjax.report.tables import in_columns
from resjax.run.settings import Settings
from resjax.terminal import duration

from .recipes import Reproduction
from .side_by_side import reproduction_record


def write_reproduction(
    target: str,
    reproduction: Reproduction,
    asked: Settings,
    comparisons: Sequence[Path],
    departures: Sequence[str],
    *,
    quick: bool,
) -> ReproductionRecord:
    """Writes `reproduction.json`, `reproduction.html` and the figure of depth into the workdir; returns the record."""
    record = reproduction_record(
        target, reproduction, comparisons, asked.architectures, departures, quick=quick, flags=asked.flags
    )
    write_record(asked.workdir / "reproduction.json", record)
    save(reproduction_figures(record), asked.workdir / "figures")
    write_text(asked.workdir / "reproduction.html", reproduction_page(record))
    print("\n" + reproduction_text(record))
    print(f"\nreproduction.json, reproduction.html and figures are in {asked.workdir}")
    return record


def reproduction_text(record: ReproductionRecord) -> str:
    """The record for the terminal: tables, sentences, notes, and the departures from the published experiment."""
    lines = [in_columns(table) + "\n" for table in tables(record)]
    lines += sentences(record)
    lines += [f"NOTE: {note}" for note in record.notes]
    lines += ["", f"This run departs from the published experiment in {len(record.departures)} ways:"]
    lines += [f"- {departure}" for departure in record.departures]
    lines.append(f"training and evaluation of all replicas: {duration(record.replica_seconds)}")
    return "\n".join(lines)
