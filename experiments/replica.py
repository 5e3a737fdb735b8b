"""One replica with its files: trains it, or goes on where it stopped, and leaves its records behind."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import numpy as np

from resjax.costs import parameter_count
from resjax.data.pipeline import Side
from resjax.evaluation.metrics import accuracy_by_leak, confusion_matrix, loss_and_accuracy, per_class_scores
from resjax.evaluation.selection import LAST_EPOCHS, optimism_of_best
from resjax.report.records import SCHEMA_VERSION, append_line, read_json, read_lines, write_json, write_lines, write_npz
from resjax.training.checkpoint import Checkpoints
from resjax.training.loop import Trainer, predict_logits
from resjax.types import Dataset

FINISHED = ("done", "diverged")


def finished_result(folder: Path) -> dict | None:
    """The result of a replica that is done or has diverged, None of one that is pending."""
    path = folder / "result.json"
    result = read_json(path) if path.exists() else None
    return result if result and result["status"] in FINISHED else None


def run_replica(
    trainer: Trainer,
    name: str,
    seed: int,
    folder: Path,
    dataset: Dataset,
    sides: dict[str, np.ndarray],
    test: Side | None,
    leaks: Mapping[str, np.ndarray],
    on_epoch: Callable[[dict], None] = lambda metrics: None,
) -> dict:
    """Trains replica `seed` of arm `name` to its end and returns its result record.

    Writes `metrics.jsonl`, `correctness.npz` and checkpoints after each epoch, `predictions.npz` and `result.json` at
    the end; picks up after the last complete epoch that it finds in `folder`. `test` is looked at once, by the best
    epoch's network. `leaks` are the images of val and test that are on another side too: with any, the result has the
    accuracy on them and on the rest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    metrics_path = folder / "metrics.jsonl"
    checkpoints = Checkpoints(folder / "checkpoints")
    try:
        state = trainer.initial_state(seed)
        lines = read_lines(metrics_path)[: checkpoints.last_epoch] if metrics_path.exists() else []
        # A kill may fall between an epoch's line and its checkpoint: the lines follow the checkpoint.
        write_lines(metrics_path, lines)
        if lines:
            state = checkpoints.restore_last(state)
        correct = _correctness_before(folder / "correctness.npz", len(lines))
        diverged_step = None
        best = max((line["val_accuracy"] for line in lines if line["is_best"]), default=-1.0)
        parameters = parameter_count(state.variables)
        for epoch in trainer.fit(state, first_epoch=len(lines) + 1, best=best):
            lines.append(epoch.metrics)
            append_line(metrics_path, epoch.metrics)
            if correct is not None:
                correct.append(epoch.val_correct)
                write_npz(folder / "correctness.npz", correct=np.stack(correct))
            diverged_step = epoch.diverged_step
            if epoch.metrics["is_best"]:
                checkpoints.save_best(epoch.metrics["epoch"], epoch.state.variables)
            if diverged_step is None:
                checkpoints.save_last(epoch.metrics["epoch"], epoch.state)
            state = epoch.state
            on_epoch(epoch.metrics)
        result = {
            "schema_version": SCHEMA_VERSION,
            "architecture": name,
            "seed": seed,
            "status": "done" if diverged_step is None else "diverged",
            "parameters": parameters,
            "best": max((line for line in lines if line["is_best"]), key=lambda line: line["epoch"], default=None),
            "last": lines[-1],
            "best_updates": sum(line["is_best"] for line in lines),
            "evaluated_on": "val" if test is None else "test",
            "diverged_at": None if diverged_step is None else {"epoch": lines[-1]["epoch"], "step": diverged_step},
        }
        if diverged_step is None:
            best_variables = checkpoints.restore_best(state.variables)
            logits = {"val": predict_logits(trainer.functional, best_variables, trainer.val)}
            if test is not None:
                logits["test"] = predict_logits(trainer.functional, best_variables, test)
            _write_predictions(folder / "predictions.npz", dataset, sides, logits)
            side = result["evaluated_on"]
            labels = dataset.labels[sides[side]]
            result |= _scores(logits[side], labels, dataset)
            result["last_three_val_accuracy"] = float(np.mean([e["val_accuracy"] for e in lines[-LAST_EPOCHS:]]))
            result["best_optimism"] = None
            if test is None and correct is not None:
                result["best_optimism"] = optimism_of_best(np.stack(correct), dataset.groups[sides["val"]])
            if any(len(images) for images in leaks.values()):
                result |= accuracy_by_leak(logits[side], labels, np.isin(sides[side], leaks[side]))
        else:
            result |= {"loss": None, "accuracy": None, "confusion_matrix": None, "per_class": None}
    finally:
        checkpoints.close()
    result["timing"] = {
        "seconds": time.perf_counter() - start,
        "training_seconds": sum(line["seconds"] for line in lines),
        "device": jax.devices()[0].device_kind,
    }
    write_json(folder / "result.json", result)
    return result


def _correctness_before(path: Path, epochs: int) -> list[np.ndarray] | None:
    """Which images of val were right after each epoch so far; None where a run goes on that did not keep them."""
    if not epochs:
        return []
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as stored:
        return [*stored["correct"][:epochs]]


def _scores(logits: np.ndarray, labels: np.ndarray, dataset: Dataset) -> dict:
    loss, accuracy = loss_and_accuracy(logits, labels)
    confusion = confusion_matrix(logits.argmax(-1), labels, len(dataset.classes))
    return {
        "loss": loss,
        "accuracy": accuracy,
        "confusion_matrix": confusion.tolist(),
        "per_class": per_class_scores(confusion, dataset.classes),
    }


def _write_predictions(path: Path, dataset: Dataset, sides: dict[str, np.ndarray], logits: dict[str, np.ndarray]):
    rows = np.concatenate([sides[side] for side in logits])
    write_npz(
        path,
        id=np.array(dataset.ids)[rows],
        label=dataset.labels[rows],
        side=np.concatenate([[side] * len(sides[side]) for side in logits]),
        logits=np.concatenate(list(logits.values())),
    )
