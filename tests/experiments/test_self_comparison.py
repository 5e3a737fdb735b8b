"""A network paired with itself: from the files of a workdir to a fraction of verdicts."""

from pathlib import Path

import numpy as np
import pytest

from experiments.studies.self_comparison import SelfComparison, compare_with_itself, self_comparison_text
from resjax.errors import BadInput
from resjax.evaluation.metrics import confusion_matrix, per_class_scores
from resjax.records import (
    Done,
    MetricsLine,
    ReplicaTiming,
    SplitImage,
    SplitRecord,
    read_record,
    write_npz,
    write_record,
)

LINE = MetricsLine(
    epoch=1,
    train_loss=1.0,
    train_accuracy=0.5,
    val_loss=1.0,
    val_accuracy=0.5,
    learning_rate=0.1,
    is_best=True,
    seconds=1.0,
    images_per_second=1.0,
)


def write_replicas(workdir: Path, seeds: int, images: int = 60, shift: float = 0.0) -> None:
    """A split in pairs of duplicates, and replicas that differ a little in what they have right."""
    rng = np.random.default_rng(0)
    rows = [
        SplitImage(id=f"{image}", label="b", group=f"g{image // 2}", side="val", content=f"{image}")
        for image in range(images)
    ]
    rows.append(SplitImage(id="t", label="b", group="t", side="train", content="t"))
    split = SplitRecord(
        method="grouped", label="grouped", seed=0, fold=None, train_fraction=1.0, fractions={"val": 0.5}, images=rows
    )
    write_record(workdir / "split.json", split)
    ease = rng.random(images)
    for seed in range(seeds):
        folder = workdir / "runs" / "resnet34" / f"seed{seed}"
        folder.mkdir(parents=True)
        right = rng.random(images) < np.clip(ease + shift * rng.normal(), 0, 1)
        logits, labels = np.stack([~right, right], 1).astype(np.float32), np.ones(images, int)
        write_npz(folder / "predictions.npz", label=labels, side=np.full(images, "val"), logits=logits)
        confusion = confusion_matrix(logits.argmax(1), labels, 2)
        result = Done(
            architecture="resnet34",
            seed=seed,
            status="done",
            parameters=1,
            best=LINE,
            last=LINE,
            best_updates=1,
            trained_as=["sequential"],
            evaluated_on="val",
            loss=1.0,
            accuracy=float(right.mean()),
            confusion_matrix=confusion.tolist(),
            per_class=per_class_scores(confusion, ("a", "b")),
            last_three_val_accuracy=0.5,
            best_optimism=None,
            timing=ReplicaTiming(seconds=1.0, training_seconds=1.0, device="cpu"),
        )
        write_record(folder / "result.json", result)


def test_a_network_is_rarely_better_than_itself(tmp_path):
    write_replicas(tmp_path, 12, shift=0.1)
    record = compare_with_itself(tmp_path, "resnet34", 100)
    assert (record.seeds, record.images, record.groups) == (6, 60, 30)
    assert record.verdicts <= 0.1 and record.covered >= 0.85


def test_its_page_says_what_the_committed_record_says():
    folder = Path(__file__).parents[2] / "experiments" / "results" / "calibration"
    record = read_record(folder / "resnet34_itself.json", SelfComparison)
    assert self_comparison_text(record) in (folder / "README.md").read_text()


def test_too_few_seeds_are_refused(tmp_path):
    write_replicas(tmp_path, 3)
    with pytest.raises(BadInput, match="--workdir=.*3 finished seeds of resnet34"):
        compare_with_itself(tmp_path, "resnet34", 10)
