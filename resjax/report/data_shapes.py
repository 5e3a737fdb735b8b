"""The shapes of the records about data and pictures, written as those in `records`: dataset, split, gallery."""

from typing import Any

from resjax.report.records import check_shape

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
DATA_SHAPES = {"dataset": (_DATASET,), "split": (_SPLIT,), "gallery": (_GALLERY,)}
"""The shape of each of these kinds of records."""


def validate_data_record(kind: str, record: Any) -> None:
    """Checks `dataset.json`, `split.json` or `gallery.json`; `kind` is the file's name without its ending.

    Raises:
      ValueError: names the path of the key that is missing or has another shape.
    """
    (shape,) = DATA_SHAPES[kind]
    check_shape(record, shape, kind)
