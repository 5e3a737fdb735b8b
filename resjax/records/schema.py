"""JSON Schemas (draft 2020-12) of the records, for readers in other languages; made from the Structs.

A schema says what is in a file, but not that a matrix is square.
"""

from typing import Any

import msgspec
from msgspec import Struct

from resjax.records.kinds.comparison import Looks
from resjax.records.kinds.dataset import DatasetRecord, Gallery, SplitRecord
from resjax.records.kinds.environment import ReplicaEnvironments
from resjax.records.kinds.plan import Plan
from resjax.records.kinds.prediction import ExportConfig, Prediction
from resjax.records.kinds.probes import Probes
from resjax.records.kinds.replica import Diverged, Done, MetricsLine
from resjax.records.kinds.reproduction import ReproductionRecord
from resjax.records.kinds.scores import LabelledScores
from resjax.records.kinds.splits import Splits
from resjax.records.kinds.summary import RecipeRecord, Summary
from resjax.records.kinds.sweep import Failure, Sweep
from resjax.records.storage import CHECKSUM

KINDS: dict[str, tuple[type[Struct], ...]] = {
    "summary": (Summary,),
    "recipe": (RecipeRecord,),
    "looks": (Looks,),
    "splits": (Splits,),
    "sweep": (Sweep,),
    "failure": (Failure,),
    "result": (Done, Diverged),
    "metrics": (MetricsLine,),
    "environment": (ReplicaEnvironments,),
    "dataset": (DatasetRecord,),
    "split": (SplitRecord,),
    "gallery": (Gallery,),
    "plan": (Plan,),
    "reproduction": (ReproductionRecord,),
    "probes": (Probes,),
    "prediction": (Prediction,),
    "scores": (LabelledScores,),
    "export": (ExportConfig,),
}
"""The kinds of records, with the types of which one has to fit. `prediction` and `metrics` are lines of a file."""


def json_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of a kind of record, one of `KINDS`.

    >>> json_schema("gallery")["$defs"]["Gallery"]["required"]
    ['schema_version', 'thumbnails']
    """
    types = KINDS[kind]
    references, parts = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    for part in parts.values():
        # The version has a default for who builds a record; a file always has it.
        if "schema_version" in part["properties"]:
            del part["properties"]["schema_version"]["default"]
            part["required"] = ["schema_version", *part.get("required", [])]
    for each in types:
        parts[each.__name__]["properties"][CHECKSUM] = {"type": "integer"}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": kind}
    return head | {"anyOf": list(references), "$defs": dict(parts)}
