"""Records are whole or absent, hold no NaN, and say which key is wrong."""

import json

import numpy as np
import pytest

from resjax.errors import DamagedRecord, RecordError
from resjax.report.records import (
    SCHEMA_VERSION,
    append_line,
    read_json,
    read_lines,
    validate_metrics_line,
    validate_result,
    validate_splits,
    validate_summary,
    write_json,
    write_lines,
    write_npz,
    write_text,
)
from resjax.report.storage import read_npz, set_aside
from tests.made_records import splits_record

CLASSES = ["bakso", "gado.gado"]
SCORES = {name: {"precision": 1, "recall": 0.5, "f1": 2 / 3, "support": 4} for name in CLASSES}
MATRIX = [[2, 2], [0, 4]]


def metrics_line():
    return {
        "epoch": 1,
        "train_loss": 1.5,
        "train_accuracy": 0.25,
        "val_loss": 1.25,
        "val_accuracy": 0.75,
        "learning_rate": 5e-4,
        "is_best": True,
        "seconds": 2,
        "images_per_second": 100.0,
    }


def result():
    return {
        "schema_version": SCHEMA_VERSION,
        "architecture": "resnet34",
        "seed": 3,
        "status": "done",
        "parameters": 21_287_237,
        "best": metrics_line(),
        "last": metrics_line(),
        "best_updates": 1,
        "evaluated_on": "val",
        "loss": 1.25,
        "accuracy": 0.75,
        "confusion_matrix": MATRIX,
        "per_class": SCORES,
        "diverged_at": None,
        "timing": {"seconds": 2.5},
    }


def diverged_result():
    missing = dict.fromkeys(["best", "loss", "accuracy", "confusion_matrix", "per_class"])
    last = metrics_line() | {"train_loss": None, "val_loss": None, "is_best": False}
    return result() | missing | {"status": "diverged", "last": last, "diverged_at": {"epoch": 1, "step": 7}}


def summary():
    described = {"values": [0.75], "mean": 0.75, "sd": None, "ci95": None}
    arm = {
        "parameters": 21_287_237,
        "forward_flops": 7_300_000_000,
        "seeds": [3, 4],
        "status": {"3": "done", "4": "pending"},
        "best_val_accuracy": described,
        "final_val_accuracy": described,
        "final_train_accuracy": described,
        "best_updates": {"3": 1},
        "confusion_matrix": MATRIX,
        "per_class": SCORES,
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "config": {"epochs": 1, "image_dir": None},
        "environment": {
            "jax": "0.10.2",
            "flax": "0.12.8",
            "platform": "cpu",
            "device_kind": "cpu",
            "device_count": 1,
            "git_revision": None,
        },
        "dataset": {
            "name": "synthetic",
            "fingerprint": "ab12",
            "classes": CLASSES,
            "images": 40,
            "splits": {"train": 32, "val": 8, "test": 0},
            "exact_copies": 2,
            "near_copies": None,
            "leaked_images": 0,
            "unreadable": [],
        },
        "architectures": {"plain34": arm, "resnet34": arm},
        "comparisons": [
            {
                "baseline": "plain34",
                "candidate": "resnet34",
                "metric": "best_val_accuracy",
                "seeds": [3],
                "differences": [0.0],
                "mean": 0.0,
                "ci95": None,
            }
        ],
    }


def test_numpy_values_and_class_names_survive_a_round_trip(tmp_path):
    write_json(
        tmp_path / "a.json", {"loss": np.float32(0.5), "matrix": np.eye(2, dtype=int), "ok": np.bool_(True), 3: "é"}
    )
    assert read_json(tmp_path / "a.json") == {"loss": 0.5, "matrix": [[1, 0], [0, 1]], "ok": True, "3": "é"}
    assert list(tmp_path.iterdir()) == [tmp_path / "a.json"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float32("nan"), np.array(np.inf)])
def test_what_is_not_finite_becomes_null(tmp_path, value):
    write_json(tmp_path / "a.json", {"deep": [{"loss": value}]})
    append_line(tmp_path / "a.jsonl", {"loss": value})
    assert read_json(tmp_path / "a.json") == {"deep": [{"loss": None}]}
    assert '"loss": null,' in (tmp_path / "a.jsonl").read_text()


def test_a_failure_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, {"epoch": 1})

    def full_disk(descriptor):
        raise OSError("no space left on device")

    with pytest.raises(TypeError):
        write_json(path, {"epoch": object()})
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr("os.fsync", full_disk)
        write_json(path, {"epoch": 2})
    assert read_json(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_record_is_named(tmp_path):
    write_text(tmp_path / "a.json", '{"epoch": ')
    with pytest.raises(ValueError, match=r"a\.json: not a readable JSON record"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ValueError, match=r"a\.json: not a readable JSON record"):
        read_json(tmp_path / "a.json")


def test_a_newer_record_is_refused(tmp_path):
    write_json(tmp_path / "a.json", {"schema_version": SCHEMA_VERSION + 1})
    with pytest.raises(ValueError, match=rf"a\.json: schema_version {SCHEMA_VERSION + 1}"):
        read_json(tmp_path / "a.json")


def test_a_torn_last_line_is_ignored_and_replaced_by_the_next(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_lines(path, [{"epoch": 1}])
    append_line(path, {"epoch": 2})
    with open(path, "a") as file:
        file.write('{"epoch": 3, "train_lo')
    assert read_lines(path) == [{"epoch": 1}, {"epoch": 2}]
    append_line(path, {"epoch": 3})
    assert read_lines(path) == [{"epoch": 1}, {"epoch": 2}, {"epoch": 3}]


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    write_text(tmp_path / "metrics.jsonl", '{"epoch": 1}\n{"ep\n{"epoch": 3}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2"):
        read_lines(tmp_path / "metrics.jsonl")


def test_no_lines_are_an_empty_list(tmp_path):
    write_lines(tmp_path / "metrics.jsonl", [])
    assert read_lines(tmp_path / "metrics.jsonl") == []


def test_arrays_survive_a_round_trip(tmp_path):
    write_npz(tmp_path / "a.npz", id=np.array(["x.jpg"]), logits=np.ones((1, 2), np.float32))
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["id"].tolist() == ["x.jpg"] and arrays["logits"].dtype == np.float32


def test_right_records_pass():
    validate_metrics_line(metrics_line())
    validate_result(result())
    validate_result(diverged_result())
    validate_summary(summary())
    validate_splits(splits_record())
    validate_splits(splits_record(folds=True, tested=True))


def test_added_keys_and_strange_class_names_pass():
    validate_metrics_line(metrics_line() | {"gradient_norm": 2.0})
    names = {"what?": SCORES["bakso"], "$a_b$": SCORES["bakso"]}
    validate_result(result() | {"per_class": names})


@pytest.mark.parametrize(
    ("validate", "record", "keys", "value", "message"),
    [
        (validate_metrics_line, metrics_line, ["epoch"], 1.5, r"metrics\.epoch: expected int, found 1\.5"),
        (validate_metrics_line, metrics_line, ["epoch"], True, r"metrics\.epoch: expected int, found true"),
        (validate_metrics_line, metrics_line, ["val_loss"], "1", r"metrics\.val_loss: expected number"),
        (validate_metrics_line, metrics_line, ["is_best"], 1, r"metrics\.is_best: expected bool"),
        (validate_result, result, ["status"], "finished", r"result\.status: expected diverged or done"),
        (validate_result, result, ["status"], "diverged", r"result\.diverged_at: expected an object, found null"),
        (validate_result, result, ["best"], None, r"result\.best: expected an object, found null"),
        (validate_result, result, ["diverged_at"], {"epoch": 1}, r"result\.diverged_at: expected null"),
        (validate_result, result, ["confusion_matrix"], [[1]], r"result\.confusion_matrix: expected 2 rows of 2"),
        (validate_result, result, ["confusion_matrix", 1, 0], 0.5, r"result\.confusion_matrix\[1\]\[0\]: expected int"),
        (validate_result, result, ["per_class", "gado.gado", "f1"], None, r"result\.per_class\.gado\.gado\.f1"),
        (validate_summary, summary, ["dataset", "classes"], "bakso", r"summary\.dataset\.classes: expected a list"),
        (
            validate_summary,
            summary,
            ["architectures", "resnet34", "status", "3"],
            ["done"],
            r"summary\.architectures\.resnet34\.status\.3: expected diverged or done or pending",
        ),
        (
            validate_summary,
            summary,
            ["architectures", "plain34", "confusion_matrix"],
            [[1, 2]],
            r"summary\.architectures\.plain34\.confusion_matrix: expected 2 rows",
        ),
        (validate_summary, summary, ["comparisons", 0, "mean"], "0", r"summary\.comparisons\[0\]\.mean"),
        (validate_summary, summary, ["dataset", "leaked"], {"val": 3}, r"summary\.dataset\.leaked\.test: missing"),
        (validate_result, result, ["leaked"], {"images": 3}, r"result\.leaked\.correct: missing"),
        (validate_splits, splits_record, ["splits", "random", "label"], None, r"splits\.splits\.random\.label"),
        (
            validate_splits,
            splits_record,
            ["cross_validated"],
            {"images": 3},
            r"cross_validated\.architectures: missing",
        ),
    ],
)
def test_a_wrong_value_is_named_by_its_path(validate, record, keys, value, message):
    record = json.loads(json.dumps(record()))
    parent = record
    for key in keys[:-1]:
        parent = parent[key]
    parent[keys[-1]] = value
    with pytest.raises(ValueError, match=message):
        validate(record)


@pytest.mark.parametrize("key", ["epoch", "train_loss", "images_per_second"])
def test_a_missing_key_is_named(key):
    record = metrics_line()
    del record[key]
    with pytest.raises(ValueError, match=rf"metrics\.{key}: missing"):
        validate_metrics_line(record)


def every_flip(data: bytes):
    for place in range(len(data)):
        yield data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :]


def test_no_flipped_bit_gives_another_record(tmp_path):
    path = tmp_path / "a.json"
    record = {"schema_version": 1, "name": "gado-gado", "loss": 0.1, "seeds": [1, 2]}
    write_json(path, record)
    for data in every_flip(path.read_bytes()):
        path.write_bytes(data)
        try:
            assert read_json(path) == record
        except RecordError:
            pass


def test_no_flipped_bit_gives_another_line(tmp_path):
    path = tmp_path / "a.jsonl"
    write_lines(path, [{"epoch": 1, "val_loss": 0.25}, {"epoch": 2, "val_loss": 0.125}])
    whole = read_lines(path)
    for data in every_flip(path.read_bytes()):
        path.write_bytes(data)
        try:
            # A last line without its end is a write cut short.
            assert read_lines(path) in (whole, whole[:1])
        except DamagedRecord:
            pass


def test_no_flipped_bit_and_no_cut_gives_other_arrays(tmp_path):
    path = tmp_path / "a.npz"
    arrays = {"label": np.arange(7), "logits": np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)}
    write_npz(path, **arrays)
    whole = path.read_bytes()
    for data in [*every_flip(whole), *(whole[:length] for length in range(0, len(whole), 7))]:
        path.write_bytes(data)
        try:
            found = read_npz(path)
        except DamagedRecord:
            continue
        assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def test_a_record_without_a_checksum_is_taken_as_it_is(tmp_path):
    (tmp_path / "a.json").write_text('{"schema_version": 1, "loss": 0.5}')
    assert read_json(tmp_path / "a.json") == {"schema_version": 1, "loss": 0.5}


def test_what_is_set_aside_keeps_every_earlier_one(tmp_path):
    for text in ("one", "two"):
        (tmp_path / "a.json").write_text(text)
        set_aside(tmp_path / "a.json")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a.json.damaged": "one",
        "a.json.damaged2": "two",
    }
