"""What a comparison writes when it ends: its diagnosis into the summary, the gallery's pictures, and the report."""

from pathlib import Path

from resjax.evaluation.explain import explained
from resjax.run.gallery_record import gallery_record
from resjax.report.page.run_page import report_page
from resjax.report.records import write_json, write_text
from resjax.records.run_records import read_run_records
from resjax.types import Dataset


def write_run_report(workdir: Path, dataset: Dataset) -> dict:
    """Writes `gallery.json` and `report.html`, and returns the summary, which has the diagnosis from now on."""
    write_json(workdir / "gallery.json", gallery_record(read_run_records(workdir), dataset))
    records = explained(read_run_records(workdir))
    write_json(workdir / "summary.json", records.summary)
    write_text(workdir / "report.html", report_page(records))
    return records.summary
