"""From results of replicas to arms and differences."""

import pytest

from resjax.evaluation.comparison.summary import compare_arms, summarize_arm

CLASSES = ["bakso", "soto_ayam"]


def result(accuracy, confusion, *, last=None, test=None, status="done", **more):
    line = {"val_accuracy": accuracy, "train_accuracy": 0.9}
    return {
        "status": status,
        "best": line,
        "last": line | {"val_accuracy": accuracy if last is None else last},
        "evaluated_on": "val" if test is None else "test",
        "accuracy": accuracy if test is None else test,
        "best_updates": 2,
        "confusion_matrix": confusion,
        **more,
    }


def test_an_arm_adds_up_confusion_and_leaves_out_what_did_not_finish():
    arm = summarize_arm(
        {
            0: result(0.5, [[2, 2], [2, 2]], last=0.25),
            1: result(0.75, [[4, 0], [2, 2]]),
            2: result(0.0, None, status="diverged"),
            3: None,
        },
        CLASSES,
    )
    assert arm["status"] == {"0": "done", "1": "done", "2": "diverged", "3": "pending"}
    assert arm["best_val_accuracy"]["values"] == [0.5, 0.75]
    assert arm["final_val_accuracy"]["mean"] == 0.5
    assert arm["confusion_matrix"] == [[6, 2], [4, 4]]
    assert arm["per_class"]["bakso"]["recall"] == 0.75
    assert "test_accuracy" not in arm


def test_differences_are_candidate_minus_baseline_over_shared_finished_seeds():
    matrix = [[1, 0], [0, 1]]
    arms = {
        "plain34": {0: result(0.5, matrix), 1: result(0.6, matrix), 2: None},
        "resnet34": {0: result(0.7, matrix), 1: result(0.5, matrix), 2: result(0.9, matrix)},
    }
    (pair,) = compare_arms(arms)
    assert (pair["baseline"], pair["candidate"], pair["seeds"]) == ("plain34", "resnet34", [0, 1])
    assert pair["differences"] == pytest.approx([0.2, -0.1])
    assert pair["metric"] == "best_val_accuracy"


def test_differences_are_on_the_test_set_where_there_is_one():
    matrix = [[1, 0], [0, 1]]
    arms = {"a": {0: result(0.5, matrix, test=0.4)}, "b": {0: result(0.5, matrix, test=0.6)}}
    (pair,) = compare_arms(arms)
    assert pair["metric"] == "test_accuracy" and pair["mean"] == pytest.approx(0.2)


def test_no_shared_seed_gives_no_mean():
    (pair,) = compare_arms({"a": {0: None}, "b": {0: None}})
    assert pair["mean"] is None and pair["differences"] == []


def test_leaked_and_clean_parts_are_described_where_there_are_any():
    matrix = [[1, 0], [0, 1]]
    leaked, clean = {"images": 4, "correct": 3, "accuracy": 0.75}, {"images": 0, "correct": 0, "accuracy": None}
    arm = summarize_arm({0: result(0.5, matrix, leaked=leaked, clean=clean), 1: None}, CLASSES)
    assert arm["leaked_accuracy"]["values"] == [0.75] and "clean_accuracy" not in arm
    assert "leaked_accuracy" not in summarize_arm({0: result(0.5, matrix)}, CLASSES)
