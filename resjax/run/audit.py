"""The audit of a set of images: copies and near-copies, conflicting labels, odd files, expected leaks."""

import base64
import io
import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from PIL import Image

from resjax.data.dataset import ValueRanges
from resjax.data.decoding import THUMBNAIL_SIZE
from resjax.data.findings import KINDS, find
from resjax.data.one_image import decode_image
from resjax.data.sources.catalogue import Catalogue
from resjax.errors import BadInput
from resjax.records import DatasetRecord, Listed, write_record, write_text
from resjax.report.page.audit_page import audit_page
from resjax.run.settings import SourceSettings
from resjax.run.setup.dataset import dataset_record, load_dataset, require_outside_images
from resjax.run.workdir.ownership import require_own
from resjax.terminal import duration

SHOWN_SIZE = 96
MOST_SHOWN = 700
"""Pictures on the page, at about 5 kB each, so that the page stays below 5 MB."""
MOST_SHOWN_OF_GROUP = 24


def audit(source: SourceSettings, val_fraction: float, workdir: Path) -> DatasetRecord:
    """Writes `dataset.json` and `audit.html` into the workdir and returns the record.

    Raises:
      BadInput: if the data cannot be used, or the workdir cannot be written or has somebody else's files of these
        names.
    """
    require_outside_images(source, workdir)
    require_own(workdir, ("dataset.json", "audit.html"), ("dataset.json",))
    started = time.perf_counter()
    catalogue, dataset = load_dataset(source, THUMBNAIL_SIZE)
    read = time.perf_counter()
    findings = None
    if dataset.thumbnails is not None:
        findings = find(catalogue, {excluded.id for excluded in dataset.exclusions})
    record = dataset_record(dataset, val_fraction=val_fraction, findings=findings)
    page = audit_page(record, encoded_thumbnails(catalogue, record, dataset.ranges), KINDS)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        write_record(workdir / "dataset.json", record)
        write_text(workdir / "audit.html", page)
    except OSError as error:
        raise BadInput(f"--workdir={workdir}: {error.strerror}, expected a folder that can be written") from error
    print(audit_text(record))
    now = time.perf_counter()
    print(
        f"\ndataset.json and audit.html are in {workdir} "
        f"({duration(read - started)} to read and compare, {duration(now - read)} to describe)"
    )
    return record


def encoded_thumbnails(catalogue: Catalogue, record: DatasetRecord, ranges: ValueRanges) -> dict[str, str]:
    """JPEG data URIs of the pictures in groups, by content: at most `MOST_SHOWN`, from the first group on."""
    number = {name: image for image, name in enumerate(catalogue.ids)}
    encoded: dict[str, str] = {}
    for group in record.groups:
        files = dict(zip(group.contents, group.ids, strict=True))
        for content, name in islice(files.items(), min(MOST_SHOWN_OF_GROUP, MOST_SHOWN - len(encoded))):
            file = io.BytesIO()
            pixels = decode_image(catalogue.read(number[name]), SHOWN_SIZE, ranges)
            Image.fromarray(pixels).save(file, "JPEG", quality=80)
            encoded[content] = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
    return encoded


def audit_text(record: DatasetRecord) -> str:
    """The record as a table for the terminal."""
    leak, findings = record.expected_leak, record.findings or []
    near = sum(group.weakest_link is not None for group in record.groups)
    table = [
        ("usable images", record.images, ""),
        ("distinct contents", record.distinct_contents, "by their bytes"),
        ("distinct pictures", record.distinct_pictures, "near-copies counted once"),
        ("groups of copies", len(record.groups), f"{near} with near-copies"),
        ("label conflicts", len(record.conflicts), "groups with more than one label"),
        ("left out", len(record.excluded), _counted(record.excluded)),
        ("findings", len(findings), _counted(findings)),
        ("one colour", len(record.one_colour or []), "or nearly so"),
        (
            "expected leak",
            f"{100 * leak.pictures:.1f} %",
            f"of a random {100 * leak.val_fraction:g} % for validation; by exact copies {100 * leak.exact:.1f} %",
        ),
    ]
    if given := record.given_split:
        sides = ", ".join(f"{count:,} {side}" for side, count in given.images.items())
        table.append(("own split leaks", len(given.leaked), f"images of val and test with a copy elsewhere; {sides}"))
    values = [f"{value:,}" if isinstance(value, int) else value for _, value, _ in table]
    lines = ["", record.name]
    lines += [f"{name:<20}{value:>9}  {note}".rstrip() for (name, _, note), value in zip(table, values, strict=True)]
    width = max(5, *(len(name) for name in record.classes)) + 2
    lines += ["", f"{'class':<{width}}{'images':>9}{'share':>9}{'distinct pictures':>20}"]
    for name, count in record.classes.items():
        share = f"{100 * count / record.images:.1f} %"
        lines.append(f"{name:<{width}}{count:>9,}{share:>9}{record.pictures_of_class[name]:>20,}")
    lines += [f"conflict: {', '.join(ids)}" for ids in record.conflicts[:10]]
    if (more := len(record.conflicts) - 10) > 0:
        lines.append(f"and {more} more conflicts in dataset.json")
    return "\n".join(lines)


def _counted(entries: Sequence[Listed]) -> str:
    reasons = Counter(entry.reason for entry in entries)
    return ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
