"""The JSON records of a run: written whole or not at all, read with clear errors, and checked against their shapes."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from resjax.errors import DamagedRecord, RecordError
from resjax.report.storage import CHECKSUM, atomic, checksum_of, line_of, sealed, sync, unsealed

SCHEMA_VERSION = 1
"""Version of the records that this code writes, and the newest that it reads."""


def write_text(path: Path | str, text: str) -> None:
    """Writes a UTF-8 file atomically: a reader sees the old text or the new one, never a part."""
    with atomic(Path(path)) as file:
        file.write(text.encode())


def write_npz(path: Path | str, **arrays: np.ndarray) -> None:
    """Writes named arrays atomically, compressed, with the checksum of all of them before them."""
    # zip's own checksums do not tell when its directory lost an entry.
    sealed_arrays = {CHECKSUM: checksum_of(arrays), **arrays}
    with atomic(Path(path)) as file:
        np.savez_compressed(file, **sealed_arrays)  # pyright: ignore[reportArgumentType]


def write_json(path: Path | str, record: object) -> None:
    """Writes a record atomically, with its checksum; numpy values become plain ones, NaN and infinity become null."""
    write_text(path, json.dumps(sealed(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_lines(path: Path | str, records: Iterable[object]) -> None:
    """Writes records atomically, one a line, each with its checksum."""
    write_text(path, "".join(line_of(sealed(record)) + "\n" for record in records))


def append_line(path: Path | str, record: object) -> None:
    """Adds a record as one line; a line that an earlier process left unfinished at the end is removed."""
    with open(path, "a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line_of(sealed(record)).encode() + b"\n")
        sync(file)


def read_json(path: Path | str) -> dict:
    """Reads a record.

    Raises:
      DamagedRecord: names the file when it is damaged or not JSON.
      RecordError: where it was written by a newer resjax.
    """
    try:
        record = unsealed(Path(path).read_bytes(), str(path))
    except DamagedRecord as error:
        raise DamagedRecord(f"{error}; delete it to have it made again") from None
    version = record.get("schema_version", SCHEMA_VERSION) if isinstance(record, dict) else SCHEMA_VERSION
    if version not in range(1, SCHEMA_VERSION + 1):
        raise RecordError(
            f"{path}: schema_version {version!r}, this resjax reads 1 to {SCHEMA_VERSION}; use a newer one"
        )
    return record


def read_lines(path: Path | str) -> list[dict]:
    """Reads records that stand one a line; a last line without its end (a write cut short) is left out.

    Raises:
      DamagedRecord: names the file and the line that is damaged or not JSON.
    """
    lines = Path(path).read_bytes().split(b"\n")[:-1]
    return [unsealed(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


# Shapes of the records. A type stands for a value of that type, [shape] for a list, {"key": shape} for an object with
# these keys and perhaps others, {str: shape} for an object with any keys, a frozenset for one of its strings, and
# (shape, None) for what may be null. A key that ends in "?" may be absent.
_NUMBER = (float, None)
_SCORES = {"precision": float, "recall": float, "f1": float, "support": int}
_METRICS_LINE = {
    "epoch": int,
    "train_loss": _NUMBER,
    "train_accuracy": _NUMBER,
    "val_loss": _NUMBER,
    "val_accuracy": _NUMBER,
    "learning_rate": float,
    "is_best": bool,
    "seconds": float,
    "images_per_second": _NUMBER,
    "trained_as?": str,
}
_PART = {"images": int, "correct": int, "accuracy": _NUMBER}
_REPLICA = {
    "schema_version": int,
    "architecture": str,
    "seed": int,
    "parameters": int,
    "best_updates": int,
    "evaluated_on": frozenset({"val", "test"}),
    "timing": {"seconds": float},
    "leaked?": _PART,
    "clean?": _PART,
    "last_three_val_accuracy?": _NUMBER,
    "final_test_accuracy?": _NUMBER,
    "best_optimism?": _NUMBER,
    "trained_as?": [str],
}
_DONE = _REPLICA | {
    "status": frozenset({"done"}),
    "best": _METRICS_LINE,
    "last": _METRICS_LINE,
    "loss": float,
    "accuracy": float,
    "confusion_matrix": [[int]],
    "per_class": {str: _SCORES},
    "diverged_at": (frozenset(), None),
}
_DIVERGED = _REPLICA | {
    "status": frozenset({"diverged"}),
    "best": (_METRICS_LINE, None),
    "last": (_METRICS_LINE, None),
    "loss": _NUMBER,
    "accuracy": _NUMBER,
    "confusion_matrix": ([[int]], None),
    "per_class": ({str: _SCORES}, None),
    "diverged_at": {"epoch": int, "step": int},
}
DESCRIBED = {"values": [float], "mean": _NUMBER, "sd": _NUMBER, "ci95": ([float], None)}
STATUS = {str: frozenset({"done", "diverged", "pending"})}
_COMPARISON = {
    "baseline": str,
    "candidate": str,
    "metric": str,
    "seeds": [int],
    "differences": [float],
    "mean": _NUMBER,
    "ci95": ([float], None),
    "p_value?": _NUMBER,
    "test?": (str, None),
    "verdict?": (frozenset({"candidate better", "baseline better", "inconclusive"}), None),
    "sd?": _NUMBER,
    "interval?": (str, None),
    "level?": float,
    "over_seeds?": {"p_value": _NUMBER, "test": (str, None), "ci95": ([float], None)},
    "over_images?": [{"seed": int, "only_baseline_right": int, "only_candidate_right": int, "p_value": _NUMBER}],
    "over_both?": {"p_value": _NUMBER, "bootstrap_ci95": ([float], None)},
    "holm_p_value?": _NUMBER,
    "smallest_detectable?": _NUMBER,
    "detectable?": {str: _NUMBER},
    "seeds_to_settle?": (int, None),
    "sentence?": str,
}
_CLASS_DIFFERENCE = {
    "images": int,
    "baseline": _NUMBER,
    "baseline_interval": ([float], None),
    "candidate": _NUMBER,
    "candidate_interval": ([float], None),
    "difference": _NUMBER,
    "interval": ([float], None),
    "interval_over": str,
    "by_seed": [float],
}
_CALIBRATION = {
    "expected_calibration_error": float,
    "expected_by_chance": float,
    "confidence": float,
    "accuracy": float,
    "bins": [{"images": int, "confidence": float, "accuracy": float}],
    "seeds": int,
}
_ARM = {
    "parameters": int,
    "forward_flops": _NUMBER,
    "forward_flops_xla?": _NUMBER,
    "activation_bytes?": (int, None),
    "init_from?": ({"file": str, "sha256": str}, None),
    "trained_as?": [str],
    "problem?": str,
    "seeds": [int],
    "status": STATUS,
    "best_val_accuracy": DESCRIBED,
    "final_val_accuracy": DESCRIBED,
    "final_train_accuracy": DESCRIBED,
    "last_three_val_accuracy?": (DESCRIBED, None),
    "best_optimism?": (DESCRIBED, None),
    "test_accuracy?": (DESCRIBED, None),
    "final_test_accuracy?": (DESCRIBED, None),
    "leaked_accuracy?": (DESCRIBED, None),
    "clean_accuracy?": (DESCRIBED, None),
    "best_updates": {str: int},
    "confusion_matrix": [[int]],
    "per_class": {str: _SCORES},
}
DEPTH = {
    "twins": [{"depth": int, "baseline": str, "candidate": str}],
    "seeds": [int],
    "measures": {str: {"by_depth": [DESCRIBED], "slope": DESCRIBED | {"p_value": _NUMBER}}},
}
_SUMMARY = {
    "schema_version": int,
    "config": {str: object},
    "environment": {
        "jax": str,
        "flax": str,
        "platform": str,
        "device_kind": str,
        "device_count": int,
        "git_revision": (str, None),
    },
    "dataset": {
        "name": str,
        "fingerprint": str,
        "classes": [str],
        "images": int,
        "splits": {"train": int, "val": int, "test": int},
        "exact_copies": int,
        "near_copies": (int, None),
        "leaked_images": int,
        "split?": str,
        "split_label?": str,
        "split_is_faulty?": bool,
        "leaked?": {"val": int, "test": int},
        "unreadable": [object],
    },
    "architectures": {str: _ARM},
    "comparisons": [_COMPARISON],
    "diagnosis?": [{"kind": str, "arm": (str, None), "sentence": str, "evidence": {str: object}, "rule": str}],
    "class_differences?": [{"baseline": str, "candidate": str, "classes": {str: _CLASS_DIFFERENCE}}],
    "calibration?": {str: (_CALIBRATION, None)},
    "depth?": ([DEPTH], None),
}
_SPLITS = {
    "schema_version": int,
    "config": {str: object},
    "dataset": {"name": str, "classes": [str], "images": int},
    "splits": {
        str: {
            "method": str,
            "label": str,
            "is_faulty": bool,
            "fold": ({"number": int, "of": int}, None),
            "sides": {"train": int, "val": int, "test": int},
            "leaked": {"val": int, "test": int},
            "leaked_images": int,
            "architectures": {
                str: {
                    "problem?": str,
                    "seeds": [int],
                    "status": STATUS,
                    "best_val_accuracy": DESCRIBED,
                    "final_val_accuracy": DESCRIBED,
                    "final_train_accuracy": DESCRIBED,
                    "test_accuracy?": (DESCRIBED, None),
                    "final_test_accuracy?": (DESCRIBED, None),
                    "leaked_accuracy?": (DESCRIBED, None),
                    "clean_accuracy?": (DESCRIBED, None),
                }
            },
            "comparisons": [_COMPARISON],
        }
    },
    "cross_validated": (
        {
            "images": int,
            "architectures": {str: {"seeds": [int], "best_val_accuracy": DESCRIBED, "final_val_accuracy": DESCRIBED}},
            "comparisons": [_COMPARISON],
        },
        None,
    ),
}
_FAILURE = {
    "schema_version": int,
    "architecture": str,
    "seed": int,
    "kind": frozenset({"bad input", "out of memory", "error"}),
    "reason": str,
}
_CELL_STATUS = frozenset({"done", "diverged", "failed", "pending"})
_TUNED_ARM = {
    "depth": (int, None),
    "family": str,
    "settings": {
        str: {
            "status": STATUS,
            "best_val_accuracy": DESCRIBED,
            "final_train_accuracy": DESCRIBED,
            "test_accuracy": (DESCRIBED, None),
        }
    },
    "chosen": (str, None),
    "choices": {str: float},
    "edges": [str],
    "chosen_by_others": (DESCRIBED, None),
    "optimism_of_choice": _NUMBER,
}
_SWEEP = {
    "schema_version": int,
    "recipe_version": int,
    "fingerprint": str,
    "config": {str: object},
    "environment": _SUMMARY["environment"],
    "grid": {str: [object]},
    "points": {str: {str: object}},
    "architectures": [str],
    "seeds": [int],
    "dataset": {
        "name": str,
        "fingerprint": str,
        "classes": [str],
        "images": int,
        "split": str,
        "split_label": str,
        "split_is_faulty": bool,
        "splits": {"train": int, "val": int, "test": int},
        "leaked": {"val": int, "test": int},
    },
    "reported_on": frozenset({"val", "test"}),
    "tuned": [str],
    "counts": {"done": int, "diverged": int, "failed": int, "pending": int},
    "cells": [
        {
            "point": str,
            "architecture": str,
            "seed": int,
            "status": _CELL_STATUS,
            "reason": (str, None),
            "folder": str,
            "seconds": _NUMBER,
        }
    ],
    "conditions": [
        {
            "label": str,
            "condition": {str: object},
            "points": [str],
            "arms": {str: _TUNED_ARM},
            "comparisons": [_COMPARISON | {"settings": {str: (str, None)}}],
            "at_equal_settings": [
                {"baseline": str, "candidate": str, "points": {str: {"seeds": int, "mean": _NUMBER}}}
            ],
            "depth": ([DEPTH], None),
        }
    ],
    "merged?": [str],
}
SHAPES = {
    "metrics": (_METRICS_LINE,),
    "result": (_DONE, _DIVERGED),
    "summary": (_SUMMARY,),
    "splits": (_SPLITS,),
    "sweep": (_SWEEP,),
    "failure": (_FAILURE,),
}
"""The shapes of these kinds of records, of which one has to fit; the others are in `data_shapes`."""


def validate_metrics_line(record: Any) -> None:
    """Checks one line of `metrics.jsonl`.

    Raises:
      ValueError: names the path of the key that is missing or has another shape.
    """
    check_shape(record, _METRICS_LINE, "metrics")


def validate_result(record: Any) -> None:
    """Checks `result.json`: a finished replica has all its scores, a diverged one says where it diverged.

    Raises:
      ValueError: names the path of the key that is missing or has another shape.
    """
    check_shape(record, {"status": frozenset({"done", "diverged"})}, "result")
    if record["status"] == "diverged":
        check_shape(record, _DIVERGED, "result")
    else:
        check_shape(record, _DONE, "result")
        _check_square(record["confusion_matrix"], len(record["per_class"]), "result.confusion_matrix")


def validate_summary(record: Any) -> None:
    """Checks `summary.json`.

    Raises:
      ValueError: names the path of the key that is missing or has another shape.
    """
    check_shape(record, _SUMMARY, "summary")
    for name, arm in record["architectures"].items():
        path = f"summary.architectures.{name}.confusion_matrix"
        _check_square(arm["confusion_matrix"], len(record["dataset"]["classes"]), path)


def validate_splits(record: Any) -> None:
    """Checks `splits.json`.

    Raises:
      ValueError: names the path of the key that is missing or has another shape.
    """
    check_shape(record, _SPLITS, "splits")


def validate_sweep(record: Any) -> None:
    """Checks `sweep.json`.

    Raises:
      ValueError: names the path of the key that is missing or has another shape.
    """
    check_shape(record, _SWEEP, "sweep")


def validate_failure(record: Any) -> None:
    """Checks `failure.json`: a cell of a sweep that did not end.

    Raises:
      ValueError: names the path of the key that is missing or has another shape.
    """
    check_shape(record, _FAILURE, "failure")


def check_shape(value: Any, shape: Any, path: str) -> None:
    """Checks a value against a shape as described above.

    Raises:
      ValueError: names the path of the key that is missing or has another shape.
    """
    if isinstance(shape, tuple):
        if value is None:
            return
        shape = shape[0]
    if isinstance(shape, dict):
        _require(isinstance(value, dict), path, "an object", value)
        if str in shape:
            for name, item in value.items():
                check_shape(item, shape[str], f"{path}.{name}")
            return
        for key, item_shape in shape.items():
            name = key.removesuffix("?")
            if name in value:
                check_shape(value[name], item_shape, f"{path}.{name}")
            elif name == key:
                raise ValueError(f"{path}.{name}: missing")
    elif isinstance(shape, list):
        _require(isinstance(value, list), path, "a list", value)
        for index, item in enumerate(value):
            check_shape(item, shape[0], f"{path}[{index}]")
    elif isinstance(shape, frozenset):
        _require(isinstance(value, str) and value in shape, path, " or ".join(sorted(shape)) or "null", value)
    else:
        # A whole number may stand for a float. A bool is an int in Python, but not in JSON.
        accepted = (int, float) if shape is float else shape
        right = isinstance(value, accepted) and (shape in (bool, object) or not isinstance(value, bool))
        _require(right, path, "number" if shape is float else shape.__name__, value)


def _check_square(matrix: list, size: int, path: str) -> None:
    right = len(matrix) == size and all(len(row) == size for row in matrix)
    _require(right, path, f"{size} rows of {size} numbers", matrix)


def _require(right: bool, path: str, expected: str, value: object) -> None:
    if not right:
        raise ValueError(f"{path}: expected {expected}, found {json.dumps(value, default=repr)[:80]}")
