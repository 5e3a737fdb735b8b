"""What is restored is what was saved, whatever training does to its buffers meanwhile."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from resjax.training.checkpoint import Checkpoints
from resjax.training.optimizer import make_optimizer
from resjax.training.recipe import Recipe
from resjax.training.state import TrainState
from resjax.types import Variables


def state(value: float) -> TrainState:
    parameters = {f"layer{i}": jnp.full((64, 64), value + i) for i in range(20)}
    optimizer = optax.chain(optax.scale_by_adam(), optax.scale_by_learning_rate(0.1)).init(parameters)
    return TrainState(jnp.int32(7), Variables(parameters, {"mean": jnp.full(3, value)}), optimizer, jax.random.key(5))


@pytest.fixture
def checkpoints(tmp_path):
    opened = Checkpoints(tmp_path / "checkpoints")
    yield opened
    opened.close()


def test_the_whole_state_comes_back(checkpoints):
    checkpoints.save_last(4, state(1.0))
    checkpoints.wait()
    restored = checkpoints.restore_last(state(0.0))
    for saved, found in zip(jax.tree.leaves(state(1.0)), jax.tree.leaves(restored), strict=True):
        if jnp.issubdtype(saved.dtype, jax.dtypes.prng_key):
            saved, found = jax.random.key_data(saved), jax.random.key_data(found)
        assert np.array_equal(saved, found)
    assert checkpoints.last_epoch == 4


def test_only_the_newest_of_each_kind_stays(checkpoints, tmp_path):
    for epoch in (1, 2, 3):
        checkpoints.save_last(epoch, state(epoch))
        checkpoints.save_best(epoch, state(epoch).variables)
    checkpoints.wait()
    folders = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("checkpoints/*/*"))
    assert folders == ["checkpoints/best/3", "checkpoints/last/3"]
    assert float(checkpoints.restore_best(state(0.0).variables).statistics["mean"][0]) == 3.0


def test_no_checkpoint_is_epoch_zero(checkpoints):
    assert checkpoints.last_epoch == 0


def test_steps_that_reuse_the_buffers_do_not_reach_into_a_save_under_way(checkpoints):
    step = jax.jit(
        lambda s: jax.tree.map(lambda x: x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x + 1, s),
        donate_argnums=0,
    )
    current = state(0.0)
    for epoch in range(1, 6):
        current = step(current)
        checkpoints.save_last(epoch, current)
        expected = jax.tree.map(np.array, current.variables.parameters)
        for _ in range(20):
            current = step(current)
        checkpoints.wait()
        restored = checkpoints.restore_last(state(0.0)).variables.parameters
        assert all(np.array_equal(restored[name], expected[name]) for name in expected)


def test_a_state_with_frozen_parameters_comes_back(checkpoints):
    frozen = make_optimizer(Recipe(freeze=("layer0",)), steps_per_epoch=1)
    parameters = {f"layer{i}": jnp.full((4, 4), float(i)) for i in range(2)}
    saved = TrainState(jnp.int32(1), Variables(parameters, {}), frozen.init(parameters), jax.random.key(0))
    checkpoints.save_last(1, saved)
    checkpoints.wait()
    restored = checkpoints.restore_last(saved)
    assert jax.tree.structure(restored) == jax.tree.structure(saved)
    np.testing.assert_array_equal(restored.variables.parameters["layer1"], parameters["layer1"])


def test_an_epoch_that_is_trained_again_after_a_kill_leaves_its_best_as_it_is(checkpoints):
    checkpoints.save_best(4, state(1.0).variables)
    checkpoints.wait()
    checkpoints.save_best(4, state(1.0).variables)
    checkpoints.save_best(6, state(2.0).variables)
    checkpoints.wait()
    restored = checkpoints.restore_best(state(0.0).variables)
    assert np.array_equal(restored.statistics["mean"], np.full(3, 2.0))
