"""The shapes of records about data, pictures, probes, predictions and reproductions, written as those in `records`."""

from typing import Any

from resjax.report.records import DEPTH, DESCRIBED, STATUS, check_shape

_LISTED = {"id": str, "reason": str, "detail": str}
_DATASET = {
    "schema_version": int,
    "name": str,
    "classes": {str: int},
    "images": int,
    "distinct_contents": int,
    "distinct_pictures": int,
    "pictures_of_class": {str: int},
    "decoded": int,
    "excluded": [_LISTED],
    "findings": ([_LISTED], None),
    "expected_leak": {"val_fraction": float, "exact": float, "pictures": float},
    "given_split": ({"images": {str: int}, "leaked": [str]}, None),
    "conflicts": [[str]],
    "groups": [{"ids": [str], "contents": [str], "labels": [str], "weakest_link": (float, None)}],
}
_SPLIT = {
    "schema_version": int,
    "method": str,
    "label": str,
    "seed": (int, None),
    "fold": ({"number": int, "of": int}, None),
    "train_fraction?": float,
    "fractions": {str: float},
    "images": [
        {"id": str, "label": str, "group": str, "side": frozenset({"train", "val", "test"}), "content": str},
    ],
}
_GALLERY = {"schema_version": int, "thumbnails": {str: str}}
_MEASURED = {
    "arm": str,
    "seed": int,
    "at": frozenset({"init", "best", "last"}),
    "epoch": int,
    "values": {str: [(float, None)]},
}
_PROBES = {
    "schema_version": int,
    "environment": {str: object},
    "arms": {str: {"blocks": [{"stage": int, "index": int, "keeps_shape": bool}], "shortcut": str}},
    "probes": {
        str: {
            "settings": {str: object},
            "seconds": float,
            "measurements": [_MEASURED],
            "left_out": [{"arm": str, "seed": (int, None), "reason": str}],
            "sentence": str,
        }
    },
    "explanations": [
        {
            "claim": str,
            "probe": str,
            "measure": str,
            "baseline": str,
            "candidate": str,
            "verdict": frozenset({"supported", "not supported", "cannot say"}),
            "sentence": str,
            "rule": str,
            "differences": [float],
            "ci95": ([float], None),
        }
    ],
    "paragraph": str,
}
_CALIBRATED = {"expected_calibration_error": float, "expected_by_chance": float, "loss": float}
_SCALING = {
    "temperature": float,
    "problem": (str, None),
    "images": int,
    "leaked_left_out": int,
    "measured_on": (frozenset({"cross-fitted", "held out"}), None),
    "measured_images": int,
    "before": (_CALIBRATED, None),
    "after": (_CALIBRATED, None),
}
_EXPORT = {
    "schema_version": int,
    "architecture": str,
    "width": int,
    "stem": str,
    "parameters": int,
    "dtype": str,
    "seeds": [int],
    "chosen": str,
    "pooling": str,
    "classes": [str],
    "image_size": int,
    "resize": str,
    "mean": [float],
    "std": [float],
    "temperature": float,
    "calibration": _SCALING,
    "scores": (
        {
            "side": frozenset({"val", "test"}),
            "images": int,
            "pictures": int,
            "accuracy": float,
            "accuracy_ci95": [float],
            "per_class": {str: {"precision": float, "recall": float, "f1": float, "support": int}},
        },
        None,
    ),
    "dataset": {"name": str, "fingerprint": str, "images": int, "splits": {str: int}, "split_label": str},
    "environment": {str: object},
    "files": {str: {"bytes": int, "sha256": str}},
}
_PREDICTION = {
    "image": str,
    "class": (str, None),
    "probability": (float, None),
    "probabilities": ({str: float}, None),
    "problem": (str, None),
    "architecture": str,
    "seeds": [int],
    "temperature": float,
    "grad_cam?": (str, None),
}
_REPRODUCTION = {
    "schema_version": int,
    "target": str,
    "title": str,
    "quantity": frozenset({"error", "accuracy"}),
    "quick": bool,
    "command": str,
    "environment": {"processor": str, "jax": str, "flax": str, "device_kind": str, "device_count": int},
    "replica_seconds": float,
    "config": {str: object},
    "dataset": str,
    "reports": [str],
    "notes": [str],
    "departures": [str],
    "measures": {str: str},
    "published": [
        {
            **{"arm": str, "value": float, "who": str, "where": str, "measures": str},
            **{"high": (float, None), "hedge": str},
        }
    ],
    "own": [{"split": str, "arm": str, "seeds": [int], "status": STATUS, "measures": {str: DESCRIBED}}],
    "pairs": [{"baseline": str, "candidate": str, "own": [{"split": str, "measures": {str: DESCRIBED}}]}],
    "depth": ([DEPTH], None),
    "recalls": ([{"of": str, "arm": str, "classes": {str: float}}], None),
    "sentences": [str],
}
DATA_SHAPES = {
    "dataset": (_DATASET,),
    "split": (_SPLIT,),
    "gallery": (_GALLERY,),
    "probes": (_PROBES,),
    "prediction": (_PREDICTION,),
    "export": (_EXPORT,),
    "reproduction": (_REPRODUCTION,),
}
"""The shape of each of these kinds of records."""


def validate_data_record(kind: str, record: Any) -> None:
    """Checks a record of one of these kinds: `dataset.json`, `split.json`, `gallery.json`, `probes.json`, a line of
    predictions, the `config.json` of an exported network, `reproduction.json`.

    Raises:
      ValueError: names the path of the key that is missing or has another shape.
    """
    (shape,) = DATA_SHAPES[kind]
    check_shape(record, shape, kind)
