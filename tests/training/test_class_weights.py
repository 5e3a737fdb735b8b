"""Class weights: every class counts the same in the loss that is minimized, and no recorded loss knows of it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import softmax

from resjax.data.augmentation import standardize, to_float
from resjax.training.class_weights import class_weights, mean_loss
from resjax.training.recipe import Recipe
from resjax.training.state import initial_state
from resjax.training.step import make_train_step
from resjax.types import Batch

LABELS = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])


def test_a_balanced_weight_is_the_number_of_images_over_that_of_an_even_share():
    found = class_weights(Recipe(class_weights="balanced"), LABELS, 3)
    assert found == pytest.approx((10 / 18, 10 / 9, 10 / 3))
    # All classes have the same part in the loss.
    assert np.bincount(LABELS, np.array(found)[LABELS]) == pytest.approx([10 / 3] * 3)
    assert class_weights(Recipe(class_weights="balanced"), LABELS, 4)[3] == 0.0


def test_a_weighted_mean_is_divided_by_the_weights_of_its_batch():
    losses, labels, weights = np.array([1.0, 2.0, 4.0], np.float32), np.array([0, 0, 1]), (0.5, 2.0)
    # (0.5 * 1 + 0.5 * 2 + 2 * 4) / (0.5 + 0.5 + 2)
    assert float(mean_loss(jnp.array(losses), jnp.array(labels), weights)) == pytest.approx(9.5 / 3)


def test_the_weighted_mean_is_that_of_torch():
    torch = pytest.importorskip("torch")
    logits = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    own = class_weights(Recipe(class_weights="balanced"), LABELS, 3)
    theirs = torch.nn.CrossEntropyLoss(weight=torch.tensor(own, dtype=torch.float32), reduction="mean")
    expected = theirs(torch.tensor(logits), torch.tensor(LABELS)).item()
    of_images = optax.softmax_cross_entropy_with_integer_labels(jnp.array(logits), jnp.array(LABELS))
    assert float(mean_loss(of_images, jnp.array(LABELS), own)) == pytest.approx(expected, rel=1e-6)


def test_without_weights_the_program_is_that_of_the_mean():
    losses, labels = jnp.ones(4), jnp.zeros(4, jnp.int32)
    plain = jax.make_jaxpr(lambda losses, labels: losses.mean())(losses, labels)
    assert str(jax.make_jaxpr(lambda losses, labels: mean_loss(losses, labels, None))(losses, labels)) == str(plain)
    assert class_weights(Recipe(), LABELS, 3) is None


def test_a_step_minimizes_the_weighted_loss_and_sums_the_plain_one(tiny):
    rng = np.random.default_rng(0)
    labels = np.array([0, 0, 0, 0, 1, 1, 2], np.int32)
    batch = Batch(jnp.asarray(rng.integers(0, 255, (7, 8, 8, 3)), jnp.uint8), jnp.asarray(labels))
    weights = class_weights(Recipe(class_weights="balanced"), labels, 3)
    optimizer = optax.sgd(0.5)
    before = initial_state(tiny, optimizer, 0)
    after, sums = jax.jit(make_train_step(tiny, optimizer, (), weights))(before, batch)
    # The gradient of the head's bias is sum_i w_i (probabilities - one hot) / sum_i w_i; the bias begins at zero, and
    # the logits before the step are those that the sum of the losses is of.
    logits = np.asarray(tiny.apply_train(before.variables, standardize(to_float(batch.images)))[0], np.float64)
    of_images = np.array(weights)[labels]
    gradient = (of_images[:, None] * (softmax(logits, axis=-1) - np.eye(3)[labels])).sum(0) / of_images.sum()
    change = np.asarray(after.variables.parameters["head"]["bias"]) - before.variables.parameters["head"]["bias"]
    np.testing.assert_allclose(change, -0.5 * gradient, rtol=1e-4, atol=1e-6)
    plain = -np.log(softmax(logits, axis=-1)[np.arange(7), labels]).sum()
    assert float(sums.loss) == pytest.approx(plain, rel=1e-5)
