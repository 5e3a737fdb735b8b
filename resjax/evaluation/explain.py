"""The explaining parts of a summary (diagnosis, classes, calibration) from the records of a run; needs no jax."""

from dataclasses import replace

from resjax.evaluation.diagnosis.diagnose import Replica, diagnose
from resjax.records.run_records import RunRecords


def explained(records: RunRecords) -> RunRecords:
    """The records with `diagnosis`, `class_differences` and `calibration` in their summary, made anew."""
    arms = {}
    for arm, results in records.results().items():
        ended = {seed: result for seed, result in results.items() if result is not None}
        arms[arm] = {seed: _replica(records, arm, seed, result) for seed, result in ended.items()}
    dataset = records.summary["dataset"]
    return replace(records, summary=records.summary | diagnose(arms, dataset["classes"], dataset))


def _replica(records: RunRecords, arm: str, seed: int, result: dict) -> Replica:
    history = records.history(arm, seed)
    if result["status"] != "done":
        return Replica(result, history)
    predictions = records.predictions(arm, seed, result["evaluated_on"])
    if predictions is None:
        return Replica(result, history)
    return Replica(result, history, predictions.logits, predictions.labels)
