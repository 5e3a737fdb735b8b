"""Adam in one call against optax's chain and against its formula in float64."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import resjax.ops
from resjax.ops.adam import TARGET, Moments, adam
from resjax.ops.cpu import why_no_onednn
from resjax.training.optimizer import apply_gradients, make_optimizer
from resjax.training.recipe import Recipe

RECIPE = Recipe(learning_rate=0.05, weight_decay=0.1, epochs=4, schedule="cosine", decayed="kernels")
STEPS = 3
SHAPES = {"kernel": (3, 3, 7, 1201), "norm": {"scale": (7,), "bias": (0,)}, "head": (5, 3)}
"""More numbers than one thread computes, with edges that no vector fits, and an array without numbers."""
needs_onednn = pytest.mark.skipif(why_no_onednn() is not None, reason="oneDNN is not here")


def arrays(seed: int):
    rng, is_shape = np.random.default_rng(seed), lambda node: isinstance(node, tuple)
    return jax.tree.map(lambda shape: jnp.asarray(rng.normal(size=shape), jnp.float32), SHAPES, is_leaf=is_shape)


def after_steps(recipe: Recipe, update):
    optimizer, parameters = make_optimizer(recipe, steps_per_epoch=2), arrays(0)
    state, step_of = optimizer.init(parameters), jax.jit(partial(update, optimizer))
    for step in range(STEPS):
        parameters, state = step_of(arrays(step + 1), state, parameters)
    return parameters, state


def by_optax(optimizer, gradients, state, parameters):
    updates, state = optimizer.update(gradients, state, parameters)
    return optax.apply_updates(parameters, updates), state


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_one_call_gives_the_parameters_and_the_state_of_optaxs_chain(name):
    recipe = replace(RECIPE, optimizer=name)
    ours, expected = after_steps(recipe, apply_gradients), after_steps(recipe, by_optax)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=5e-7), ours, expected)
    with resjax.ops.cpu_convolutions("xla"):
        jax.tree.map(np.testing.assert_array_equal, after_steps(recipe, apply_gradients), expected)


def call(parameters, gradients, means, squares, rate: Any = 0.1, apart=False):
    own = {"step": jnp.int32(2), "rate": rate, "decays": {"a": 0.5}, "apart": apart}
    changed, moments = adam({"a": gradients}, {"a": parameters}, Moments({"a": means}, {"a": squares}), **own)
    return changed["a"], moments.means["a"], moments.squares["a"]


@pytest.fixture(scope="module")
def given():
    rng = np.random.default_rng(0)
    parameters, gradients, means, squares = rng.normal(size=(4, 2, 11)).astype(np.float32)
    return parameters, gradients, means, np.abs(squares)


@needs_onednn
@pytest.mark.parametrize("apart", [False, True], ids=["adam", "adamw"])
def test_the_call_follows_the_formula_in_float64(apart, given):
    parameters, gradients, means, squares = (array.astype(np.float64) for array in given)
    slope = gradients + (not apart) * 0.5 * parameters
    means, squares = 0.9 * means + 0.1 * slope, 0.999 * squares + 0.001 * slope**2
    moved = (means / (1 - 0.9**2)) / (np.sqrt(squares / (1 - 0.999**2)) + 1e-8) + apart * 0.5 * parameters
    expected = parameters - 0.1 * moved, means, squares
    traced = jax.jit(lambda *arrays: call(*arrays, apart=apart))
    assert TARGET in traced.lower(*given).as_text()
    for result, value in zip(traced(*given), expected, strict=True):
        np.testing.assert_allclose(result, value, rtol=1e-5)


@needs_onednn
def test_donated_arrays_are_changed_where_they_lie():
    structs = [jax.ShapeDtypeStruct((100, 100), jnp.float32)] * 4
    program = jax.jit(lambda p, m, s, g: call(p, g, m, s), donate_argnums=(0, 1, 2)).lower(*structs).compile()
    analysis: Any = program.memory_analysis()
    assert analysis.temp_size_in_bytes < structs[0].size * structs[0].dtype.itemsize


def test_replicas_under_vmap_each_get_their_own_step_and_rate(given):
    rates = jnp.array([0.1, 0.2])
    together = jax.jit(jax.vmap(call))(*given, rates)
    for replica in range(2):
        p, g, m, s = (array[replica] for array in given)
        for result, expected in zip(together, call(p, g, m, s, rates[replica]), strict=True):
            np.testing.assert_allclose(result[replica], expected, rtol=1e-5)


def test_a_step_can_be_differentiated(given):
    def changed(rate: Any):
        p, g, m, s = given
        return call(p, g, m, s, rate)[0].sum()

    # It is linear in the rate.
    np.testing.assert_allclose(jax.grad(changed)(0.1), changed(1.1) - changed(0.1), rtol=1e-4)
