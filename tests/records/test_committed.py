"""Every committed record is read by its type, and written again to the same bytes."""

from pathlib import Path

import pytest

from experiments.studies.committed_results import KINDS
from resjax.records import MetricsLine, read_lines, read_record, read_result, write_lines, write_record

RESULTS = Path(__file__).parents[2] / "experiments" / "results"
STUDIES = ("benchmark", "calibration", "checks", "near_copies")
"""Folders of measurements with shapes of their own."""
FILES = sorted(
    path
    for path in RESULTS.rglob("*")
    if path.suffix in (".json", ".jsonl") and path.relative_to(RESULTS).parts[0] not in STUDIES
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(RESULTS)))
def test_a_committed_record_is_read_and_written_again_to_the_same_bytes(path, tmp_path):
    again = tmp_path / path.name
    if path.name == "metrics.jsonl":
        write_lines(again, read_lines(path, MetricsLine))
    elif path.name == "result.json":
        write_record(again, read_result(path))
    else:
        write_record(again, read_record(path, KINDS[path.name]))
    assert again.read_bytes() == path.read_bytes()
