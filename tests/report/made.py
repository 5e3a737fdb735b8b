"""What a comparison writes when it ends, made for the tests of the report."""

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from resjax.records import (
    ClassDifference,
    ClassDifferences,
    Finding,
    PooledReliability,
    ReliabilityBin,
    Summary,
    read_record,
    write_record,
)


def change(workdir: Path, **changes: object) -> None:
    """Changes parts of the run's summary."""
    summary = read_record(workdir / "summary.json", Summary)
    write_record(workdir / "summary.json", replace(summary, **changes))


def explain(workdir: Path, classes: Sequence[str]) -> None:
    """Writes the parts of the summary that come when a comparison ends, of the first two networks."""
    baseline, candidate, *_ = read_record(workdir / "summary.json", Summary).architectures
    difference = ClassDifference(
        images=20,
        baseline=0.5,
        baseline_interval=(0.3, 0.7),
        candidate=0.8,
        candidate_interval=(0.6, 0.9),
        difference=0.3,
        interval=(-0.01, 0.6),
        interval_over="made",
        by_seed=[0.3],
    )
    reliability = PooledReliability(
        expected_calibration_error=0.07,
        expected_by_chance=0.03,
        confidence=0.7,
        accuracy=0.6,
        bins=[ReliabilityBin(images=30, confidence=x, accuracy=x - 0.1) for x in (0.4, 0.9)],
        seeds=4,
    )
    change(
        workdir,
        diagnosis=[
            Finding(kind="made", network=candidate, sentence="A made sentence.", evidence={}, rule="a made rule")
        ],
        class_differences=[
            ClassDifferences(baseline=baseline, candidate=candidate, classes=dict.fromkeys(classes, difference))
        ],
        calibration={baseline: reliability, candidate: reliability},
    )
