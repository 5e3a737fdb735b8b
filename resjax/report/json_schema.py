"""JSON Schemas of the records, for readers in other languages, made from the shapes that the records are checked by.

  python -m resjax.report.json_schema resjax/report/schemas

writes those that are in the package. A schema says what is in a file, but not that a matrix is square.
"""

import json
import sys
from pathlib import Path
from typing import Any

from resjax.report.data_shapes import DATA_SHAPES
from resjax.report.records import SCHEMA_VERSION, SHAPES, write_text

KINDS = {
    "summary": "summary.json: a comparison on one split",
    "splits": "splits.json: a comparison on several splits",
    "sweep": "sweep.json: a comparison at every point of a grid",
    "failure": "failure.json: a cell of a sweep that did not end",
    "result": "result.json: a replica that ended",
    "metrics": "one line of metrics.jsonl: a replica after an epoch",
    "dataset": "dataset.json: what is known of the images",
    "split": "split.json: the side of each image",
    "gallery": "gallery.json: thumbnails of the pictures that the report shows",
    "reproduction": "reproduction.json: published numbers and our own side by side",
    "probes": "probes.json: what the probes measured, and which explanations that supports",
    "prediction": "one line of what predict says in JSON: an image with its classes, or why it cannot be read",
    "export": "config.json of an exported network: what it takes, what it answers, and how good it is",
}
"""The kinds of records, with what they are."""
_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def json_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a kind of record, one of `KINDS`.

    >>> json_schema("gallery")["required"]
    ['schema_version', 'thumbnails']
    """
    shapes = [_schema(shape) for shape in (SHAPES | DATA_SHAPES)[kind]]
    for schema in shapes:
        if "schema_version" in schema["properties"]:
            schema["properties"]["schema_version"] |= {"minimum": 1, "maximum": SCHEMA_VERSION}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": KINDS[kind]}
    return head | (shapes[0] if len(shapes) == 1 else {"anyOf": shapes})


def _schema(shape: Any) -> dict[str, Any]:
    if isinstance(shape, tuple):
        return {"anyOf": [_schema(shape[0]), {"type": "null"}]} if shape[0] != frozenset() else {"type": "null"}
    if isinstance(shape, dict) and str in shape:
        return {"type": "object", "additionalProperties": _schema(shape[str])}
    if isinstance(shape, dict):
        properties = {key.removesuffix("?"): _schema(each) for key, each in shape.items()}
        required = [key for key in shape if not key.endswith("?")]
        return {"type": "object", "properties": properties, "required": required}
    if isinstance(shape, list):
        return {"type": "array", "items": _schema(shape[0])}
    if isinstance(shape, frozenset):
        return {"enum": sorted(shape)}
    return {} if shape is object else {"type": _TYPES[shape]}


if __name__ == "__main__":
    for name in KINDS:
        write_text(Path(sys.argv[1]) / f"{name}.schema.json", json.dumps(json_schema(name), indent=1) + "\n")
