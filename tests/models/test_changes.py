"""Lesions and doses of a network: one leaves its numbers, zero leaves the other way, and the plain twin follows."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resjax.functional import Functional
from resjax.models.changes import Changes
from resjax.types import Variables


@pytest.fixture(scope="module")
def plain(tiny) -> Functional:
    return replace(tiny, network=replace(tiny.architecture, name="tiny_plain", shortcut="none"))


def shared(variables: Variables, like: Variables) -> Variables:
    """The part of a residual network's variables that its plain twin has too."""
    flat = [dict(jax.tree_util.tree_flatten_with_path(tree)[0]) for tree in variables]
    picked = [
        jax.tree_util.tree_map_with_path(lambda path, _, t=t: t[path], tree) for t, tree in zip(flat, like, strict=True)
    ]
    return Variables(*picked)


def test_ones_change_nothing_and_trace_sees_what_passes(tiny, tiny_variables, tiny_images):
    ones = Changes(branch=jnp.ones(2), shortcut=jnp.ones(2))
    trace = tiny.trace(tiny_variables, tiny_images, ones)
    np.testing.assert_array_equal(trace.logits, tiny.apply_eval(tiny_variables, tiny_images))
    stages = tiny.features(tiny_variables, tiny_images)
    assert len(trace.features) == 3
    for seen, stage in zip(trace.features[1:], stages, strict=True):
        np.testing.assert_array_equal(seen, stage)
    logits, statistics = tiny.apply_train(tiny_variables, tiny_images)
    training = tiny.trace(tiny_variables, tiny_images, training=True)
    jax.tree.map(np.testing.assert_array_equal, (training.logits, training.statistics), (logits, statistics))


def test_without_its_branch_a_residual_block_passes_on_what_enters(tiny, tiny_variables, tiny_images):
    features = tiny.trace(tiny_variables, tiny_images, Changes(branch=jnp.zeros(2))).features
    np.testing.assert_array_equal(features[1], features[0])
    assert features[2].shape[-1] == 8 and np.any(features[2])  # The projection remains.


def test_in_place_of_a_plain_block_stands_the_identity_where_the_shape_stays(plain, tiny_images):
    variables = plain.init(jax.random.key(0))
    whole, cut = (plain.trace(variables, tiny_images, Changes(branch=b)) for b in (None, jnp.array([0.0, 1.0])))
    np.testing.assert_array_equal(cut.features[1], cut.features[0])
    held = plain.trace(variables, tiny_images, Changes(branch=jnp.array([1.0, 0.0])))
    np.testing.assert_array_equal(held.logits, whole.logits)


def test_at_dose_zero_a_residual_network_is_its_plain_twin(tiny, plain, tiny_variables, tiny_images):
    none = replace(tiny, dose=0.0)
    common = shared(tiny_variables, plain.shapes())
    np.testing.assert_array_equal(none.apply_eval(tiny_variables, tiny_images), plain.apply_eval(common, tiny_images))
    logits, _ = none.apply_train(tiny_variables, tiny_images)
    np.testing.assert_array_equal(logits, plain.apply_train(common, tiny_images)[0])


def test_statistics_estimated_anew_are_those_of_the_batch(tiny, tiny_variables, tiny_images):
    anew = tiny.batch_statistics(tiny_variables, tiny_images)
    _, mixed = tiny.apply_train(tiny_variables, tiny_images)
    expected = jax.tree.map(lambda old, new: (new - 0.9 * old) / 0.1, tiny_variables.statistics, mixed)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), anew, expected)
