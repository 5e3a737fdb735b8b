"""The files and records of one replica, whether it is trained alone or together with others."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from msgspec import UNSET, UnsetType

from resjax.data.dataset import Dataset
from resjax.data.pipeline import Side
from resjax.evaluation.metrics import accuracy_by_leak, confusion_matrix, loss_and_accuracy, per_class_scores
from resjax.evaluation.selection import LAST_EPOCHS, optimism_of_best
from resjax.records import (
    Diverged,
    DivergedAt,
    Done,
    Environment,
    MetricsLine,
    Progress,
    ReplicaTiming,
    Reported,
    Result,
    append_line,
    from_plain,
    read_lines,
    set_aside,
    write_lines,
    write_npz,
    write_record,
)
from resjax.run.setup.costs import parameter_count
from resjax.run.timing import phase
from resjax.run.workdir.environments import record_environment
from resjax.run.workdir.replica_progress import correct_by_epoch, partial_epoch, progress_values
from resjax.run.workdir.sound_records import set_damaged_aside
from resjax.training.checkpoint import UNUSED, Checkpoints, ResumePoint, on_host
from resjax.training.loop import EpochResult, PartialEpoch, Trainer, UnfinishedEpoch
from resjax.training.saving import BackgroundSaver
from resjax.training.state import TrainState
from resjax.training.step import predict_logits
from resjax.types import Variables


class ReplicaFolder:
    """The files and records of replica `seed` of network `name`: `begin`, `after_epoch` for each epoch, then `finish`.

    It writes a line of `metrics.jsonl` after each epoch, checkpoints when told to and at the end, and the other files
    at the end. Use it in a `with` statement, which opens the folder, and on any way out but a failed disk saves the
    epochs that have ended.

    Args:
      trainer: of the replica's initial state and network.
      name: of the network.
      seed: of the replica.
      folder: of its files, made if it is missing.
      dataset: all images.
      sides: the images of each side.
      test: the test set, on which the best epoch's network is evaluated once.
      leaks: the images of val and test that are on another side, too. If there are any, the result has the accuracy on
        them and on the rest.
      environment: of this process, to be recorded with the replica; none without.
    """

    def __init__(
        self,
        trainer: Trainer,
        name: str,
        seed: int,
        folder: Path,
        dataset: Dataset,
        sides: Mapping[str, np.ndarray],
        test: Side | None,
        leaks: Mapping[str, np.ndarray],
        environment: Environment | None = None,
    ):
        self.trainer, self.name, self.seed, self.folder = trainer, name, seed, folder
        self._dataset, self._sides, self._test, self._leaks = dataset, sides, test, leaks
        self._environment = environment
        self._environments: list[Environment] | UnsetType = UNSET
        self.lines: list[MetricsLine] = []
        """The epochs so far, as in `metrics.jsonl`."""
        self._correct: list[np.ndarray] = []
        """Which validation images were right after each of these epochs."""
        self.begun: PartialEpoch | None = None
        """The finished part of the epoch after these, if training was stopped inside it."""
        self.diverged_step: int | None = None
        """The step whose loss was not finite, None if all were."""

    def __enter__(self) -> "ReplicaFolder":
        self._started = time.perf_counter()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._checkpoints = Checkpoints(self.folder / "checkpoints")
        self._saver = BackgroundSaver(self._checkpoints)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if not isinstance(error, OSError):
                self._save_all()
        finally:
            self._saver.close()

    @property
    def position(self) -> tuple[int, int]:
        """The number of finished epochs, and of finished steps of the next epoch."""
        return len(self.lines), 0 if self.begun is None else len(self.begun.sums.loss)

    @property
    def best(self) -> float:
        """The best validation accuracy so far, -1 before the first."""
        return max((line.val_accuracy for line in self.lines if line.is_best), default=-1.0)

    def begin(self) -> TrainState:
        """The state after the last complete epoch in the folder, or the initial state; `lines` has those epochs.

        If training was stopped inside an epoch, it is the state there, and `begun` has the finished part of the epoch.

        A kill can fall between any two writes, and a file can be damaged. The newest sound checkpoint counts, together
        with the best checkpoint that belongs to it. The other files are made to agree with them: lines of later epochs,
        which are trained again, are dropped.

        Raises:
          CheckpointError: if a checkpoint cannot be read for another reason than damage.
          RecordError: if a checkpoint or a record is of another version. Neither error changes a file.
        """
        initial = state = self.trainer.initial_state(self.seed)
        self.lines, self._correct, self.begun = [], [], None
        for stand in self._checkpoints.resume_points(initial):
            if self._take_up(stand):
                state = stand.state
                break
        # All is read before anything is removed.
        set_damaged_aside(self.folder)
        metrics = self.folder / "metrics.jsonl"
        if (
            self._checkpoints.has_quarantined
            and metrics.exists()
            and len(read_lines(metrics, MetricsLine)) > len(self.lines)
        ):
            set_aside(metrics, mark=UNUSED)
        self._checkpoints.discard_after(len(self.lines), unfinished=self.begun is None)
        write_lines(metrics, self.lines)
        if self._environment is not None:
            resumed = state is not initial
            self._environments = record_environment(self.folder, self._environment, resumed=resumed)
        self._parameters = parameter_count(state.variables)
        self._like = jax.tree.map(
            lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding), state
        )
        return state

    def _take_up(self, stand: ResumePoint) -> bool:
        """Takes over the epochs up to a checkpoint, unless something that belongs to it is missing."""
        progress = from_plain(stand.record, Progress, str(self.folder / "checkpoints"))
        lines, begun = progress.lines, partial_epoch(progress)
        if begun is not None and jax.process_count() > 1:
            # The other processes do not know its sums: they begin the epoch again.
            return False
        best_epoch = max((line.epoch for line in lines if line.is_best), default=0)
        if len(lines) < stand.epoch or (lines and not best_epoch):
            return False
        if lines and self._checkpoints.best_variables(best_epoch, stand.state.variables) is None:
            if best_epoch != stand.epoch or begun is not None:
                return False
            self._checkpoints.save_best(best_epoch, stand.state.evaluated)
        self.lines, self._correct, self.begun = lines, correct_by_epoch(progress), begun
        return True

    @phase("writing")
    def after_epoch(self, epoch: EpochResult, trained_as: str | None = None, *, save: bool) -> MetricsLine:
        """Writes the line of an epoch, which it returns, and takes over the state, unless the replica diverged.

        Args:
          epoch: the result. Its state must not be donated afterwards.
          trained_as: the way in which the replica was trained, if not by itself.
          save: whether checkpoints are written now, in the background.

        Raises:
          CheckpointError: if the last checkpoints could not be written.
        """
        metrics = cast(dict[str, Any], epoch.metrics)
        line = MetricsLine(**metrics, trained_as=UNSET if trained_as is None else trained_as)
        self.lines.append(line)
        append_line(self.folder / "metrics.jsonl", line)
        self._correct.append(epoch.val_correct)
        self.diverged_step = epoch.diverged_step
        if epoch.diverged_step is None:
            self._saver.hold(line.epoch, epoch.state, is_best=line.is_best)
        if save:
            self._saver.start(self._record)
        return line

    def is_saving(self) -> bool:
        """Whether checkpoints are being written.

        Raises:
          CheckpointError: if the last ones could not be written.
        """
        return self._saver.is_writing()

    @phase("writing")
    def within_epoch(self, unfinished: UnfinishedEpoch) -> None:
        """Saves the state inside an epoch, with the sums of its finished steps."""
        self._save_all()
        record = progress_values(self.lines, self._correct, unfinished.partial)
        self._checkpoints.save_unfinished(len(self.lines), unfinished.state, record)

    def _save_all(self) -> None:
        """Returns when the epochs that have ended are saved."""
        self._saver.start(self._record)
        self._saver.wait()

    def _record(self, epoch: int) -> Any:
        # The last line may be of a later epoch, which diverged.
        return progress_values(self.lines[:epoch], self._correct[:epoch])

    @phase("writing")
    def finish(self) -> Result:
        """Saves what is left to save, writes predictions and result, and returns the result."""
        # In the background, while the best epoch's network is evaluated.
        self._saver.start(self._record)
        if self._correct:
            write_npz(self.folder / "correctness.npz", correct=np.stack(self._correct))
        result = self._done() if self.diverged_step is None else self._diverged(self.diverged_step)
        write_record(self.folder / "result.json", result)
        return result

    def _diverged(self, step: int) -> Diverged:
        self._finish_saving()
        return Diverged(
            architecture=self.name,
            seed=self.seed,
            status="diverged",
            parameters=self._parameters,
            best=self._best_line(),
            last=self.lines[-1],
            best_updates=sum(line.is_best for line in self.lines),
            trained_as=self._trained_as(),
            evaluated_on=self._reported,
            diverged_at=DivergedAt(epoch=self.lines[-1].epoch, step=step),
            timing=self._timing(),
            environments=self._environments,
        )

    def _done(self) -> Done:
        """The result, with the scores of the best epoch's network; its predictions on all sides are written, too."""
        functional, variables = self.trainer.functional, self._best_variables()
        logits = {"val": predict_logits(functional, variables, self.trainer.val)}
        if self._test is not None:
            logits["test"] = predict_logits(functional, variables, self._test)
        _write_predictions(self.folder / "predictions.npz", self._dataset, self._sides, logits)
        own, rows = logits[self._reported], self._sides[self._reported]
        labels = self._dataset.labels[rows]
        loss, accuracy = loss_and_accuracy(own, labels)
        confusion = confusion_matrix(own.argmax(-1), labels, len(self._dataset.classes))
        final_test_accuracy = UNSET if self._test is None else self._final_test_accuracy(labels)
        best_optimism = None
        if self._test is None:
            best_optimism = optimism_of_best(np.stack(self._correct), self._dataset.groups[self._sides["val"]])
        by_leak = {}
        if any(len(images) for images in self._leaks.values()):
            by_leak = accuracy_by_leak(own, labels, np.isin(rows, self._leaks[self._reported]))
        best = self._best_line()
        assert best is not None
        self._finish_saving()
        return Done(
            architecture=self.name,
            seed=self.seed,
            status="done",
            parameters=self._parameters,
            best=best,
            last=self.lines[-1],
            best_updates=sum(line.is_best for line in self.lines),
            trained_as=self._trained_as(),
            evaluated_on=self._reported,
            loss=loss,
            accuracy=accuracy,
            confusion_matrix=confusion.tolist(),
            per_class=per_class_scores(confusion, self._dataset.classes),
            last_three_val_accuracy=float(np.mean([line.val_accuracy for line in self.lines[-LAST_EPOCHS:]])),
            final_test_accuracy=final_test_accuracy,
            best_optimism=best_optimism,
            leaked=by_leak.get("leaked", UNSET),
            clean=by_leak.get("clean", UNSET),
            timing=self._timing(),
            environments=self._environments,
        )

    def _finish_saving(self) -> None:
        """Has the checkpoints final, before a result says so."""
        self._saver.wait()
        self._checkpoints.keep_newest()

    def _best_variables(self) -> Variables:
        if (held := self._saver.best) is not None:
            return _on_one_device(held)
        self._saver.wait()
        return self._checkpoints.restore_best(self._like.variables)

    def _last_variables(self) -> Variables:
        if (held := self._saver.newest) is not None:
            return _on_one_device(held.evaluated)
        self._saver.wait()
        return self._checkpoints.restore_last(self._like).evaluated

    @property
    def _reported(self) -> Reported:
        return "val" if self._test is None else "test"

    def _best_line(self) -> MetricsLine | None:
        return max((line for line in self.lines if line.is_best), key=lambda line: line.epoch, default=None)

    def _trained_as(self) -> list[str]:
        """Each way in which the epochs were trained, once."""
        return list(dict.fromkeys("sequential" if line.trained_as is UNSET else line.trained_as for line in self.lines))

    def _timing(self) -> ReplicaTiming:
        return ReplicaTiming(
            seconds=time.perf_counter() - self._started,
            training_seconds=sum(line.seconds for line in self.lines),
            device=jax.devices()[0].device_kind,
        )

    def _final_test_accuracy(self, labels: Int[np.ndarray, " image"]) -> float:
        """The accuracy after the last epoch, which nobody chose, as papers report it."""
        assert self._test is not None
        logits = predict_logits(self.trainer.functional, self._last_variables(), self._test)
        return loss_and_accuracy(logits, labels)[1]


def _on_one_device(variables: Variables) -> Variables:
    """The variables as the first process alone computes with them, wherever they are held."""
    return jax.tree.map(lambda leaf: jnp.asarray(on_host(leaf)), variables)


def _write_predictions(
    path: Path,
    dataset: Dataset,
    sides: Mapping[str, Int[np.ndarray, " side"]],
    logits: Mapping[str, Float[np.ndarray, "image class"]],
) -> None:
    rows = np.concatenate([sides[side] for side in logits])
    write_npz(
        path,
        id=np.array(dataset.ids)[rows],
        label=dataset.labels[rows],
        side=np.concatenate([[side] * len(sides[side]) for side in logits]),
        logits=np.concatenate(list(logits.values())),
    )
