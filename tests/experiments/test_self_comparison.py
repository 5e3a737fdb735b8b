"""An arm paired with itself: from a workdir's files to a share of verdicts."""

from pathlib import Path

import numpy as np
import pytest

from experiments.studies.self_comparison import compare_with_itself, self_comparison_text
from resjax.errors import BadInput
from resjax.report.records import read_json, write_json, write_npz


def write_replicas(workdir, seeds, images=60, shift=0.0):
    rng = np.random.default_rng(0)
    rows = [{"group": f"g{image // 2}", "side": "val"} for image in range(images)]
    write_json(workdir / "split.json", {"schema_version": 1, "images": [*rows, {"group": "t", "side": "train"}]})
    ease = rng.random(images)
    for seed in range(seeds):
        folder = workdir / "runs" / "resnet34" / f"seed{seed}"
        folder.mkdir(parents=True)
        right = rng.random(images) < np.clip(ease + shift * rng.normal(), 0, 1)
        logits = np.stack([~right, right], 1).astype(np.float32)
        write_npz(folder / "predictions.npz", label=np.ones(images, int), side=np.full(images, "val"), logits=logits)
        write_json(folder / "result.json", {"schema_version": 1, "status": "done", "evaluated_on": "val"})


def test_an_arm_is_rarely_better_than_itself(tmp_path):
    write_replicas(tmp_path, 12, shift=0.1)
    record = compare_with_itself(tmp_path, "resnet34", 100)
    assert (record["seeds"], record["images"], record["groups"]) == (6, 60, 30)
    assert record["verdicts"] <= 0.1 and record["covered"] >= 0.85


def test_its_page_says_what_the_committed_record_says():
    folder = Path(__file__).parents[1] / "experiments" / "results" / "calibration"
    record = read_json(folder / "resnet34_itself.json")
    assert self_comparison_text(record) in (folder / "README.md").read_text()


def test_too_few_seeds_are_refused(tmp_path):
    write_replicas(tmp_path, 3)
    with pytest.raises(BadInput, match="3 finished seeds of resnet34; four or more"):
        compare_with_itself(tmp_path, "resnet34", 10)
