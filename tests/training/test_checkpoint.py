"""What is restored is what was saved, whatever training does to its buffers meanwhile."""

from dataclasses import replace

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

pytestmark = pytest.mark.smoke


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
    restored = next(checkpoints.resume_points(state(0.0))).state
    for saved, found in zip(jax.tree.leaves(state(1.0)), jax.tree.leaves(restored), strict=True):
        if jnp.issubdtype(saved.dtype, jax.dtypes.prng_key):
            saved, found = jax.random.key_data(saved), jax.random.key_data(found)
        assert np.array_equal(saved, found)
    assert checkpoints.last_epoch == 4


def test_the_newest_two_of_each_kind_stay(checkpoints, tmp_path):
    for epoch in (1, 2, 3):
        checkpoints.save_last(epoch, state(float(epoch)))
        checkpoints.save_best(epoch, state(float(epoch)).variables)
    checkpoints.wait()
    folders = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("checkpoints/*/*"))
    assert folders == [f"checkpoints/{kind}/{epoch}" for kind in ("best", "last") for epoch in (2, 3)]
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
        restored = next(checkpoints.resume_points(state(0.0))).state.variables.parameters
        assert all(np.array_equal(restored[name], expected[name]) for name in expected)


def test_a_state_with_frozen_parameters_comes_back(checkpoints):
    frozen = make_optimizer(Recipe(freeze=("layer0",)), steps_per_epoch=1)
    parameters = {f"layer{i}": jnp.full((4, 4), float(i)) for i in range(2)}
    saved = TrainState(jnp.int32(1), Variables(parameters, {}), frozen.init(parameters), jax.random.key(0))
    checkpoints.save_last(1, saved)
    checkpoints.wait()
    restored = next(checkpoints.resume_points(saved)).state
    assert jax.tree.structure(restored) == jax.tree.structure(saved)
    np.testing.assert_array_equal(restored.variables.parameters["layer1"], parameters["layer1"])


def flip_a_bit_in_the_largest_file(folder):
    file = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 8
    file.write_bytes(data)


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_counts(checkpoints, tmp_path, capsys):
    for epoch in (1, 2):
        checkpoints.save_last(epoch, state(float(epoch)), {"lines": [epoch]})
    checkpoints.wait()
    # The arrays of a checkpoint lie in many small files: whichever is hit, no wrong number comes back.
    for file in (tmp_path / "checkpoints" / "last" / "2" / "arrays" / "d").iterdir():
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    stand = next(checkpoints.resume_points(state(0.0)))
    assert stand.epoch == 1 and stand.record == {"lines": [1]}
    assert np.array_equal(stand.state.variables.parameters["layer0"], np.full((64, 64), 1.0))
    assert (tmp_path / "checkpoints" / "last-2.damaged").is_dir() and "is damaged" in capsys.readouterr().out
    checkpoints.save_last(2, state(2.0))
    checkpoints.wait()
    assert checkpoints.last_epoch == 2


@pytest.mark.parametrize("part", ["arrays", "record"])
def test_a_flipped_bit_never_gives_another_state(checkpoints, tmp_path, part):
    checkpoints.save_last(1, state(1.0), {"lines": [1]})
    checkpoints.wait()
    flip_a_bit_in_the_largest_file(tmp_path / "checkpoints" / "last" / "1" / part)
    for stand in checkpoints.resume_points(state(0.0)):
        assert stand.record == {"lines": [1]}
        for saved, found in zip(
            jax.tree.leaves(state(1.0).variables), jax.tree.leaves(stand.state.variables), strict=True
        ):
            assert np.array_equal(saved, found)


def test_the_best_of_an_epoch_is_restored_by_its_epoch(checkpoints):
    checkpoints.save_best(4, state(1.0).variables)
    checkpoints.save_best(6, state(2.0).variables)
    checkpoints.wait()
    restored = checkpoints.best_variables(4, state(0.0).variables)
    assert np.array_equal(restored.statistics["mean"], np.full(3, 1.0))
    assert checkpoints.best_variables(5, state(0.0).variables) is None


def test_epochs_that_will_be_trained_again_are_forgotten(checkpoints):
    for epoch in (3, 4):
        checkpoints.save_last(epoch, state(float(epoch)))
        checkpoints.save_best(epoch, state(float(epoch)).variables)
    checkpoints.wait()
    checkpoints.delete_after(3)
    assert checkpoints.last_epoch == 3 and checkpoints.best_variables(4, state(0.0).variables) is None
    checkpoints.save_best(4, state(5.0).variables)
    checkpoints.wait()
    assert np.array_equal(checkpoints.restore_best(state(0.0).variables).statistics["mean"], np.full(3, 5.0))


def at_step(step: int, value: float) -> TrainState:
    return replace(state(value), step=jnp.int32(step))


def test_a_state_inside_an_epoch_is_gone_on_from_until_that_epoch_ends(checkpoints, tmp_path):
    checkpoints.save_last(2, at_step(6, 2.0), "after two")
    for step in (7, 8, 8):
        checkpoints.save_unfinished(2, at_step(step, float(step)), f"at {step}")
    checkpoints.wait()
    found = [(each.epoch, int(each.state.step), each.record) for each in checkpoints.resume_points(state(0.0))]
    assert found == [(2, 8, "at 8"), (2, 7, "at 7"), (2, 6, "after two")]
    # Another process finds them too.
    again = Checkpoints(tmp_path / "checkpoints")
    assert next(again.resume_points(state(0.0))).record == "at 8"
    again.close()
    checkpoints.save_last(3, at_step(9, 3.0), "after three")
    checkpoints.wait()
    assert [each.record for each in checkpoints.resume_points(state(0.0))] == ["after three", "after two"]
    checkpoints.keep_newest()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best", "last"]


def test_a_damaged_state_inside_an_epoch_leaves_the_one_after_the_epoch_before(checkpoints, tmp_path):
    checkpoints.save_last(1, at_step(3, 1.0), "after one")
    checkpoints.save_unfinished(1, at_step(5, 5.0), "at 5")
    checkpoints.wait()
    for file in (tmp_path / "checkpoints" / "unfinished" / "5" / "arrays" / "d").iterdir():
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert [each.record for each in checkpoints.resume_points(state(0.0))] == ["after one"]
    assert (tmp_path / "checkpoints" / "unfinished-5.damaged").is_dir()


def test_a_replica_that_has_ended_keeps_the_newest_of_each_kind(checkpoints, tmp_path):
    for epoch in (1, 2):
        checkpoints.save_last(epoch, state(float(epoch)))
        checkpoints.save_best(epoch, state(float(epoch)).variables)
    checkpoints.keep_newest()
    folders = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("checkpoints/*/*"))
    assert folders == ["checkpoints/best/2", "checkpoints/last/2"]
