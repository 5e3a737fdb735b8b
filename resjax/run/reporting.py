"""What a comparison writes when it ends: its diagnosis into the summary, the gallery's pictures, and the report."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from resjax.data.dataset import Dataset
from resjax.errors import RecordError
from resjax.evaluation.explain import explained
from resjax.evaluation.merging import merged
from resjax.records.run_records import RunRecords, read_run_records
from resjax.report.page.gallery import galleries, pictures_of
from resjax.report.page.run_page import report_page
from resjax.report.records import SCHEMA_VERSION, write_json, write_text


def write_run_report(workdir: Path, dataset: Dataset) -> dict:
    """Writes `gallery.json` and `report.html`, and returns the summary, which has the diagnosis from now on."""
    write_json(workdir / "gallery.json", gallery_record(read_run_records(workdir), dataset))
    records = explained(read_run_records(workdir))
    write_json(workdir / "summary.json", records.summary)
    write_text(workdir / "report.html", report_page(records))
    return records.summary


def write_report(workdirs: list[Path], output: Path | None = None) -> Path:
    """Writes the report of a workdir, or of several together, and returns its path.

    Raises:
      RecordError: where there are no records, they cannot be read, or they are not of one recipe.
    """
    records = [read_run_records(workdir) for workdir in workdirs]
    together = records[0] if len(records) == 1 else merged(workdirs, records)
    path = output or workdirs[0] / ("report.html" if len(records) == 1 else "merged_report.html")
    write_page(path, report_page(explained(together)))
    return path


def write_page(path: Path, page: str) -> None:
    """Writes a page; raises `RecordError` where it cannot be written."""
    try:
        write_text(path, page)
    except OSError as error:
        raise RecordError(f"--output={path}: {error.strerror}; a file that can be written is accepted") from error


LONGEST_SIDE = 96
"""Pixels; as a JPEG data URI about 4 kB a picture, at most 108 pictures (36 for each of 3 pairs of arms)."""


def gallery_record(records: RunRecords, dataset: Dataset) -> dict:
    """The thumbnails by the pictures' ids, as JPEG data URIs; images smaller than a thumbnail keep their size."""
    place = {name: image for image, name in enumerate(dataset.ids)}
    chosen = pictures_of(galleries(records))
    thumbnails = {name: _data_uri(dataset.images[np.array([place[name]])][0]) for name in chosen if name in place}
    return {"schema_version": SCHEMA_VERSION, "thumbnails": thumbnails}


def _data_uri(pixels: np.ndarray) -> str:
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
