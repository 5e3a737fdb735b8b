"""A network of one's own as pure functions: nnx's train and evaluation mode, and random numbers from the key alone."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
from flax import linen, nnx

from resjax.errors import BadInput
from resjax.functional import Functional
from resjax.models.own_network import OwnNetwork

pytestmark = pytest.mark.smoke


class OwnModule(nnx.Module):
    """What networks of one's own may hold: nnx's batch norm and dropout, and a value that it keeps for others."""

    def __init__(self, classes, rngs):
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(4, classes, rngs=rngs)

    def __call__(self, images):
        features = nnx.relu(self.norm(self.conv(images)))
        self.seen = nnx.Intermediate(features)
        return self.head(self.dropout(features.mean((1, 2))))


@pytest.fixture(scope="module")
def own() -> Functional:
    return Functional(OwnNetwork("own", lambda key, classes: OwnModule(classes, nnx.Rngs(key))), classes=3)


class FromKey(nnx.Module):
    """A class that is a callable from a key itself."""

    def __init__(self, key, classes, width=4):
        self.head = nnx.Linear(width, classes, rngs=nnx.Rngs(key))


@pytest.mark.parametrize(
    ("make", "classes"), [(FromKey, 3), (partial(FromKey, width=2), 3), (partial(FromKey, classes=7), 7)]
)
def test_a_class_and_a_partial_are_told_the_number_of_classes_unless_they_have_one(make, classes):
    assert OwnNetwork("own", make).build(jax.random.key(0), 3).head.kernel.shape[1] == classes


@pytest.fixture(scope="module")
def own_variables(own):
    return own.init(jax.random.key(0))


def test_a_network_of_one_s_own_evaluates_as_its_module_does(own, own_variables, tiny_images):
    module = OwnModule(3, nnx.Rngs(jax.random.key(0)))
    module.eval()
    np.testing.assert_allclose(own.apply_eval(own_variables, tiny_images), module(tiny_images), rtol=1e-6)
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), own.shapes())
    assert shapes == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), own_variables)


def test_its_batch_norm_learns_what_nnx_s_does_and_training_keeps_the_structure(own, own_variables, tiny_images):
    module = OwnModule(3, nnx.Rngs(jax.random.key(0)))
    module.train()
    module(tiny_images)
    _, statistics = own.apply_train(own_variables, tiny_images, jax.random.key(1))
    np.testing.assert_allclose(statistics["norm"]["mean"], module.norm.mean[...], rtol=1e-6)
    np.testing.assert_allclose(statistics["norm"]["var"], module.norm.var[...], rtol=1e-6)
    assert jax.tree.structure(statistics) == jax.tree.structure(own_variables.statistics)


def test_its_dropout_is_drawn_from_the_key_alone(own, own_variables, tiny_images):
    drawn = jax.jit(lambda key: own.apply_train(own_variables, tiny_images, key)[0])
    first, again, other = (drawn(jax.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    with pytest.raises(BadInput, match="own"):
        own.apply_train(own_variables, tiny_images)


def test_it_works_under_grad_and_vmap_and_has_no_inside_to_look_at(own, own_variables, tiny_images):
    keys = jax.random.split(jax.random.key(3), 2)

    def loss(parameters, key):
        return own.apply_train(own_variables._replace(parameters=parameters), tiny_images, key)[0].sum()

    together = jax.vmap(jax.grad(loss), (None, 0))(own_variables.parameters, keys)
    alone = jax.grad(loss)(own_variables.parameters, keys[1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-4, atol=1e-5), together, alone)
    for look in (own.trace, own.features):
        with pytest.raises(BadInput, match="own"):
            look(own_variables, tiny_images)


def test_frozen_norms_of_nnx_keep_their_statistics(own, own_variables, tiny_images):
    frozen = replace(own, frozen=("norm.*",))
    _, statistics = frozen.apply_train(own_variables, tiny_images, jax.random.key(1))
    jax.tree.map(np.testing.assert_array_equal, statistics, own_variables.statistics)


class LinenNetwork(linen.Module):
    @linen.compact
    def __call__(self, images):
        return linen.Dense(3)(linen.relu(linen.Conv(4, (3, 3))(images)).mean((1, 2)))


def test_a_linen_network_is_one_by_nnx_s_bridge(tiny_images):
    def wrapped(key):
        return nnx.bridge.ToNNX(LinenNetwork(), rngs=nnx.Rngs(key)).lazy_init(tiny_images)

    functional = Functional(OwnNetwork("linen", wrapped), classes=3)
    variables = functional.init(jax.random.key(0))
    expected = LinenNetwork().apply({"params": variables.parameters}, tiny_images)
    np.testing.assert_allclose(functional.apply_eval(variables, tiny_images), expected, rtol=1e-6)
    logits, statistics = functional.apply_train(variables, tiny_images, jax.random.key(1))
    np.testing.assert_allclose(logits, expected, rtol=1e-6)
    assert jax.tree.structure(statistics) == jax.tree.structure(variables.statistics)
