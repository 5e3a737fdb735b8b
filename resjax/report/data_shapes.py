"""The shapes of the records about data, pictures, probes and reproductions, written as those in `records`."""

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
    **{"dataset": (_DATASET,), "split": (_SPLIT,), "gallery": (_GALLERY,), "probes": (_PROBES,)},
    "reproduction": (_REPRODUCTION,),
}
"""The shape of each of these kinds of records."""


def validate_data_record(kind: str, record: Any) -> None:
    """Checks `dataset.json`, `split.json`, `gallery.json`, `probes.json` or `reproduction.json`; `kind` is the name.

    Raises:
      ValueError: names the path of the key that is missing or has another shape.
    """
    (shape,) = DATA_SHAPES[kind]
    check_shape(record, shape, kind)
