"""The JSON Schemas are valid, are those in the package, and accept and refuse what the checks in Python do."""

import copy

import pytest

from resjax.evaluation.explain import explained
from resjax.records.run_records import read_run_records
from resjax.report.data_shapes import DATA_SHAPES, validate_data_record
from resjax.report.json_schema import KINDS, json_schema
from resjax.report.records import (
    read_json,
    read_lines,
    validate_failure,
    validate_metrics_line,
    validate_result,
    validate_splits,
    validate_summary,
    validate_sweep,
    write_json,
)
from tests.made_records import export_record, prediction_record, probes_record, reproduction_record, splits_record
from tests.made_run import make_run
from tests.made_sweep import make_sweep

jsonschema = pytest.importorskip("jsonschema")
CHECKS = {
    "summary": validate_summary,
    "splits": validate_splits,
    "sweep": validate_sweep,
    "failure": validate_failure,
    "result": validate_result,
    "metrics": validate_metrics_line,
} | {kind: lambda record, kind=kind: validate_data_record(kind, record) for kind in DATA_SHAPES}


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> dict[str, list]:
    """Records of every kind, those of a run with leaks, divergence and a diagnosis among them."""
    arms = {"plain18": 0.5, "resnet18": 0.8}
    workdir = make_run(tmp_path_factory.mktemp("schema") / "run", arms, leaked=9, diverged=[("plain18", 1)])
    write_json(workdir / "probes.json", probes_record())
    write_json(workdir / "prediction.json", prediction_record())
    write_json(workdir / "export.json", export_record())
    write_json(workdir / "reproduction.json", reproduction_record())
    found = {kind: [read_json(workdir / f"{kind}.json")] for kind in DATA_SHAPES}
    write_json(workdir / "explained.json", explained(read_run_records(workdir)).summary)
    found["summary"] = [read_json(workdir / name) for name in ("summary.json", "explained.json")]
    found["result"] = [read_json(path) for path in workdir.rglob("result.json")]
    found["metrics"] = [line for path in workdir.rglob("metrics.jsonl") for line in read_lines(path)]
    sweep = tmp_path_factory.mktemp("schema") / "sweep"
    grid = {"learning_rate": (1e-3, 1e-2)}
    lost = [("learning_rate0.01", "plain8", 1)]
    found["sweep"] = [make_sweep(sweep, grid=grid, seeds=(0, 1), images=20, failed=lost) | {"merged": ["a", "b"]}]
    found["failure"] = [read_json(path) for path in sweep.rglob("failure.json")]
    found["splits"] = [splits_record(), splits_record(folds=True), splits_record(tested=True)]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_in_the_package_is_made_from_the_shapes_and_valid(kind):
    from importlib.resources import files

    schema = json_schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    path = files("resjax.report") / "schemas" / f"{kind}.schema.json"
    assert read_json(path) == schema, "python -m resjax.report.json_schema resjax/report/schemas"


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_run_writes_is_accepted(kind, records):
    validator = jsonschema.Draft202012Validator(json_schema(kind))
    assert records[kind]
    for record in records[kind]:
        CHECKS[kind](record)
        validator.validate(record)


def places(record, path=()):
    """The path of every value in a record."""
    items = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_of_another_type_or_a_missing_key_is_refused_by_both_alike(kind, records):
    validator = jsonschema.Draft202012Validator(json_schema(kind))
    record = records[kind][-1]
    refused = 0
    # One place of each name is enough: a summary has thousands of numbers.
    distinct = {tuple(key for key in path if isinstance(key, str)): path for path in places(record)}
    for path in distinct.values():
        for change in ("replace", "remove"):
            broken = copy.deepcopy(record)
            parent = broken
            for key in path[:-1]:
                parent = parent[key]
            if change == "replace":
                parent[path[-1]] = object.__name__ if not isinstance(parent[path[-1]], str) else 7
            elif isinstance(parent, dict):
                del parent[path[-1]]
            try:
                CHECKS[kind](broken)
            except ValueError as error:
                if "rows of" in str(error):
                    # That a matrix is square is no business of a schema.
                    continue
                assert not validator.is_valid(broken), path
                refused += 1
            else:
                assert validator.is_valid(broken), path
    assert refused > 1


def test_a_newer_version_is_refused_by_the_schema_too(records):
    newer = records["summary"][0] | {"schema_version": 99}
    assert not jsonschema.Draft202012Validator(json_schema("summary")).is_valid(newer)
