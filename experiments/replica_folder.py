"""What one replica leaves in its folder, whoever trains it: alone, or together with others."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import jax
import numpy as np

from experiments.timing import phase
from resjax.costs import parameter_count
from resjax.data.pipeline import Side
from resjax.evaluation.metrics import accuracy_by_leak, confusion_matrix, loss_and_accuracy, per_class_scores
from resjax.evaluation.selection import LAST_EPOCHS, optimism_of_best
from resjax.report.records import SCHEMA_VERSION, append_line, read_json, read_lines, write_json, write_lines, write_npz
from resjax.training.checkpoint import Checkpoints
from resjax.training.loop import EpochResult, Trainer, predict_logits
from resjax.training.state import TrainState
from resjax.types import Dataset

FINISHED = ("done", "diverged")


def finished_result(folder: Path) -> dict | None:
    """The result of a replica that is done or has diverged, None of one that is pending."""
    path = folder / "result.json"
    result = read_json(path) if path.exists() else None
    return result if result and result["status"] in FINISHED else None


def ways_of(records: Iterable[dict | None]) -> list[str]:
    """How replicas, or the epochs of one, were trained, each way once; None is what there is nothing of yet."""
    ways = (record.get("trained_as", "sequential") for record in records if record)
    return list(dict.fromkeys(way for each in ways for way in ([each] if isinstance(each, str) else each)))


class ReplicaFolder:
    """The files and records of replica `seed` of arm `name`: `begin`, `after_epoch` for each, then `finish`.

    Writes `metrics.jsonl`, `correctness.npz` and checkpoints after each epoch, `predictions.npz` and `result.json` at
    the end. All of that within a `with`, which opens the folder and ends the threads that write checkpoints.

    Args:
      trainer: whose initial state and network the replica has.
      name: of the arm.
      seed: of the replica.
      folder: of its files, made where it is not there.
      dataset: all images.
      sides: the images of each side.
      test: looked at once, by the best epoch's network.
      leaks: the images of val and test that are on another side too: with any, the result has the accuracy on them and
        on the rest.
    """

    def __init__(
        self,
        trainer: Trainer,
        name: str,
        seed: int,
        folder: Path,
        dataset: Dataset,
        sides: dict[str, np.ndarray],
        test: Side | None,
        leaks: Mapping[str, np.ndarray],
    ):
        self._trainer, self.name, self.seed, self.folder = trainer, name, seed, folder
        self._dataset, self._sides, self._test, self._leaks = dataset, sides, test, leaks
        self.lines: list[dict] = []
        """The epochs so far, as they stand in `metrics.jsonl`."""
        self.diverged_step: int | None = None
        """The step whose loss was not finite, None while all were."""

    def __enter__(self) -> "ReplicaFolder":
        self._started = time.perf_counter()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._checkpoints = Checkpoints(self.folder / "checkpoints")
        return self

    def __exit__(self, *exception: object) -> None:
        self._checkpoints.close()

    @property
    def best(self) -> float:
        """The best validation accuracy so far, -1 before there is one."""
        return max((line["val_accuracy"] for line in self.lines if line["is_best"]), default=-1.0)

    def begin(self) -> TrainState:
        """The state after the last complete epoch in the folder, or before the first; `lines` has those epochs."""
        state = self._trainer.initial_state(self.seed)
        path = self.folder / "metrics.jsonl"
        self.lines = read_lines(path)[: self._checkpoints.last_epoch] if path.exists() else []
        # A kill may fall between an epoch's line and its checkpoint: the lines follow the checkpoint.
        write_lines(path, self.lines)
        if self.lines:
            state = self._checkpoints.restore_last(state)
        self._correct = _correctness_before(self.folder / "correctness.npz", len(self.lines))
        self._parameters = parameter_count(state.variables)
        self._shapes = jax.tree.map(
            lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding), state.variables
        )
        return state

    @phase("writing")
    def after_epoch(self, epoch: EpochResult) -> None:
        """Writes an epoch down and saves the state after it, unless it diverged; then the state may be donated."""
        self.lines.append(epoch.metrics)
        append_line(self.folder / "metrics.jsonl", epoch.metrics)
        if self._correct is not None:
            self._correct.append(epoch.val_correct)
            write_npz(self.folder / "correctness.npz", correct=np.stack(self._correct))
        self.diverged_step = epoch.diverged_step
        if epoch.metrics["is_best"]:
            self._checkpoints.save_best(epoch.metrics["epoch"], epoch.state.variables)
        if epoch.diverged_step is None:
            self._checkpoints.save_last(epoch.metrics["epoch"], epoch.state)

    @phase("writing")
    def finish(self) -> dict:
        """Writes predictions and result, and returns the result."""
        lines, diverged = self.lines, self.diverged_step is not None
        result = {
            "schema_version": SCHEMA_VERSION,
            "architecture": self.name,
            "seed": self.seed,
            "status": "diverged" if diverged else "done",
            "parameters": self._parameters,
            "best": max((line for line in lines if line["is_best"]), key=lambda line: line["epoch"], default=None),
            "last": lines[-1],
            "best_updates": sum(line["is_best"] for line in lines),
            "trained_as": ways_of(lines),
            "evaluated_on": "val" if self._test is None else "test",
            "diverged_at": {"epoch": lines[-1]["epoch"], "step": self.diverged_step} if diverged else None,
        }
        if diverged:
            result |= {"loss": None, "accuracy": None, "confusion_matrix": None, "per_class": None}
        else:
            result |= self._scores_of_best(result["evaluated_on"])
        # Who finds a result finds the checkpoints too.
        self._checkpoints.wait()
        result["timing"] = {
            "seconds": time.perf_counter() - self._started,
            "training_seconds": sum(line["seconds"] for line in lines),
            "device": jax.devices()[0].device_kind,
        }
        write_json(self.folder / "result.json", result)
        return result

    def _scores_of_best(self, side: str) -> dict:
        """What the best epoch's network comes to on `side`; its predictions on all sides are written down."""
        functional, variables = self._trainer.functional, self._checkpoints.restore_best(self._shapes)
        logits = {"val": predict_logits(functional, variables, self._trainer.val)}
        if self._test is not None:
            logits["test"] = predict_logits(functional, variables, self._test)
        _write_predictions(self.folder / "predictions.npz", self._dataset, self._sides, logits)
        rows = self._sides[side]
        labels = self._dataset.labels[rows]
        scores = _scores(logits[side], labels, self._dataset)
        scores["last_three_val_accuracy"] = float(np.mean([e["val_accuracy"] for e in self.lines[-LAST_EPOCHS:]]))
        scores["best_optimism"] = None
        if self._test is None and self._correct is not None:
            groups = self._dataset.groups[self._sides["val"]]
            scores["best_optimism"] = optimism_of_best(np.stack(self._correct), groups)
        if any(len(images) for images in self._leaks.values()):
            scores |= accuracy_by_leak(logits[side], labels, np.isin(rows, self._leaks[side]))
        return scores


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
