"""Training: exact epoch sums, the same numbers whatever the way, divergence, and learning at all."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resjax.data.pipeline import ResidentSide, StreamedSide
from resjax.functional import Functional, frozen_mask, path_name
from resjax.models.architecture import architecture
from resjax.models.torch_weights import to_state_dict
from resjax.training.loop import EpochResult, Trainer, UnfinishedEpoch
from resjax.training.recipe import Recipe
from resjax.training.state import purpose_key
from resjax.training.step import predict_logits

pytestmark = pytest.mark.smoke

RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=1e-2, weight_decay=0.0)


@pytest.fixture(scope="module")
def sides() -> dict[str, ResidentSide]:
    """Two classes that differ in brightness, with noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(27) % 2
    images = np.clip(rng.normal(90 + 70 * labels[:, None, None, None], 40, (27, 16, 16, 3)), 0, 255).astype(np.uint8)
    return {
        "train": ResidentSide(images[:19], labels[:19]),
        "val": ResidentSide(images[19:], labels[19:]),
    }


@pytest.fixture(scope="module")
def functional() -> Functional:
    return Functional(replace(architecture("resnet18", width=2, stem="cifar"), blocks=(1, 1)), 2)


@pytest.fixture(scope="module")
def trainer(functional, sides) -> Trainer:
    return Trainer(functional, RECIPE, **sides)


@pytest.fixture(scope="module")
def epochs(trainer) -> list[EpochResult]:
    """A whole run of seed 0, with copies of its states."""
    return [
        epoch._replace(state=jax.tree.map(jnp.copy, epoch.state)) for epoch in trainer.fit(trainer.initial_state(0))
    ]


@pytest.fixture(scope="module")
def even_sides(sides) -> dict[str, ResidentSide]:
    """Two full batches and no rest, so that a trainer compiles one step."""
    images, labels = (np.asarray(array)[:16] for array in sides["train"].on_device)
    return sides | {"train": ResidentSide(images, labels)}


def weights(state) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state.variables)]


def test_an_epoch_sums_over_every_image(trainer, sides):
    state, sums = trainer.run_epoch(trainer.initial_state(0), 1)
    assert len(sums.loss) == trainer.steps_per_epoch == 3 and int(state.step) == 3
    assert 0 <= sums.correct.sum() <= 19 and np.all(np.isfinite(sums.loss))


def test_an_epoch_in_one_compiled_call_gives_the_same_numbers(trainer, functional, sides):
    assert not trainer.scan
    looped, sums = trainer.run_epoch(trainer.initial_state(0), 1)
    scanning = Trainer(functional, RECIPE, **sides, scan=True)
    scanned, scanned_sums = scanning.run_epoch(scanning.initial_state(0), 1)
    np.testing.assert_allclose(sums.loss, scanned_sums.loss, rtol=1e-5)
    for one, other in zip(weights(looped), weights(scanned), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_a_streamed_epoch_gives_the_numbers_of_a_resident_one_bit_for_bit(functional, epochs, sides):
    images, labels = (np.asarray(array) for array in sides["train"].on_device)
    val = StreamedSide(np.asarray(sides["val"].on_device.images), sides["val"].labels, np.arange(8))
    streaming = Trainer(functional, RECIPE, StreamedSide(images, labels, np.arange(19)), val)
    for resident, streamed in zip(epochs, streaming.fit(streaming.initial_state(0)), strict=True):
        timings = dict.fromkeys(("seconds", "images_per_second"))
        assert resident.metrics | timings == streamed.metrics | timings
        for one, other in zip(weights(resident.state), weights(streamed.state), strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_same_seed_gives_the_same_run_bit_for_bit(trainer, epochs):
    def losses(run):
        return [(epoch.metrics["train_loss"], epoch.metrics["val_loss"]) for epoch in run]

    again, other = (losses(trainer.fit(trainer.initial_state(seed))) for seed in (0, 1))
    assert losses(epochs) == again != other


def test_training_learns(functional, even_sides):
    trainer = Trainer(functional, replace(RECIPE, epochs=15), **even_sides)
    *_, last = (epoch.metrics for epoch in trainer.fit(trainer.initial_state(0)))
    assert last["train_accuracy"] > 0.8 and last["train_loss"] < 0.5


def test_epoch_metrics_have_the_contracts_keys_and_mark_the_best(epochs):
    lines = [epoch.metrics for epoch in epochs]
    keys = "epoch train_loss train_accuracy val_loss val_accuracy learning_rate is_best seconds images_per_second"
    assert all(list(line) == keys.split() for line in lines)
    assert [line["epoch"] for line in lines] == [1, 2] and lines[0]["is_best"]
    assert lines[1]["is_best"] == (lines[1]["val_accuracy"] > lines[0]["val_accuracy"])


def test_validation_metrics_are_exact_means_over_all_images(trainer, epochs, sides):
    last = epochs[-1]
    pixels = np.asarray(sides["val"].on_device.images) / 255.0
    standardized = (pixels - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    logits = trainer.functional.apply_eval(last.state.variables, standardized.astype(np.float32))
    labels = sides["val"].labels
    assert last.metrics["val_accuracy"] == float((logits.argmax(-1) == labels).mean())
    loss = -jax.nn.log_softmax(logits)[jnp.arange(8), labels].mean()
    assert last.metrics["val_loss"] == pytest.approx(float(loss), rel=1e-4)


def test_predictions_do_not_depend_on_how_images_are_batched(trainer, sides, monkeypatch):
    variables = trainer.initial_state(0).variables
    together = predict_logits(trainer.functional, variables, sides["val"])
    monkeypatch.setattr("resjax.training.step.EVALUATION_BATCH", 3)
    np.testing.assert_allclose(
        predict_logits(trainer.functional, variables, sides["val"]), together, rtol=1e-5, atol=1e-6
    )


def test_going_on_from_a_state_gives_the_numbers_of_the_uninterrupted_run(trainer):
    whole = list(trainer.fit(trainer.initial_state(3)))
    first = next(iter(trainer.fit(trainer.initial_state(3))))
    (second,) = trainer.fit(first.state, first_epoch=2, best=first.metrics["val_accuracy"])
    timings = {"seconds", "images_per_second"}
    assert {k: v for k, v in second.metrics.items() if k not in timings} == {
        k: v for k, v in whole[1].metrics.items() if k not in timings
    }


@pytest.mark.parametrize("steps", [0, 2, 3])
def test_an_epoch_that_was_stopped_inside_goes_on_bit_for_bit(trainer, functional, sides, steps):
    whole = list(trainer.fit(trainer.initial_state(3)))
    # Also before the evaluation of each epoch, with all steps finished.
    answers = iter([False] * (trainer.steps_per_epoch + 1 + steps) + [True])
    stopping = Trainer(functional, RECIPE, **sides, asked_to_stop=lambda: next(answers))
    first, unfinished = stopping.fit(stopping.initial_state(3))
    assert isinstance(unfinished, UnfinishedEpoch) and unfinished.epoch == 2
    assert len(unfinished.partial.sums.loss) == steps
    assert int(unfinished.state.step) == trainer.steps_per_epoch + steps
    best = first.metrics["val_accuracy"]
    (second,) = trainer.fit(unfinished.state, first_epoch=2, best=best, partial=unfinished.partial)
    timings = dict.fromkeys(("seconds", "images_per_second"))
    assert second.metrics | timings == whole[1].metrics | timings
    assert second.metrics["seconds"] > unfinished.partial.seconds
    for one, other in zip(weights(second.state), weights(whole[1].state), strict=True):
        np.testing.assert_array_equal(one, other)


def test_divergence_is_reported_with_its_step_and_ends_the_run(functional, sides):
    trainer = Trainer(functional, replace(RECIPE, optimizer="sgd", learning_rate=1e30), **sides)
    epochs = list(trainer.fit(trainer.initial_state(0)))
    assert len(epochs) == 1 and epochs[0].diverged_step in (2, 3) and not epochs[0].metrics["is_best"]


def test_what_is_frozen_does_not_change_at_all_and_the_rest_does(functional, even_sides):
    recipe = replace(RECIPE, weight_decay=0.1, freeze=("stem.*", "stages.0.*", "stages.1.0.conv1.kernel"))
    trainer = Trainer(functional, recipe, **even_sides)
    before = jax.tree.map(np.asarray, trainer.initial_state(0).variables)
    *_, last = trainer.fit(trainer.initial_state(0))
    for old, new in zip(before, last.state.variables, strict=True):
        for (path, array), changed in zip(
            jax.tree_util.tree_flatten_with_path(old)[0], jax.tree.leaves(new), strict=True
        ):
            name = path_name(path)
            held = name.startswith(("stem.", "stages.0.")) or name == "stages.1.0.conv1.kernel"
            assert np.array_equal(array, changed) == held, name
    # Frozen parameters have no moments.
    held = sum(mask for mask in jax.tree.leaves(frozen_mask(before.parameters, recipe.freeze)))
    free = len(jax.tree.leaves(before.parameters)) - held
    moments = [leaf for leaf in jax.tree.leaves(last.state.optimizer) if leaf.ndim]
    assert 0 < held and len(moments) == 2 * free


def test_replicas_start_from_weights_and_differ_in_a_fresh_head(functional, sides):
    given = Functional(functional.architecture, 7).init(jax.random.key(9))
    trainer = Trainer(functional, RECIPE, **sides, weights=to_state_dict(given))
    one, other = (trainer.initial_state(seed).variables.parameters for seed in (0, 1))
    for part in ("stem", "stages"):
        for parameters in (one, other):
            jax.tree.map(np.testing.assert_array_equal, parameters[part], given.parameters[part])
    assert not np.array_equal(one["head"]["kernel"], other["head"]["kernel"])


def test_stochastic_depth_is_trained_with_keys_of_the_step(functional, even_sides):
    dropping = replace(functional, network=replace(functional.architecture, stochastic_depth=0.5))
    trainer = Trainer(dropping, RECIPE, **even_sides)
    first, again = (trainer.run_epoch(trainer.initial_state(0), 1)[1].loss for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(
        first, Trainer(functional, RECIPE, **even_sides).run_epoch(trainer.initial_state(0), 1)[1].loss
    )


def test_keys_differ_by_purpose_and_count():
    key = jax.random.key(0)
    keys = [purpose_key(key, purpose, count) for purpose in ("order", "augmentation") for count in (0, 1)]
    assert len({tuple(np.asarray(jax.random.key_data(k))) for k in keys}) == 4
