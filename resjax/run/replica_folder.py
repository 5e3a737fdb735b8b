"""What one replica leaves in its folder, whoever trains it: alone, or together with others."""

import base64
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np

from resjax.data.pipeline import Side
from resjax.evaluation.metrics import accuracy_by_leak, confusion_matrix, loss_and_accuracy, per_class_scores
from resjax.evaluation.selection import LAST_EPOCHS, optimism_of_best
from resjax.report.records import SCHEMA_VERSION, append_line, read_json, read_lines, write_json, write_lines, write_npz
from resjax.report.storage import DamagedRecord, plain, read_npz, set_aside
from resjax.run.costs import parameter_count
from resjax.run.timing import phase
from resjax.training.checkpoint import Checkpoints, ResumePoint
from resjax.training.loop import EpochResult, PartialEpoch, Trainer, UnfinishedEpoch
from resjax.training.state import TrainState
from resjax.training.step import StepSums, predict_logits
from resjax.types import Dataset

FINISHED = ("done", "diverged")


def finished_result(folder: Path) -> dict | None:
    """The result of a replica that is done or has diverged, None of one that is pending."""
    path = folder / "result.json"
    result = read_json(path) if path.exists() else None
    return result if result and result["status"] in FINISHED else None


def set_damaged_aside(folder: Path) -> None:
    """Sets aside those records of a finished replica that were damaged.

    Without its result a replica is pending: it is finished again from its last checkpoint, and comes to the same.
    """
    damaged = [name for name, read in READERS.items() if _set_aside_if_damaged(folder / name, read)]
    result = folder / "result.json"
    if result.exists() and not damaged:
        metrics = folder / "metrics.jsonl"
        if not metrics.exists() or len(read_lines(metrics)) == read_json(result)["last"]["epoch"]:
            return
        print(f"WARNING: {metrics} was cut short: it is made again", flush=True)
    if (folder / "checkpoints" / "last").exists():
        result.unlink(missing_ok=True)


def read_or_set_aside(path: Path) -> dict | None:
    """A record; None where it is not there, or was damaged and is now set aside."""
    if _set_aside_if_damaged(path, read_json) or not path.exists():
        return None
    return read_json(path)


def _set_aside_if_damaged(path: Path, read: Callable[[Path], object]) -> bool:
    if not path.exists():
        return False
    try:
        read(path)
    except DamagedRecord as error:
        print(f"WARNING: {error}: it is now {set_aside(path).name}, and is made again", flush=True)
        return True
    return False


READERS: Mapping[str, Callable[[Path], object]] = {
    "result.json": read_json,
    "metrics.jsonl": read_lines,
    "predictions.npz": read_npz,
    "correctness.npz": read_npz,
}
"""The records of a replica, with what reads each and finds it damaged."""


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
        self.trainer, self.name, self.seed, self.folder = trainer, name, seed, folder
        self._dataset, self._sides, self._test, self._leaks = dataset, sides, test, leaks
        self.lines: list[dict] = []
        """The epochs so far, as they stand in `metrics.jsonl`."""
        self.begun: PartialEpoch | None = None
        """What is over of the epoch after these, where training was stopped inside it."""
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
    def stands_at(self) -> tuple[int, int]:
        """The epochs that are over, and the steps of the next that are."""
        return len(self.lines), 0 if self.begun is None else len(self.begun.sums.loss)

    @property
    def best(self) -> float:
        """The best validation accuracy so far, -1 before there is one."""
        return max((line["val_accuracy"] for line in self.lines if line["is_best"]), default=-1.0)

    def begin(self) -> TrainState:
        """The state after the last complete epoch in the folder, or before the first; `lines` has those epochs.

        Where training was stopped inside an epoch, it is the state there, and `begun` has what is over of it.

        A kill may fall between any two writes, and a file may be damaged: what counts is the newest checkpoint that is
        sound, with the best one that belongs to it. The other files follow that.
        """
        initial = state = self.trainer.initial_state(self.seed)
        self.lines, self._correct, self.begun = [], [], None
        for stand in self._checkpoints.resume_points(initial):
            if self._take_up(stand):
                state = stand.state
                break
        self._checkpoints.delete_after(len(self.lines))
        if self.begun is None:
            self._checkpoints.delete_unfinished()
        for name, read in READERS.items():
            _set_aside_if_damaged(self.folder / name, read)
        write_lines(self.folder / "metrics.jsonl", self.lines)
        self._write_correctness()
        self._parameters = parameter_count(state.variables)
        self._like = jax.tree.map(
            lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding), state
        )
        return state

    def _take_up(self, stand: ResumePoint) -> bool:
        """Takes over the epochs up to a checkpoint, unless what belongs to it is missing."""
        if stand.record is None:
            lines, correct = _history_in_files(self.folder, stand.epoch)
        else:
            lines = stand.record["lines"]
            correct = _unpacked(stand.record["correct"]) if lines else []
        begun = _begun(stand.record)
        if begun is not None and jax.process_count() > 1:
            # The other processes would have to know its sums: they begin the epoch again.
            return False
        best_epoch = max((line["epoch"] for line in lines if line["is_best"]), default=0)
        if len(lines) < stand.epoch or (lines and not best_epoch):
            return False
        if lines and self._checkpoints.best_variables(best_epoch, stand.state.variables) is None:
            if best_epoch != stand.epoch or begun is not None:
                return False
            self._checkpoints.save_best(best_epoch, stand.state.variables)
            self._checkpoints.wait()
        self.lines, self._correct, self.begun = lines, correct, begun
        return True

    @phase("writing")
    def after_epoch(self, epoch: EpochResult) -> None:
        """Writes an epoch down and saves the state after it, unless it diverged; then the state may be donated."""
        self.lines.append(epoch.metrics)
        append_line(self.folder / "metrics.jsonl", epoch.metrics)
        if self._correct is not None:
            self._correct.append(epoch.val_correct)
        self._write_correctness()
        self.diverged_step = epoch.diverged_step
        if epoch.metrics["is_best"]:
            self._checkpoints.save_best(epoch.metrics["epoch"], epoch.state.variables)
        if epoch.diverged_step is None:
            self._checkpoints.save_last(epoch.metrics["epoch"], epoch.state, self._record())

    @phase("writing")
    def within_epoch(self, unfinished: UnfinishedEpoch) -> None:
        """Saves the state inside an epoch, with what the epoch has come to so far."""
        sums, seconds = unfinished.partial
        begun = {"loss": sums.loss.tolist(), "correct": sums.correct.tolist(), "seconds": seconds}
        self._checkpoints.save_unfinished(len(self.lines), unfinished.state, self._record() | {"begun": begun})
        self._checkpoints.wait()

    def _record(self) -> dict:
        """What a checkpoint holds beside the state."""
        return {"lines": plain(self.lines), "correct": _packed(self._correct)}

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
        self._checkpoints.keep_newest()
        result["timing"] = {
            "seconds": time.perf_counter() - self._started,
            "training_seconds": sum(line["seconds"] for line in lines),
            "device": jax.devices()[0].device_kind,
        }
        write_json(self.folder / "result.json", result)
        return result

    def _write_correctness(self) -> None:
        if self._correct:
            write_npz(self.folder / "correctness.npz", correct=np.stack(self._correct))

    def _scores_of_best(self, side: str) -> dict:
        """What the best epoch's network comes to on `side`; its predictions on all sides are written down."""
        functional, variables = self.trainer.functional, self._checkpoints.restore_best(self._like.variables)
        logits = {"val": predict_logits(functional, variables, self.trainer.val)}
        if self._test is not None:
            logits["test"] = predict_logits(functional, variables, self._test)
        _write_predictions(self.folder / "predictions.npz", self._dataset, self._sides, logits)
        rows = self._sides[side]
        labels = self._dataset.labels[rows]
        scores = _scores(logits[side], labels, self._dataset)
        scores["last_three_val_accuracy"] = float(np.mean([e["val_accuracy"] for e in self.lines[-LAST_EPOCHS:]]))
        if self._test is not None:
            # The epoch that nobody chose, as papers report it; the headline stays that of the best one.
            self._checkpoints.wait()
            last = predict_logits(functional, self._checkpoints.restore_last(self._like).variables, self._test)
            scores["final_test_accuracy"] = loss_and_accuracy(last, labels)[1]
        scores["best_optimism"] = None
        if self._test is None and self._correct is not None:
            groups = self._dataset.groups[self._sides["val"]]
            scores["best_optimism"] = optimism_of_best(np.stack(self._correct), groups)
        if any(len(images) for images in self._leaks.values()):
            scores |= accuracy_by_leak(logits[side], labels, np.isin(rows, self._leaks[side]))
        return scores


def _history_in_files(folder: Path, epochs: int) -> tuple[list[dict], list[np.ndarray] | None]:
    """The lines, and which images of val were right after each epoch, from the files of a run that kept them there
    alone; None for what it did not keep."""
    lines, correct = [], None
    with suppress(DamagedRecord, FileNotFoundError):
        lines = read_lines(folder / "metrics.jsonl")[:epochs]
        correct = [*read_npz(folder / "correctness.npz")["correct"][:epochs]]
    return lines, correct


def _begun(record: dict[str, Any] | None) -> PartialEpoch | None:
    """What is over of an epoch, from the record of a checkpoint inside it."""
    if record is None or "begun" not in record:
        return None
    begun = record["begun"]
    return PartialEpoch(StepSums(np.float32(begun["loss"]), np.int32(begun["correct"])), begun["seconds"])


def _packed(correct: list[np.ndarray] | None) -> dict | None:
    """What is right after each epoch, for the record of a checkpoint: a bit an image."""
    if not correct:
        return None
    bits = np.packbits(np.stack(correct), axis=1)
    return {"images": correct[0].size, "bits": base64.b64encode(bits.tobytes()).decode(), "epochs": len(correct)}


def _unpacked(record: dict[str, Any] | None) -> list[np.ndarray] | None:
    if record is None:
        return None
    bits = np.frombuffer(base64.b64decode(record["bits"]), np.uint8).reshape(record["epochs"], -1)
    return [*np.unpackbits(bits, axis=1, count=record["images"]).astype(bool)]


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
