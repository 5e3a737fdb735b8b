"""What a reproduction leaves when its comparisons have ended: record, page, figure, and the tables on the terminal."""

from collections.abc import Sequence
from pathlib import Path

from resjax.records import ReproductionRecord, write_record, write_text
from resjax.report.figures.depth_figure import depth_figure
from resjax.report.figures.style import save
from resjax.report.page.reproduction_page import reproduction_page
from resjax.report.page.reproduction_tables import sentences, tables, text
from resjax.run.progress import duration
from resjax.run.settings import Settings

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
    write_text(asked.workdir / "reproduction.html", reproduction_page(record))
    save(
        (
            (f"depth{index or ''}", depth_figure(family, "\n".join(record.notes)))
            for index, family in enumerate(record.depth or [])
            if family.seeds
        ),
        asked.workdir / "figures",
    )
    print("\n" + reproduction_text(record))
    print(f"\nreproduction.json, reproduction.html and figures are in {asked.workdir}")
    return record


def reproduction_text(record: ReproductionRecord) -> str:
    """The record for the terminal: tables, sentences, notes, and the departures from the published experiment."""
    lines = [text(table) + "\n" for table in tables(record)]
    lines += sentences(record)
    lines += [f"NOTE: {note}" for note in record.notes]
    lines += ["", f"This run departs from the published experiment in {len(record.departures)} ways:"]
    lines += [f"- {departure}" for departure in record.departures]
    lines.append(f"training and evaluation of all replicas: {duration(record.replica_seconds)}")
    return "\n".join(lines)
