"""Averages of the weights: their formula, that they are what is evaluated and kept, and that they resume."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from resjax.data.augmentation import standardize, to_float
from resjax.data.pipeline import ResidentSide
from resjax.evaluation.metrics import loss_and_accuracy
from resjax.training.checkpoint import Checkpoints
from resjax.training.loop import EpochResult, Trainer
from resjax.training.recipe import Recipe
from resjax.training.saving import BackgroundSaver
from resjax.training.state import AveragedState, TrainState
from resjax.types import Variables

RECIPE = Recipe(epochs=2, batch_size=6, learning_rate=1e-2, ema_decay=0.8)


@pytest.fixture(scope="module")
def trainer(tiny) -> Trainer:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (18, 8, 8, 3)).astype(np.uint8), rng.integers(0, 3, 18)
    return Trainer(tiny, RECIPE, ResidentSide(images[:12], labels[:12]), ResidentSide(images[12:], labels[12:]))


@pytest.fixture(scope="module")
def epochs(trainer) -> list[EpochResult]:
    return [
        epoch._replace(state=jax.tree.map(jnp.copy, epoch.state)) for epoch in trainer.fit(trainer.initial_state(0))
    ]


def require_equal(one: object, other: object) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.9999])
def test_an_average_is_the_weighted_mean_over_the_steps_without_what_was_there_before(decay):
    steps = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    before = jnp.full(3, 7.0)
    state = AveragedState(jnp.int32(0), Variables(before, before), (), jax.random.key(0), Variables(before, before))
    reference = optax.ema(decay)
    theirs = reference.init(before)
    for number, values in enumerate(steps, 1):
        variables = Variables(jnp.array(values), jnp.array(-values))
        state = replace(state, step=jnp.int32(number), variables=variables).averaged(decay)
        weights = decay ** np.arange(number - 1, -1, -1)
        expected = weights @ steps[:number] / weights.sum()
        np.testing.assert_allclose(state.evaluated.parameters, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(state.evaluated.statistics, -expected, rtol=1e-4, atol=1e-5)
        debiased, theirs = reference.update(jnp.array(values), theirs)
        np.testing.assert_allclose(state.evaluated.parameters, debiased, rtol=2e-3, atol=1e-4)


def test_without_a_decay_there_are_no_averages(tiny, trainer):
    plain = Trainer(tiny, replace(RECIPE, ema_decay=0.0), trainer.train, trainer.val).initial_state(0)
    assert type(plain) is TrainState and plain.evaluated is plain.variables
    averaged = trainer.initial_state(0)
    extra = len(jax.tree.leaves(averaged)) - len(jax.tree.leaves(plain))
    assert extra == len(jax.tree.leaves(plain.variables))
    require_equal(averaged.averages, averaged.variables)


def test_the_averages_are_of_the_variables_after_every_step(trainer):
    # An epoch has two steps, with the weights 0.8 and 1.
    answers = iter([False])
    trainer.asked_to_stop = lambda: next(answers, True)
    stopped, _ = trainer.run_epoch(trainer.initial_state(0), 1)
    trainer.asked_to_stop = lambda: False
    assert int(stopped.step) == 1
    first = jax.device_get(stopped.variables)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), stopped.averages, first)
    whole, _ = trainer.run_epoch(trainer.initial_state(0), 1)
    expected = jax.tree.map(lambda one, two: (0.8 * one + two) / 1.8, first, jax.device_get(whole.variables))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), whole.averages, expected)


def test_training_does_not_depend_on_them_and_validation_does(tiny, trainer, epochs):
    plain = Trainer(tiny, replace(RECIPE, ema_decay=0.0), trainer.train, trainer.val)
    for here, there in zip(epochs, plain.fit(plain.initial_state(0)), strict=True):
        assert here.metrics["train_loss"] == pytest.approx(there.metrics["train_loss"], rel=1e-5)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
            here.state.variables,
            there.state.variables,
        )
        images = standardize(to_float(trainer.val.on_device.images))
        logits = np.asarray(tiny.apply_eval(here.state.averages, images))
        loss, accuracy = loss_and_accuracy(logits, trainer.val.labels)
        assert here.metrics["val_loss"] == pytest.approx(loss, rel=1e-5) and here.metrics["val_accuracy"] == accuracy
        assert here.metrics["val_loss"] != pytest.approx(there.metrics["val_loss"], rel=1e-3)


def test_the_best_checkpoint_holds_the_averages_and_the_last_one_both(trainer, epochs, tmp_path):
    saved = Checkpoints(tmp_path)
    saver = BackgroundSaver(saved)
    saver.hold(1, epochs[0].state, is_best=True)
    saver.start(lambda epoch: None)
    saver.close()
    like = trainer.initial_state(1)
    require_equal(saved.restore_best(like.variables), epochs[0].state.averages)
    (point,) = saved.resume_points(like)
    assert isinstance(point.state, AveragedState)
    require_equal(point.state.averages, epochs[0].state.averages)
    # Goes on bit for bit.
    (again,) = trainer.fit(point.state, first_epoch=2, best=epochs[0].metrics["val_accuracy"])
    require_equal(again.state.averages, epochs[1].state.averages)
    require_equal(again.state.variables, epochs[1].state.variables)
