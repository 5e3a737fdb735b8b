"""What the records of a run say beyond its accuracies: diagnosis, class differences, calibration, right images."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import Bool

from resjax.evaluation.comparison.measures import MEASURES, Contributions
from resjax.evaluation.diagnosis.diagnose import Replica, diagnose
from resjax.records import Done, Result, read_npz
from resjax.records.run_records import RunRecords


def explained(records: RunRecords) -> RunRecords:
    """The records with `diagnosis`, `class_differences` and `calibration` in their summary, made anew."""
    networks = {
        name: {seed: _replica(records, name, seed, result) for seed, result in results.items() if result is not None}
        for name, results in records.results().items()
    }
    dataset = records.summary.dataset
    found = diagnose(networks, dataset.classes, dataset)
    return replace(records, summary=msgspec.structs.replace(records.summary, **found._asdict()))


def contributions(folder: Path, side: str, measure: str) -> Contributions | None:
    """What each image of `val` or `test` adds to a measure of the replica in `folder`, in the order of the split.

    None if its predictions were not kept.
    """
    path = folder / "predictions.npz"
    if not path.exists():
        return None
    stored = read_npz(path)
    of_side = stored["side"] == side
    return MEASURES[measure].contributions(stored["logits"][of_side], stored["label"][of_side])


def correctness(folder: Path, side: str) -> Bool[np.ndarray, " image"] | None:
    """Whether the replica in `folder` has each image of a side right, as `contributions` of the accuracy."""
    return contributions(folder, side, "accuracy")


def _replica(records: RunRecords, name: str, seed: int, result: Result) -> Replica:
    history = records.history(name, seed)
    if not isinstance(result, Done):
        return Replica(result, history)
    predictions = records.predictions(name, seed, result.evaluated_on)
    if predictions is None:
        return Replica(result, history)
    return Replica(result, history, predictions.logits, predictions.labels)
