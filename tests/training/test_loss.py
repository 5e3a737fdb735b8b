"""Class weights, label smoothing and mixed labels are in the loss that is minimized; recorded losses are plain."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import softmax

from resjax.data.augmentation import mix, standardize, to_float
from resjax.training.loss import batch_loss, class_weights, mean_loss, soft_labels
from resjax.training.recipe import Recipe
from resjax.training.state import initial_state, purpose_key
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


def test_a_smoothed_label_gives_an_even_part_to_every_class():
    smoothed = soft_labels(jnp.array([1, 0]), 4, smoothing=0.2)
    np.testing.assert_allclose(smoothed, [[0.05, 0.85, 0.05, 0.05], [0.85, 0.05, 0.05, 0.05]], rtol=1e-6)
    mixed = soft_labels(jnp.array([1, 0, 3]), 4, smoothing=0.2, own_share=jnp.float32(0.75))
    # The first is mixed with the last: 0.8 times its share, and 0.05.
    np.testing.assert_allclose(mixed[0], [0.05, 0.65, 0.05, 0.25], rtol=1e-6)


@pytest.mark.parametrize("weights", [None, (0.5, 2.0, 1.5)])
@pytest.mark.parametrize("share", [None, 0.3])
def test_the_smoothed_loss_is_that_of_torch(weights, share):
    torch = pytest.importorskip("torch")
    logits = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    theirs = torch.nn.CrossEntropyLoss(weight=None if weights is None else torch.tensor(weights), label_smoothing=0.1)
    expected = theirs(torch.tensor(logits), torch.tensor(LABELS)).item()
    if share is not None:
        # As the authors of mixup write it: the loss is mixed, not the label.
        expected = (
            share * expected + (1 - share) * theirs(torch.tensor(logits), torch.tensor(np.roll(LABELS, 1))).item()
        )
    own_share = None if share is None else jnp.float32(share)
    found = batch_loss(jnp.array(logits), jnp.array(LABELS), weights, 0.1, own_share)
    assert float(found.minimized) == pytest.approx(expected, rel=1e-6)


def test_the_smoothed_loss_is_its_formula():
    logits = np.random.default_rng(0).normal(size=(10, 3))
    logs = np.log(softmax(logits, axis=-1))
    plain = -logs[np.arange(10), LABELS]
    found = batch_loss(jnp.array(logits, jnp.float32), jnp.array(LABELS), None, 0.3)
    assert float(found.minimized) == pytest.approx(0.7 * plain.mean() - 0.3 * logs.mean(), rel=1e-5)
    np.testing.assert_allclose(found.plain, plain, rtol=1e-5)


def test_of_mixed_images_the_label_with_the_larger_share_counts():
    logits = jnp.eye(3)[jnp.array([0, 1, 2, 2])]
    labels = jnp.array([0, 2, 1, 2])
    # The images before them have the labels 2, 0, 2, 1.
    assert int(batch_loss(logits, labels, own_share=jnp.float32(0.8)).correct) == 2
    assert int(batch_loss(logits, labels, own_share=jnp.float32(0.2)).correct) == 1


def test_without_weights_the_program_is_that_of_the_mean():
    losses, labels = jnp.ones(4), jnp.zeros(4, jnp.int32)
    plain = jax.make_jaxpr(lambda losses, labels: losses.mean())(losses, labels)
    assert str(jax.make_jaxpr(lambda losses, labels: mean_loss(losses, labels, None))(losses, labels)) == str(plain)
    assert class_weights(Recipe(), LABELS, 3) is None


@pytest.fixture(scope="module")
def batch() -> Batch:
    images = np.random.default_rng(0).integers(0, 255, (7, 8, 8, 3))
    return Batch(jnp.asarray(images, jnp.uint8), jnp.array([0, 0, 0, 0, 1, 1, 2]))


def test_a_step_minimizes_the_smoothed_loss_of_mixed_images_and_sums_the_plain_one(tiny, batch):
    optimizer = optax.sgd(0.5)
    before = initial_state(tiny, optimizer, 0)
    step = make_train_step(tiny, optimizer, mixup=0.4, label_smoothing=0.1)
    after, sums = jax.jit(step)(before, batch)
    mixing = jax.jit(mix, static_argnums=(2, 3))
    images, share = mixing(purpose_key(before.key, "mixing", 0), to_float(batch.images), 0.4, 0.0)
    logits = np.asarray(tiny.apply_train(before.variables, standardize(images))[0], np.float64)
    own, other = np.eye(3)[batch.labels], np.eye(3)[np.roll(batch.labels, 1)]
    mixed = float(share) * own + (1 - float(share)) * other
    assert 0 < float(share) < 1
    # The gradient of the head's bias is the mean of probabilities less targets.
    gradient = (softmax(logits, axis=-1) - (0.9 * mixed + 0.1 / 3)).mean(0)
    change = np.asarray(after.variables.parameters["head"]["bias"]) - before.variables.parameters["head"]["bias"]
    np.testing.assert_allclose(change, -0.5 * gradient, rtol=1e-4, atol=1e-6)
    assert float(sums.loss) == pytest.approx(-(mixed * np.log(softmax(logits, axis=-1))).sum(), rel=1e-5)


def test_a_step_minimizes_the_weighted_loss_and_sums_the_plain_one(tiny, batch):
    labels = np.asarray(batch.labels)
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
