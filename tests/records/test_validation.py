"""A wrong value is named by its place, in the file and when a record is built; a schema says the same as reading."""

import copy
import json

import pytest
from msgspec import structs

from resjax.errors import RecordError
from resjax.records import KINDS, Gallery, MetricsLine, Summary, json_schema, plain, read_result
from resjax.records.files import from_plain
from tests.records.made import CLASSES, diverged, done, metrics_line, summary

jsonschema = pytest.importorskip("jsonschema")
RECORDS = {"metrics": metrics_line, "result": done, "diverged": diverged, "summary": summary}


def read(kind: str, values, tmp_path):
    if kind in ("result", "diverged"):
        (tmp_path / "result.json").write_text(json.dumps(values))
        return read_result(tmp_path / "result.json")
    return from_plain(values, {"metrics": MetricsLine, "summary": Summary}[kind], kind)


@pytest.mark.parametrize(
    ("kind", "keys", "value", "place"),
    [
        ("metrics", ["epoch"], 1.5, r"\$\.epoch"),
        ("metrics", ["epoch"], True, r"\$\.epoch"),
        ("metrics", ["val_loss"], "1", r"\$\.val_loss"),
        ("metrics", ["is_best"], 1, r"\$\.is_best"),
        ("metrics", ["gradient_nrom"], 1.0, "gradient_nrom"),
        ("result", ["status"], "finished", r"\$\.status"),
        ("result", ["status"], "diverged", r"\$\.diverged_at"),
        ("result", ["best"], None, r"\$\.best"),
        ("result", ["diverged_at"], {"epoch": 1, "step": 2}, r"\$\.diverged_at"),
        ("result", ["confusion_matrix"], [[1]], "confusion_matrix: expected 2 rows of 2"),
        ("result", ["confusion_matrix", 1, 0], 0.5, r"\$\.confusion_matrix\[1\]\[0\]"),
        ("result", ["per_class", "gado.gado", "f1"], None, r"\$\.per_class\[\.\.\.\]\.f1"),
        ("result", ["leaked"], {"images": 3}, "correct"),
        ("summary", ["dataset", "classes"], "bakso", r"\$\.dataset\.classes"),
        ("summary", ["architectures", "resnet34", "status", "3"], ["done"], r"\$\.architectures\[\.\.\.\]\.status"),
        ("summary", ["architectures", "plain34", "confusion_matrix"], [[1, 2]], "plain34.confusion_matrix: expected 2"),
        ("summary", ["dataset", "leaked"], {"val": 3}, "leaked: expected val, test"),
        ("summary", ["dataset", "splits"], {"val": 3}, "splits: expected train, val, test"),
    ],
)
def test_a_wrong_value_is_named_by_its_place(kind, keys, value, place, tmp_path):
    values = parent = plain(RECORDS[kind]())
    for key in keys[:-1]:
        parent = parent[key]
    parent[keys[-1]] = value
    with pytest.raises(RecordError, match=place):
        read(kind, values, tmp_path)


def test_what_belongs_together_is_checked_when_a_record_is_built():
    with pytest.raises(ValueError, match="confusion_matrix"):
        structs.replace(done(), confusion_matrix=[[1]])
    with pytest.raises(ValueError, match=r"architectures\.plain34\.confusion_matrix"):
        structs.replace(summary(), dataset=structs.replace(summary().dataset, classes=[*CLASSES, "rendang"]))


def test_class_names_may_be_strange(tmp_path):
    scores = done().per_class["bakso"]
    record = structs.replace(done(), per_class={"what?": scores, "$a_b$": scores})
    assert read("result", plain(record), tmp_path) == record


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_valid_and_wants_the_version(kind):
    schema = json_schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    versioned = kind not in ("metrics", "prediction")
    for each in KINDS[kind]:
        assert ("schema_version" in schema["$defs"][each.__name__]["required"]) == versioned


def places(record, path=()):
    """The path of every value in a record."""
    items = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


@pytest.mark.parametrize("kind", RECORDS)
def test_a_value_of_another_type_or_a_missing_key_is_refused_by_schema_and_reader_alike(kind, tmp_path):
    validator = jsonschema.Draft202012Validator(json_schema("result" if kind == "diverged" else kind))
    record = plain(RECORDS[kind]())
    validator.validate(record | {"crc32": 7})
    refused = 0
    distinct = {tuple(key for key in path if isinstance(key, str)): path for path in places(record)}
    for path in distinct.values():
        for change in ("replace", "remove"):
            broken = copy.deepcopy(record)
            parent = broken
            for key in path[:-1]:
                parent = parent[key]
            if change == "replace":
                parent[path[-1]] = "object" if not isinstance(parent[path[-1]], str) else 7
            elif isinstance(parent, dict):
                del parent[path[-1]]
            try:
                read(kind, broken, tmp_path)
            except ValueError as error:
                if "rows of" in str(error) or "expected train" in str(error) or "expected val" in str(error):
                    # How parts of a record fit each other is no business of a schema.
                    continue
                assert not validator.is_valid(broken), path
                refused += 1
            else:
                assert validator.is_valid(broken), path
    assert refused > 1


def test_another_version_is_refused_by_the_schema_too():
    assert jsonschema.Draft202012Validator(json_schema("gallery")).is_valid(plain(Gallery(thumbnails={})))
    assert not jsonschema.Draft202012Validator(json_schema("gallery")).is_valid({"schema_version": 2, "thumbnails": {}})
