"""What the records of a run say beyond its accuracies: diagnosis, class differences, calibration, right images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import Bool, Int

from resjax.evaluation.comparison.comparing import Evidence
from resjax.evaluation.comparison.measures import MEASURES, Contributions
from resjax.evaluation.diagnosis.diagnose import Replica, diagnose
from resjax.records import Done, Result, read_npz
from resjax.records.run_records import RunRecords


def explained(records: RunRecords) -> RunRecords:
    """The records with `diagnosis`, `class_differences` and `calibration` in their summary, made anew.

    Where no predictions were kept, as in committed records, the summary keeps what was found with them.
    """
    found = {name: _predicted(records, name, results) for name, results in records.results().items()}
    networks = {name: {seed: replica for seed, (replica, _) in of.items()} for name, of in found.items()}
    ids = [each for of in found.values() for _, each in of.values() if each is not None]
    if not ids and records.summary.diagnosis:
        return records
    dataset = records.summary.dataset
    diagnosis = diagnose(networks, dataset.classes, dataset, _groups(records, ids), records.summary.config)
    return replace(records, summary=msgspec.structs.replace(records.summary, **diagnosis._asdict()))


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


def evidence_of(
    records: RunRecords, results: Mapping[str, Mapping[int, Result | None]], measure: str
) -> Evidence | None:
    """What each image adds to a measure of each finished replica; None if that is not known of one, or of its copies.

    Args:
      results: by network and seed, whose folders `records` names.
      measure: one of `MEASURES`.
    """
    known: dict[str, dict[int, Contributions]] = {name: {} for name in results}
    ids: list[list[str]] = []
    for name, by_seed in results.items():
        for seed, result in by_seed.items():
            if isinstance(result, Done):
                found = records.predictions(name, seed, result.evaluated_on)
                if found is None:
                    return None
                ids.append(found.ids)
                known[name][seed] = MEASURES[measure].contributions(found.logits, found.labels)
    groups = _groups(records, ids)
    return None if groups is None else Evidence(known, groups)


def _predicted(
    records: RunRecords, name: str, results: Mapping[int, Result | None]
) -> dict[int, tuple[Replica, list[str] | None]]:
    """The replicas of a network that ended, with the ids of the images that their predictions are of, if kept."""
    found = {}
    for seed, result in results.items():
        if result is None:
            continue
        history, kept = records.history(name, seed), None
        if isinstance(result, Done):
            kept = records.predictions(name, seed, result.evaluated_on)
        replica = Replica(result, history, kept.logits, kept.labels) if kept else Replica(result, history)
        found[seed] = replica, kept.ids if kept else None
    return found


def _groups(records: RunRecords, ids: Sequence[list[str]]) -> Int[np.ndarray, " image"] | None:
    """The duplicate group of each image that predictions are of; None if images differ or a group is not known."""
    group_of = {image.id: image.group for image in records.split.images} if records.split else {}
    if not ids or any(each != ids[0] for each in ids) or not group_of.keys() >= set(ids[0]):
        return None
    return np.unique([group_of[name] for name in ids[0]], return_inverse=True)[1]
