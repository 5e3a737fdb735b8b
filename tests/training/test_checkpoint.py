"""What is restored is what was saved; what is damaged is quarantined, and what cannot be read is left alone."""

import errno
import zlib
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from safetensors.numpy import load_file

from resjax.errors import DamagedRecord, RecordError
from resjax.training.checkpoint import CheckpointError, Checkpoints
from resjax.training.optimizer import make_optimizer
from resjax.training.recipe import Recipe
from resjax.training.state import TrainState
from resjax.types import Variables

pytestmark = pytest.mark.smoke


def state(value: float) -> TrainState:
    parameters = {f"layer{i}": jnp.full((64, 64), value + i) for i in range(5)}
    optimizer = optax.chain(optax.scale_by_adam(), optax.scale_by_learning_rate(0.1)).init(parameters)
    return TrainState(jnp.int32(7), Variables(parameters, {"mean": jnp.full(3, value)}), optimizer, jax.random.key(5))


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints")


def shapes(like: TrainState) -> TrainState:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), like)


@pytest.mark.parametrize("of", [lambda like: like, shapes], ids=["arrays", "shapes"])
def test_the_whole_state_comes_back(checkpoints, of):
    checkpoints.save_last(4, state(1.0))
    restored = next(checkpoints.resume_points(of(state(0.0)))).state
    assert jax.random.key_impl(restored.key) == jax.random.key_impl(state(1.0).key)
    for saved, found in zip(jax.tree.leaves(state(1.0)), jax.tree.leaves(restored), strict=True):
        if jnp.issubdtype(saved.dtype, jax.dtypes.prng_key):
            saved, found = jax.random.key_data(saved), jax.random.key_data(found)
        assert np.array_equal(saved, found)
    assert checkpoints.last_epoch == 4


def test_the_newest_two_of_each_kind_stay(checkpoints, tmp_path):
    for epoch in (1, 2, 3):
        checkpoints.save_last(epoch, state(float(epoch)))
        checkpoints.save_best(epoch, state(float(epoch)).variables)
    folders = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("checkpoints/*/*"))
    assert folders == [f"checkpoints/{kind}/{epoch}" for kind in ("best", "last") for epoch in (2, 3)]
    assert float(checkpoints.restore_best(state(0.0).variables).statistics["mean"][0]) == 3.0


def test_no_checkpoint_is_epoch_zero(checkpoints):
    assert checkpoints.last_epoch == 0


def test_a_state_with_frozen_parameters_comes_back(checkpoints):
    frozen = make_optimizer(Recipe(freeze=("layer0",)), steps_per_epoch=1)
    parameters = {f"layer{i}": jnp.full((4, 4), float(i)) for i in range(2)}
    saved = TrainState(jnp.int32(1), Variables(parameters, {}), frozen.init(parameters), jax.random.key(0))
    checkpoints.save_last(1, saved)
    restored = next(checkpoints.resume_points(saved)).state
    assert jax.tree.structure(restored) == jax.tree.structure(saved)
    np.testing.assert_array_equal(restored.variables.parameters["layer1"], parameters["layer1"])


def flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 8
    file.write_bytes(data)


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_counts(checkpoints, tmp_path, capsys):
    for epoch in (1, 2):
        checkpoints.save_last(epoch, state(float(epoch)), {"lines": [epoch]})
    file = tmp_path / "checkpoints" / "last" / "2" / "arrays.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    stand = next(checkpoints.resume_points(state(0.0)))
    assert stand.epoch == 1 and stand.record == {"lines": [1]}
    assert np.array_equal(stand.state.variables.parameters["layer0"], np.full((64, 64), 1.0))
    assert (tmp_path / "checkpoints" / "last-2.damaged").is_dir() and "damaged" in capsys.readouterr().out
    checkpoints.save_last(2, state(2.0))
    assert checkpoints.last_epoch == 2


@pytest.mark.parametrize("part", ["arrays.safetensors", "record.json"])
def test_a_flipped_bit_never_gives_another_state(checkpoints, tmp_path, part):
    checkpoints.save_last(1, state(1.0), {"lines": [1]})
    flip_a_bit(tmp_path / "checkpoints" / "last" / "1" / part)
    for stand in checkpoints.resume_points(state(0.0)):
        assert stand.record == {"lines": [1]}
        for saved, found in zip(
            jax.tree.leaves(state(1.0).variables), jax.tree.leaves(stand.state.variables), strict=True
        ):
            assert np.array_equal(saved, found)


def test_the_best_of_an_epoch_is_restored_by_its_epoch(checkpoints):
    checkpoints.save_best(4, state(1.0).variables)
    checkpoints.save_best(6, state(2.0).variables)
    restored = checkpoints.best_variables(4, state(0.0).variables)
    assert np.array_equal(restored.statistics["mean"], np.full(3, 1.0))
    assert checkpoints.best_variables(5, state(0.0).variables) is None


def test_epochs_that_will_be_trained_again_are_forgotten(checkpoints):
    for epoch in (3, 4):
        checkpoints.save_last(epoch, state(float(epoch)))
        checkpoints.save_best(epoch, state(float(epoch)).variables)
    checkpoints.discard_after(3, unfinished=True)
    assert checkpoints.last_epoch == 3 and checkpoints.best_variables(4, state(0.0).variables) is None
    checkpoints.save_best(4, state(5.0).variables)
    assert np.array_equal(checkpoints.restore_best(state(0.0).variables).statistics["mean"], np.full(3, 5.0))


def at_step(step: int, value: float) -> TrainState:
    return replace(state(value), step=jnp.int32(step))


def test_a_state_inside_an_epoch_is_gone_on_from_until_that_epoch_ends(checkpoints, tmp_path):
    checkpoints.save_last(2, at_step(6, 2.0), "after two")
    for step in (7, 8, 8):
        checkpoints.save_unfinished(2, at_step(step, float(step)), f"at {step}")
    found = [(each.epoch, int(each.state.step), each.record) for each in checkpoints.resume_points(state(0.0))]
    assert found == [(2, 8, "at 8"), (2, 7, "at 7"), (2, 6, "after two")]
    # Another process finds them too.
    again = Checkpoints(tmp_path / "checkpoints")
    assert next(again.resume_points(state(0.0))).record == "at 8"
    checkpoints.save_last(3, at_step(9, 3.0), "after three")
    assert [each.record for each in checkpoints.resume_points(state(0.0))] == ["after three", "after two"]
    checkpoints.keep_newest()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["last"]


def test_a_damaged_state_inside_an_epoch_leaves_the_one_after_the_epoch_before(checkpoints, tmp_path):
    checkpoints.save_last(1, at_step(3, 1.0), "after one")
    checkpoints.save_unfinished(1, at_step(5, 5.0), "at 5")
    file = tmp_path / "checkpoints" / "unfinished" / "5" / "arrays.safetensors"
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


def files_below(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): zlib.crc32(path.read_bytes()) for path in folder.rglob("*") if path.is_file()
    }


def restored(checkpoints: Checkpoints, kind: str, like: TrainState):
    if kind == "best":
        return checkpoints.best_variables(2, like.variables)
    return next(checkpoints.resume_points(like))


@pytest.fixture
def saved(checkpoints) -> Checkpoints:
    """Two epochs, and a state inside the third."""
    for epoch in (1, 2):
        checkpoints.save_best(epoch, state(float(epoch)).variables)
        checkpoints.save_last(epoch, state(float(epoch)))
    return checkpoints


NOT_DAMAGE = [
    *(OSError(number, "said the drive") for number in (errno.EMFILE, errno.ESTALE, errno.EACCES, errno.EIO)),
    MemoryError(),
    ValueError("RESOURCE_EXHAUSTED: too many open files"),
    KeyError("a tree that a library has changed"),
]
ENDS = (CheckpointError, MemoryError)


@pytest.mark.parametrize("kind", ["best", "last", "unfinished"])
@pytest.mark.parametrize("error", NOT_DAMAGE, ids=repr)
def test_a_checkpoint_that_cannot_be_read_for_another_reason_than_damage_is_not_touched(
    saved, kind, error, monkeypatch, tmp_path
):
    if kind == "unfinished":
        saved.save_unfinished(2, at_step(8, 8.0), "at 8")
    before = files_below(tmp_path)
    read_bytes, reached = Path.read_bytes, []

    def failing(path: Path) -> bytes:
        if kind in path.parts:
            reached.append(path)
            raise error
        return read_bytes(path)

    def refusing(*arguments, **more):
        reached.append(arguments)
        raise error

    # The drive fails us, then safetensors.
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", failing)
        with pytest.raises(ENDS):
            restored(saved, kind, state(0.0))
    with monkeypatch.context() as patch:
        patch.setattr("resjax.training.checkpoint.load", refusing)
        with pytest.raises(ENDS):
            restored(saved, kind, state(0.0))
    assert len(reached) == 2 and files_below(tmp_path) == before
    assert restored(saved, kind, state(0.0)) is not None


def grown(like: TrainState) -> TrainState:
    parameters = like.variables.parameters | {"layer5": jnp.zeros((4, 4))}
    return replace(like, variables=Variables(parameters, like.variables.statistics))


def reshaped(like: TrainState) -> TrainState:
    return replace(like, variables=Variables(like.variables.parameters, {"mean": jnp.zeros(4)}))


def in_half_precision(like: TrainState) -> TrainState:
    half = jax.tree.map(lambda array: array.astype(jnp.bfloat16), like.variables)
    return replace(like, variables=half)


@pytest.mark.parametrize("change", [grown, reshaped, in_half_precision])
@pytest.mark.parametrize("kind", ["best", "last"])
def test_another_tree_than_was_saved_is_refused_by_its_name_and_nothing_is_touched(saved, change, kind, tmp_path):
    before = files_below(tmp_path)
    with pytest.raises(RecordError, match=r"layer5|mean|layer0") as refused:
        restored(saved, kind, change(state(0.0)))
    assert f"checkpoints/{kind}/2" in str(refused.value) and not isinstance(refused.value, DamagedRecord)
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("name", ["arrays.safetensors", "record.json"])
@pytest.mark.parametrize("damage", ["gone", "short", "flipped"])
def test_every_file_that_is_not_what_was_written_quarantines_its_checkpoint_alone(saved, name, damage, tmp_path):
    file = tmp_path / "checkpoints" / "last" / "2" / name
    data = file.read_bytes()
    file.unlink()
    if damage != "gone":
        file.write_bytes(data[:-3] if damage == "short" else data[:9] + bytes([data[9] ^ 1]) + data[10:])
    with pytest.raises(DamagedRecord):
        saved.restore_last(state(0.0))
    # Who only reads renames nothing.
    assert not saved.has_quarantined
    assert [stand.epoch for stand in saved.resume_points(state(0.0))] == [1]
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["best", "last", "last-2.damaged"] and saved.has_quarantined


def test_sound_checkpoints_are_kept_where_others_were_damaged(saved, tmp_path):
    for epoch in (1, 2):
        (tmp_path / "checkpoints" / "last" / str(epoch) / "record.json").unlink()
    best = {name: crc for name, crc in files_below(tmp_path / "checkpoints" / "best").items()}
    assert list(saved.resume_points(state(0.0))) == []
    saved.discard_after(0, unfinished=True)
    kept = {epoch: files_below(tmp_path / "checkpoints" / f"best-{epoch}.unused") for epoch in (1, 2)}
    assert {f"{epoch}/{name}": crc for epoch, files in kept.items() for name, crc in files.items()} == best
    # Training anew does not meet them.
    assert saved.best_variables(1, state(0.0).variables) is None and saved.last_epoch == 0


def test_what_a_kill_left_of_a_save_is_no_checkpoint_and_is_removed(saved, monkeypatch, tmp_path):
    class Killed(BaseException):
        pass

    def kill(*arguments):
        raise Killed

    monkeypatch.setattr("resjax.training.checkpoint.write_record", kill)
    with pytest.raises(Killed):
        saved.save_last(3, state(3.0))
    assert saved.last_epoch == 2 and (tmp_path / "checkpoints" / "last" / "3.tmp").exists()
    saved.discard_after(2, unfinished=True)
    assert sorted(path.name for path in (tmp_path / "checkpoints" / "last").iterdir()) == ["1", "2"]


def test_safetensors_alone_reads_the_arrays_by_their_place(saved, tmp_path):
    arrays = load_file(tmp_path / "checkpoints" / "best" / "2" / "arrays.safetensors")
    np.testing.assert_array_equal(arrays[".parameters['layer0']"], np.full((64, 64), 2.0))


def test_types_that_numpy_does_not_know_come_back(checkpoints):
    parameters = {"half": jnp.arange(3, dtype=jnp.bfloat16), "flag": jnp.array(True), "none": jnp.zeros((0, 2))}
    checkpoints.save_best(1, Variables(parameters, {}))
    found = checkpoints.restore_best(jax.tree.map(jnp.zeros_like, Variables(parameters, {}))).parameters
    for name, array in parameters.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array)


def test_what_is_restored_may_be_donated(checkpoints):
    checkpoints.save_last(1, state(1.0))
    double = jax.jit(lambda tree: jax.tree.map(lambda leaf: 2 * leaf, tree), donate_argnums=0)
    variables = next(checkpoints.resume_points(state(0.0))).state.variables
    assert float(double(variables).statistics["mean"][0]) == 2.0
    assert float(checkpoints.restore_last(state(0.0)).variables.statistics["mean"][0]) == 1.0


def test_a_checkpoint_of_an_earlier_version_is_refused_and_not_touched(saved, tmp_path):
    folder = tmp_path / "checkpoints" / "last" / "2"
    (folder / "arrays").mkdir()
    before = files_below(tmp_path)
    with pytest.raises(RecordError, match="earlier version of resjax") as refused:
        next(saved.resume_points(state(0.0)))
    assert not isinstance(refused.value, DamagedRecord) and files_below(tmp_path) == before
