"""When a replica is saved, that training does not wait for it, and that what a kill leaves is resumed bit for bit."""

import errno
import itertools
import shutil
import threading
import zlib
from concurrent import futures
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from resjax.data.dataset import Dataset
from resjax.records import MetricsLine, plain, read_lines, read_result
from resjax.run.replica import run_replica
from resjax.run.workdir import replica_folder
from resjax.run.workdir.replica_folder import ReplicaFolder
from resjax.run.workdir.sound_records import quarantine_damaged
from resjax.training.checkpoint import CheckpointError, Checkpoints
from resjax.training.loop import EpochResult
from resjax.training.replicas import Way
from resjax.training.saving import BackgroundSaver, SaveInterval, detached
from resjax.training.state import TrainState
from resjax.types import Variables

ACCURACIES = (0.2, 0.4, 0.4, 0.6, 0.2, 0.4, 0.8, 0.6)
"""Of each epoch: the first, second, fourth and seventh are best."""
EPOCHS = len(ACCURACIES)
LABELS = np.arange(5, dtype=np.int32) % 2


@jax.jit
def _next(state: TrainState) -> TrainState:
    weights = state.variables.parameters["weights"]
    variables = Variables({"weights": weights * 1.1 + jax.random.normal(state.key, weights.shape)}, {})
    return TrainState(state.step + 1, variables, state.optimizer, state.key)


_step = jax.jit(_next, donate_argnums=0)


class ScriptedTrainer:
    """A trainer whose states follow from the states before, and whose accuracies are given. It donates as `fit` does.

    Args:
      diverges: the epoch whose loss is not finite, if any.
    """

    functional, val = None, None

    def __init__(self, diverges: int | None = None):
        self.diverges = diverges

    def initial_state(self, seed: int) -> TrainState:
        parameters = {"weights": jnp.full((3, 2), 1.0)}
        return TrainState(
            jnp.int32(0), Variables(parameters, {}), optax.sgd(0.1).init(parameters), jax.random.key(seed)
        )

    def fit(self, state, *, first_epoch, best, partial):
        for epoch in range(first_epoch, EPOCHS + 1):
            state = _step(state)
            accuracy, diverged = ACCURACIES[epoch - 1], epoch == self.diverges
            metrics = {
                **{
                    "epoch": epoch,
                    "train_loss": None if diverged else float(state.variables.parameters["weights"][0, 0]),
                },
                **{"train_accuracy": 0.5, "val_loss": 0.1, "val_accuracy": accuracy, "learning_rate": 0.1},
                **{"is_best": not diverged and accuracy > best, "seconds": 1.0, "images_per_second": 1.0},
            }
            best = max(best, accuracy)
            yield EpochResult(metrics, state, epoch if diverged else None, np.arange(5) < 5 * accuracy)
            if diverged:
                return


def weights_as_logits(functional, variables, side) -> np.ndarray:
    return np.resize(np.asarray(variables.parameters["weights"]), (5, 2))


@pytest.fixture(autouse=True)
def scripted_logits(monkeypatch):
    monkeypatch.setattr(replica_folder, "predict_logits", weights_as_logits)


def settled(replica: ReplicaFolder) -> bool:
    """As `is_saving`, once the save that is under way has ended: so the clock alone says when the next one is due."""
    futures.wait([replica._saver._writing] if replica._saver._writing else [])
    return replica._saver.is_writing()


def replica_in(folder: Path, trainer: ScriptedTrainer) -> ReplicaFolder:
    names = tuple(f"{number}.png" for number in range(5))
    images = np.zeros((5, 1, 1, 3), np.uint8)
    dataset = Dataset("noise", ("a", "b"), names, LABELS, images, names, np.arange(5, dtype=np.int32))
    sides = {"train": np.arange(0), "val": np.arange(5), "test": np.arange(0)}
    return ReplicaFolder(trainer, "tiny", 3, folder, dataset, sides, None, {})


def run(folder: Path, every: float = 2.0, on_epoch=lambda *each: None, diverges: int | None = None):
    """Trains to the end, as if an epoch took `every` seconds."""
    trainer, ticks = ScriptedTrainer(diverges), itertools.count()
    replica = replica_in(folder, trainer)
    return run_replica(trainer, replica, Way("sequential"), on_epoch, lambda: every * next(ticks))


def left_by(folder: Path) -> dict[str, object]:
    """What a replica that ended left, bit for bit, without its times."""
    result = plain(read_result(folder / "result.json"))
    result.pop("timing")
    files = {name: zlib.crc32((folder / name).read_bytes()) for name in ("predictions.npz", "correctness.npz")}
    lines = [plain(line) for line in read_lines(folder / "metrics.jsonl", MetricsLine)]
    like = ScriptedTrainer().initial_state(0)
    kept = Checkpoints(folder / "checkpoints")
    last, best = kept.restore_last(like), kept.restore_best(like.variables)
    weights = [np.asarray(each.parameters["weights"]).tobytes() for each in (last.variables, best)]
    names = sorted(
        str(path.relative_to(folder)) for kind in ("best", "last") for path in (folder / "checkpoints" / kind).iterdir()
    )
    return {"result": result, "lines": lines, "weights": weights, "names": names, **files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("whole") / "replica"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replica_folder, "predict_logits", weights_as_logits)
        run(folder, every=0.0)
    return left_by(folder)


def test_a_save_comes_at_most_every_few_seconds():
    times = iter([0.0, 1.0, 4.9, 5.0, 5.1, 9.9, 30.0, 34.9])
    interval = SaveInterval(lambda: next(times))
    assert [interval.is_over() for _ in range(7)] == [False, False, True, False, False, True, False]


@pytest.mark.parametrize(("every", "saved"), [(0.0, [8]), (2.0, [3, 6, 8]), (60.0, [*range(1, 9)])])
def test_epochs_are_saved_by_the_clock_and_the_best_and_the_last_always(whole, every, saved, monkeypatch, tmp_path):
    written, save_last, save_best = [], Checkpoints.save_last, Checkpoints.save_best

    def noting(kind, save):
        def noted(self, epoch, *more):
            written.append((kind, epoch))
            save(self, epoch, *more)

        return noted

    monkeypatch.setattr(Checkpoints, "save_last", noting("last", save_last))
    monkeypatch.setattr(Checkpoints, "save_best", noting("best", save_best))
    monkeypatch.setattr(ReplicaFolder, "is_saving", settled)
    run(tmp_path / "replica", every)
    assert [epoch for kind, epoch in written if kind == "last"] == saved
    assert written[-2 if every < 60.0 else -3] == ("best", 7)
    assert left_by(tmp_path / "replica") == whole


@pytest.mark.parametrize("every", [2.0, 60.0])
def test_a_kill_between_any_two_writes_costs_epochs_and_changes_nothing(whole, every, monkeypatch, tmp_path):
    """What lies on the disk after each line and around each save is what a kill at that moment leaves."""
    replica, left = tmp_path / "replica", []
    save_last, save_best, start = Checkpoints.save_last, Checkpoints.save_best, BackgroundSaver.start

    def keep(*_):
        left.append(shutil.copytree(replica, tmp_path / f"left{len(left)}"))

    def around(save):
        def kept(self, *more):
            keep()
            save(self, *more)
            keep()

        return kept

    monkeypatch.setattr(ReplicaFolder, "is_saving", settled)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save_last", around(save_last))
        patch.setattr(Checkpoints, "save_best", around(save_best))
        # So that no epoch is copied while it is written.
        patch.setattr(BackgroundSaver, "start", lambda self, record: (start(self, record), self.wait()))
        run(replica, every, keep)
    assert len(left) > 10
    for folder in left:
        run(folder)
        assert left_by(folder) == whole


def test_training_goes_on_while_a_save_is_being_written_and_begins_no_second_one(whole, monkeypatch, tmp_path):
    save_last, may_end, saved = Checkpoints.save_last, threading.Event(), []

    def slow(self, epoch, *more):
        assert may_end.wait(60)
        saved.append(epoch)
        save_last(self, epoch, *more)

    def on_epoch(name, seed, line):
        # Training gets here although the first save does not end.
        if line.epoch == 6:
            may_end.set()

    monkeypatch.setattr(Checkpoints, "save_last", slow)
    run(tmp_path / "replica", 60.0, on_epoch)
    # The state of the first epoch, although later steps were given its memory.
    assert saved[0] == 1 and not {2, 3, 4, 5, 6} & set(saved) and saved[-1] == EPOCHS
    assert left_by(tmp_path / "replica") == whole


def test_the_best_network_is_evaluated_while_the_last_states_are_being_saved(whole, monkeypatch, tmp_path):
    save_last, evaluated, in_time = Checkpoints.save_last, threading.Event(), []

    def slow(self, *state):
        in_time.append(evaluated.wait(5))
        save_last(self, *state)

    def logits(*arguments):
        evaluated.set()
        return weights_as_logits(*arguments)

    monkeypatch.setattr(replica_folder, "predict_logits", logits)
    monkeypatch.setattr(Checkpoints, "save_last", slow)
    run(tmp_path / "replica", 0.0)
    assert in_time == [True] and left_by(tmp_path / "replica") == whole


def test_an_error_of_the_thread_ends_training_at_the_next_epoch(monkeypatch, tmp_path):
    def full(*arguments, **more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("resjax.training.checkpoint.save_file", full)
    monkeypatch.setattr(ReplicaFolder, "is_saving", settled)
    seen = []
    with pytest.raises(CheckpointError, match="No space left"):
        run(tmp_path / "replica", 60.0, lambda name, seed, line: seen.append(line.epoch))
    assert seen == [1] and not (tmp_path / "replica" / "result.json").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_whatever_ends_training_the_epochs_that_ended_are_saved(whole, error, tmp_path):
    def on_epoch(name, seed, line):
        if line.epoch == 5:
            raise error

    with pytest.raises(error):
        run(tmp_path / "replica", 0.0, on_epoch)
    assert Checkpoints(tmp_path / "replica" / "checkpoints").last_epoch == 5
    said = []
    run(tmp_path / "replica", 0.0, lambda name, seed, line: said.append(line.epoch))
    assert said == [6, 7, 8] and left_by(tmp_path / "replica") == whole


def test_a_replica_that_diverges_leaves_its_last_good_state(tmp_path):
    result = run(tmp_path / "replica", 0.0, diverges=6)
    kept = Checkpoints(tmp_path / "replica" / "checkpoints")
    assert result.status == "diverged" and kept.last_epoch == 5
    like = ScriptedTrainer().initial_state(0)
    (stand,) = kept.resume_points(like)
    assert [line["epoch"] for line in stand.record["lines"]] == [1, 2, 3, 4, 5]
    assert kept.best_variables(4, like.variables) is not None


def files_below(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): zlib.crc32(path.read_bytes()) for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture
def interrupted(tmp_path) -> Path:
    """A replica that was stopped after five epochs, the fourth of which is best."""

    def on_epoch(name, seed, line):
        if line.epoch == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "replica", 0.0, on_epoch)
    return tmp_path / "replica"


@pytest.mark.parametrize("place", ["checkpoints/best", "checkpoints/last", "metrics.jsonl"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ESTALE, errno.EACCES, errno.EIO, None])
def test_a_drive_that_fails_while_a_replica_is_resumed_costs_nothing(whole, interrupted, place, number, monkeypatch):
    before, read_bytes = files_below(interrupted), Path.read_bytes

    def failing(path: Path) -> bytes:
        if place in str(path):
            raise MemoryError if number is None else OSError(number, "said the drive", str(path))
        return read_bytes(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", failing)
        with pytest.raises(MemoryError if number is None else OSError, match=None if number is None else "said the"):
            run(interrupted)
    assert files_below(interrupted) == before
    run(interrupted)
    assert left_by(interrupted) == whole


def test_arrays_on_a_drive_that_fails_are_not_set_aside(monkeypatch, tmp_path):
    run(tmp_path / "replica")
    before = files_below(tmp_path)

    def failing(*arguments, **more):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("zipfile.ZipFile", failing)
        with pytest.raises(OSError, match="Too many"):
            quarantine_damaged(tmp_path / "replica")
    assert files_below(tmp_path) == before


def test_nothing_is_deleted_where_every_last_checkpoint_is_damaged(whole, interrupted):
    metrics = (interrupted / "metrics.jsonl").read_bytes()
    best = files_below(interrupted / "checkpoints" / "best" / "4")
    for path in (interrupted / "checkpoints" / "last").glob("*/record.json"):
        path.write_bytes(b"{")
    run(interrupted)
    assert (interrupted / "metrics.jsonl.unused").read_bytes() == metrics
    assert files_below(interrupted / "checkpoints" / "best-4.unused") == best
    assert left_by(interrupted) == whole


def test_a_result_whose_other_records_are_damaged_is_kept_beside_the_new_one(whole, tmp_path):
    run(tmp_path / "replica")
    before = (tmp_path / "replica" / "result.json").read_bytes()
    (tmp_path / "replica" / "predictions.npz").write_bytes(b"no")
    quarantine_damaged(tmp_path / "replica")
    assert (tmp_path / "replica" / "result.json.unused").read_bytes() == before
    run(tmp_path / "replica")
    assert left_by(tmp_path / "replica") == whole


def test_a_copy_on_any_device_outlives_the_donation_of_the_original(monkeypatch):
    for backend in ("cpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        state = ScriptedTrainer().initial_state(3)
        copy, expected = detached(state), np.array(state.variables.parameters["weights"])
        for _ in range(5):
            state = _step(state)
        np.testing.assert_array_equal(copy.variables.parameters["weights"], expected)
