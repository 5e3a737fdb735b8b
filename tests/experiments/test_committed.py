"""Every committed record of a study or benchmark is read by its type, and written again to the same bytes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.benchmarks.harness.rows import ConvolutionRow, EndToEndRow, PipelineRow, ReplicasRow, TrainStepRow
from experiments.benchmarks.harness.tables import convolution_markdown, train_step_markdown
from experiments.studies.calibration_tables import read_calibration, write_calibration
from experiments.studies.near_duplicate_kinds import KindsStudy
from experiments.studies.near_duplicates import Study
from experiments.studies.references import References
from experiments.studies.self_comparison import SelfComparison
from resjax.evaluation.run_evaluation import explained
from resjax.records import read_lines, read_record, write_lines, write_record
from resjax.records.run_records import read_run_records

RESULTS = Path(__file__).parents[2] / "experiments" / "results"


def lines_of(kind: type) -> Callable[[Path, Path], None]:
    return lambda path, again: write_lines(again, read_lines(path, kind))


def record_of(kind: type) -> Callable[[Path, Path], None]:
    return lambda path, again: write_record(again, read_record(path, kind))


COPIES: dict[str, Callable[[Path, Path], None]] = {
    "benchmark/cpu_train_step.jsonl": lines_of(TrainStepRow),
    "benchmark/cpu_convolutions.jsonl": lines_of(ConvolutionRow),
    "benchmark/cpu_pipeline.jsonl": lines_of(PipelineRow),
    "benchmark/cpu_replicas.jsonl": lines_of(ReplicasRow),
    "benchmark/cpu_end_to_end.jsonl": lines_of(EndToEndRow),
    "calibration/cells.jsonl": lambda path, again: write_calibration(again, read_calibration(path)),
    "calibration/references.json": record_of(References),
    "calibration/self_comparisons.jsonl": lines_of(SelfComparison),
    "near_copies/cifar10_jpeg.json": record_of(Study),
    "near_copies/five_dishes.json": record_of(Study),
    "near_copies/kinds.json": record_of(KindsStudy),
    "near_copies/kinds_cifar10_jpeg.json": record_of(KindsStudy),
}


def test_the_page_of_speeds_has_the_tables_of_its_records():
    page = (RESULTS / "benchmark" / "README.md").read_text()
    assert train_step_markdown(read_lines(RESULTS / "benchmark" / "cpu_train_step.jsonl", TrainStepRow)) in page
    assert convolution_markdown(read_lines(RESULTS / "benchmark" / "cpu_convolutions.jsonl", ConvolutionRow)) in page


@pytest.mark.parametrize("name", COPIES)
def test_a_committed_record_is_read_and_written_again_to_the_same_bytes(name, tmp_path):
    again = tmp_path / "again"
    COPIES[name](RESULTS / name, again)
    assert again.read_bytes() == (RESULTS / name).read_bytes()


def test_no_committed_record_is_left_out():
    folders = {name.partition("/")[0] for name in COPIES}
    found = {path for folder in folders for path in (RESULTS / folder).glob("*.json*")}
    assert {str(path.relative_to(RESULTS)) for path in found} == set(COPIES)


def test_a_run_without_predictions_keeps_what_was_found_with_them():
    records = read_run_records(RESULTS / "quickstart")
    assert records.summary.diagnosis and explained(records).summary == records.summary
