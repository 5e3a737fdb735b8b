"""Replicas that are trained together come to what each comes to alone, whichever way."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from resjax.data.augmentation import ColorJitter, Flip
from resjax.data.dataset import Dataset
from resjax.data.pipeline import ResidentSide, StreamedSide
from resjax.errors import BadInput
from resjax.records import MetricsLine, Summary, read_lines, read_npz, read_record
from resjax.run import compare as compare_module
from resjax.run.compare import compare
from resjax.run.replica import NetworkPrograms, run_replicas, schedule
from resjax.run.workdir.replica_folder import ReplicaFolder
from resjax.training.loop import Trainer
from resjax.training.mesh import make_mesh
from resjax.training.recipe import Recipe
from resjax.training.replicas import ReplicaTrainer, Way, choose_way
from tests.run.test_several_splits import settings

SEEDS = (3, 0, 8)


def images_and_labels():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 23).astype(np.int32)
    images = rng.integers(0, 120, (23, 8, 8, 3)).astype(np.uint8)
    images[np.arange(23), :, :, labels] += 100
    return images, labels


RECIPE = Recipe(
    epochs=2,
    batch_size=8,
    augmentations=(Flip(), ColorJitter(0.2, 0.2, 0.0, 0.0)),
    mixup=0.4,
    cutmix=1.0,
    label_smoothing=0.1,
    class_weights="balanced",
    clip_norm=1.0,
    ema_decay=0.8,
)
"""With every field that changes what a step does with a batch."""


@pytest.fixture(scope="module")
def trainer(tiny):
    images, labels = images_and_labels()
    return Trainer(tiny, RECIPE, ResidentSide(images[:18], labels[:18]), ResidentSide(images[18:], labels[18:]))


@pytest.fixture(scope="module")
def vmapped(tiny):
    """All at once, on images that are streamed."""
    images, labels = images_and_labels()
    sides = StreamedSide(images, labels, np.arange(18)), StreamedSide(images, labels, np.arange(18, 23))
    return ReplicaTrainer(Trainer(tiny, RECIPE, *sides), "vmap", make_mesh())


@pytest.fixture(scope="module")
def alone(trainer):
    """The epochs of each seed, and the variables and their averages after the last."""
    found = []
    for seed in SEEDS:
        epochs = list(trainer.fit(trainer.initial_state(seed)))
        state = epochs[-1].state
        found.append((epochs, jax.device_get((state.variables, state.evaluated))))
    return found


def require_equal(results, alone):
    """Holds lists of results, one list an epoch, against what replicas came to alone."""
    for row, (epochs, variables) in enumerate(alone):
        mine = [epoch[row] for epoch in results]
        assert len(mine) == len(epochs)
        for here, there in zip(mine, epochs, strict=True):
            for key in ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate"):
                np.testing.assert_allclose(here.metrics[key], there.metrics[key], rtol=1e-5, atol=1e-5)
            assert here.metrics["is_best"] == there.metrics["is_best"] and here.diverged_step is None
            assert np.array_equal(here.val_correct, there.val_correct)
        state = mine[-1].state
        own = state.variables, state.evaluated
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), own, variables)


def test_all_at_once_each_comes_to_what_it_comes_to_alone(vmapped, alone):
    require_equal([*vmapped.fit([vmapped.trainer.initial_state(seed) for seed in SEEDS])], alone)


def test_one_after_the_other_in_one_program_too(trainer, alone):
    together = ReplicaTrainer(trainer, "map", make_mesh())
    require_equal([*together.fit([trainer.initial_state(seed) for seed in SEEDS])], alone)


def folders(trainer, root):
    """The files of each seed's replica, for a trainer on `images_and_labels`."""
    images, labels = images_and_labels()
    names = tuple(f"{number}.png" for number in range(23))
    dataset = Dataset("noise", ("a", "b", "c"), names, labels, images, names, np.arange(23, dtype=np.int32))
    sides = {"train": np.arange(18), "val": np.arange(18, 23), "test": np.arange(0)}
    return [ReplicaFolder(trainer, "tiny", seed, root / f"seed{seed}", dataset, sides, None, {}) for seed in SEEDS]


def test_a_run_goes_on_another_way_than_it_began(trainer, alone, tmp_path):
    programs = NetworkPrograms(trainer)

    def stop(name, seed, line):
        if (seed, line.epoch) == (SEEDS[1], 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        # One by one: the first seed is done, the second has an epoch, the third nothing.
        list(run_replicas(programs, Way("sequential"), folders(trainer, tmp_path), stop))
    said = []
    together = list(
        run_replicas(programs, Way("vmap"), folders(trainer, tmp_path), lambda *each: said.append(each[:2]))
    )
    assert said == [("tiny", SEEDS[2]), ("tiny", SEEDS[2]), ("tiny", SEEDS[1])]
    by_seed = {result.seed: result for result in together}
    assert by_seed[SEEDS[0]].trained_as == ["sequential"]
    assert by_seed[SEEDS[1]].trained_as == ["sequential", "vmap of 1"]
    for seed, (epochs, _) in zip(SEEDS, alone, strict=True):
        lines = read_lines(tmp_path / f"seed{seed}" / "metrics.jsonl", MetricsLine)
        assert by_seed[seed].status == "done" and [line.epoch for line in lines] == [1, 2]
        # What was kept as the best is what was validated: the averages.
        assert by_seed[seed].accuracy == by_seed[seed].best.val_accuracy
        assert by_seed[seed].loss == pytest.approx(by_seed[seed].best.val_loss, rel=1e-5)
        for line, epoch in zip(lines, epochs, strict=True):
            np.testing.assert_allclose(line.val_loss, epoch.metrics["val_loss"], rtol=1e-5)


@pytest.mark.parametrize(("first", "then"), [("sequential", "sequential"), ("vmap", "vmap"), ("vmap", "sequential")])
def test_replicas_that_are_stopped_inside_an_epoch_are_saved_there_and_go_on(
    trainer, alone, tmp_path, monkeypatch, first, then
):
    programs, lines = NetworkPrograms(trainer), []

    def on_epoch(*each):
        lines.append(each)

    # Each stop falls one or two steps later than the one before, in the first epoch and in later ones.
    for steps in (1, 2, 1):
        answers = iter([False] * steps)
        monkeypatch.setattr(trainer, "asked_to_stop", lambda answers=answers: next(answers, True))
        assert list(run_replicas(programs, Way(first), folders(trainer, tmp_path), on_epoch)) == []
    told = [(seed, line.epoch) for _, seed, line in lines]
    assert told == [(SEEDS[0], 1)] if first == "sequential" else [(seed, 1) for seed in SEEDS]
    monkeypatch.setattr(trainer, "asked_to_stop", lambda: False)
    assert len(list(run_replicas(programs, Way(then), folders(trainer, tmp_path), on_epoch))) == len(SEEDS)
    exact = first == then == "sequential"
    for seed, (epochs, _) in zip(SEEDS, alone, strict=True):
        folder = tmp_path / f"seed{seed}"
        assert not (folder / "checkpoints" / "unfinished").exists()
        found = read_lines(folder / "metrics.jsonl", MetricsLine)
        assert [line.epoch for line in found] == [1, 2]
        for line, epoch in zip(found, epochs, strict=True):
            for key in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
                np.testing.assert_allclose(getattr(line, key), epoch.metrics[key], rtol=0 if exact else 1e-5)
        correct = read_npz(folder / "correctness.npz")["correct"]
        assert np.array_equal(correct, np.stack([epoch.val_correct for epoch in epochs]))


def test_one_that_diverges_leaves_the_others_alone(vmapped, alone):
    states = [vmapped.trainer.initial_state(seed) for seed in SEEDS]
    kernel = states[1].variables.parameters["head"]
    kernel["kernel"] = kernel["kernel"].at[0, 0].set(np.nan)
    first, second = vmapped.fit(states)
    assert first[1].diverged_step == 1 and not first[1].metrics["is_best"] and second[1] is None
    for row in (0, 2):
        np.testing.assert_allclose(
            [epoch[row].metrics["train_loss"] for epoch in (first, second)],
            [epoch.metrics["train_loss"] for epoch in alone[row][0]],
            rtol=1e-5,
        )


def test_the_lowest_seeds_of_all_arms_come_first():
    pending = {"plain": [0, 1, 2, 3, 4], "residual": [1, 2]}
    assert schedule(pending, dict.fromkeys(pending, Way("sequential"))) == [
        *[("plain", (0,)), ("plain", (1,)), ("residual", (1,)), ("plain", (2,)), ("residual", (2,))],
        *[("plain", (3,)), ("plain", (4,))],
    ]
    rows = dict.fromkeys(pending, Way("devices", rows=4))
    assert schedule(pending, rows) == [("plain", (0, 1, 2)), ("residual", (1, 2)), ("plain", (3, 4))]
    assert schedule(pending, dict.fromkeys(pending, Way("vmap"))) == [("plain", (0, 1, 2, 3, 4)), ("residual", (1, 2))]


def test_one_device_is_enough_for_every_way():
    assert choose_way("auto", None, 1e9) == Way("sequential")
    assert choose_way("devices", None, 1e9).describe(1) == "sequential (there is one device)"
    assert choose_way("vmap", None, 1e9).at_once(7) == 7
    with pytest.raises(BadInput, match="needs 2 devices: expected at most 1"):
        choose_way("auto", {"replica": 2, "batch": 1}, 1e9)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_too_little_memory_is_noted_and_the_next_slower_way_taken(tmp_path, cache, monkeypatch, capsys):
    monkeypatch.setattr(compare_module, "draw_figures", lambda workdir: [])
    fit = ReplicaTrainer.fit

    def lacking(self, states, **more):
        if len(states) > 1:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 10 bytes.")
        return fit(self, states, **more)

    monkeypatch.setattr(ReplicaTrainer, "fit", lacking)
    asked = replace(settings(tmp_path / "out", cache), replicas_as="vmap", seeds=(0, 1))
    summary = compare(asked)
    assert read_record(tmp_path / "out" / "summary.json", Summary) == summary
    for name in ("plain", "residual"):
        assert summary.architectures[name].status == {0: "done", 1: "done"}
        assert summary.architectures[name].trained_as == ["sequential (map needs more memory than the device has)"]
    assert "plain: map of 2 (vmap needs more memory than the device has)" in capsys.readouterr().out
