"""The report of a comparison: the diagnosis in the summary, the gallery's pictures, page and tables. Needs no jax."""

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

import resjax
from resjax.data.dataset import Dataset
from resjax.errors import RecordError
from resjax.evaluation.comparison.looks import looks_of_summary
from resjax.evaluation.merging import merged, planned_together
from resjax.evaluation.run_evaluation import explained
from resjax.records import Gallery, Summary, write_record, write_text
from resjax.records.run_records import RunRecords, read_run_records
from resjax.report.page.gallery import galleries, pictures_of
from resjax.report.page.run_page import report_page
from resjax.report.paper_tables import epochs_csv, epochs_csv_of_splits, paper_latex, paper_markdown
from resjax.run.workdir.lock import one_at_a_time
from resjax.run.workdir.looks import add_looks, looks_in


def write_run_report(workdir: Path, dataset: Dataset) -> Summary:
    """Writes `gallery.json`, the summary with the diagnosis, `report.html` and `results.*`; returns the summary."""
    # No report that was begun with older records may come after it.
    with one_at_a_time(workdir):
        _write_gallery(workdir, dataset)
        records = explained(read_run_records(workdir))
        write_record(workdir / "summary.json", records.summary)
        write_text(workdir / "report.html", report_page(records))
        _write_results(workdir / "results", records)
    return records.summary


def write_results(workdir: Path) -> None:
    """Writes `results.csv`, `results.tex` and `results.md` from the records as they are now."""
    with one_at_a_time(workdir):
        _write_results(workdir / "results", read_run_records(workdir))


def write_results_of_splits(workdir: Path, names: Iterable[str]) -> None:
    """Writes `results.csv` of several splits together from the records in their folders, which have these names."""
    splits = {name: read_run_records(workdir / name) for name in names}
    write_text(workdir / "results.csv", epochs_csv_of_splits(splits))


def _write_results(path: Path, records: RunRecords) -> None:
    """Writes the files of this path with the suffixes .csv, .tex and .md."""
    write_text(path.with_suffix(".csv"), epochs_csv(records))
    write_text(path.with_suffix(".tex"), paper_latex(records.summary))
    write_text(path.with_suffix(".md"), paper_markdown(records.summary))


def write_gallery(workdir: Path, dataset: Dataset) -> None:
    """Writes `gallery.json`, the pictures that the report will show."""
    with one_at_a_time(workdir):
        _write_gallery(workdir, dataset)


def _write_gallery(workdir: Path, dataset: Dataset) -> None:
    write_record(workdir / "gallery.json", gallery_record(read_run_records(workdir), dataset))


def write_report(workdirs: list[Path], output: Path | None = None) -> Path:
    """Writes the report of a workdir, or of several together, and returns its path. A workdir may be in training.

    Unless `output` names another place for the page, `results.*` is written beside it. A verdict on several together is
    remembered in `looks.json` of each.

    Raises:
      RecordError: if there are no records, they cannot be read, or they are not of one recipe.
    """
    path = output or workdirs[0] / ("report.html" if len(workdirs) == 1 else "merged_report.html")
    with page_of(path, workdirs):
        records = [read_run_records(workdir) for workdir in workdirs]
        if len(records) == 1:
            write_page(path, report_page(explained(records[0])))
            if output is None:
                _write_results(path.with_name("results"), records[0])
            return path
        shown = [looks_in(workdir) for workdir in workdirs]
        together = merged(workdirs, records, shown)
        write_page(path, report_page(explained(together)))
        if output is None:
            _write_results(path.with_name("merged_results"), together)
    planned = planned_together([each.summary for each in records], together.results())
    new = looks_of_summary(together.summary, planned, resjax.__version__)
    for workdir, before in zip(workdirs, shown, strict=True):
        try:
            add_looks(workdir, new, before)
        except OSError as error:
            print(f"WARNING: {workdir / 'looks.json'}: {error.strerror}: the verdict is not remembered there")
    return path


@contextmanager
def page_of(path: Path, workdirs: Sequence[Path]) -> Iterator[None]:
    """For making a page of the records of workdirs: nothing is renamed in these meanwhile but the page, at its end."""
    target = path.parent.resolve()
    # Always in the same order, so that two that need the same folders do not wait for each other.
    folders = sorted({workdir.resolve() for workdir in workdirs})
    with ExitStack() as stack:
        for folder in folders:
            stack.enter_context(one_at_a_time(folder, shared=folder != target))
        yield


def write_page(path: Path, page: str) -> None:
    """Writes a page; raises `RecordError` if it cannot be written."""
    try:
        write_text(path, page)
    except OSError as error:
        raise RecordError(f"--output={path}: {error.strerror}, expected a file that can be written") from error


LONGEST_SIDE = 96
"""Pixels. A picture is about 4 kB as a JPEG data URI; there are at most 108 (36 for each of 3 pairs of networks)."""


def gallery_record(records: RunRecords, dataset: Dataset) -> Gallery:
    """The thumbnails of the pictures that the report shows; images smaller than a thumbnail keep their size."""
    place = {name: image for image, name in enumerate(dataset.ids)}
    chosen = pictures_of(galleries(records))
    shown = [name for name in chosen if name in place]
    return Gallery(thumbnails={name: _data_uri(dataset.images[np.array([place[name]])][0]) for name in shown})


def _data_uri(pixels: np.ndarray) -> str:
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
