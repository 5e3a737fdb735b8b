"""Programs compiled ahead of their first call: the same numbers, compiled once, and no call that fails for it."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resjax.data.pipeline import ResidentSide
from resjax.functional import Functional
from resjax.models.architecture import architecture
from resjax.training.ahead_of_time import WAITED, AheadOfTimeJit, CompilingThread, StillCompiling, compiling
from resjax.training.loop import EpochResult, Trainer
from resjax.training.recipe import Recipe
from resjax.training.step import compiled_step

SIZE = (16, 12)


@pytest.fixture
def compiled() -> Iterator[list[str]]:
    """Grows by a name with each program that is compiled."""
    names: list[str] = []
    on = [True]

    def listen(event: str, seconds: float, **_: object) -> None:
        if on and event == "/jax/core/compile/backend_compile_duration":
            names.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield names
    on.clear()


@pytest.fixture
def sides() -> dict[str, ResidentSide]:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (24, *SIZE, 3), np.uint8), np.arange(24) % 2
    return {"train": ResidentSide(images[:19], labels[:19]), "val": ResidentSide(images[19:], labels[19:])}


def trainer(sides: dict[str, ResidentSide], **recipe: object) -> Trainer:
    functional = Functional(replace(architecture("resnet18", width=2, stem="cifar"), blocks=(1, 1)), 2)
    return Trainer(functional, replace(Recipe(epochs=2, batch_size=8, learning_rate=1e-2), **recipe), **sides)


def numbers(epoch: EpochResult) -> list[bytes]:
    """All of a state but its key, which is not donated, and the loss."""
    leaves = jax.tree.leaves((epoch.state.variables, epoch.state.optimizer, epoch.state.step))
    return [*map(bytes, map(np.ascontiguousarray, leaves)), str(epoch.metrics["train_loss"]).encode()]


@pytest.mark.parametrize(("batch_size", "programs"), [(8, 2), (19, 1), (32, 1)])
def test_an_arm_compiled_ahead_trains_bit_for_bit_as_one_compiled_when_called_and_compiles_nothing_more(
    batch_size, programs, sides, compiled
):
    before = trainer(sides, batch_size=batch_size)
    expected = numbers(next(before.fit(before.initial_state(0))))
    # Otherwise the second trainer has the programs of the first.
    compiled_step.cache_clear()

    after = trainer(sides, batch_size=batch_size)
    state = after.initial_state(0)
    del compiled[:]
    with CompilingThread(lambda: False) as executor:
        after.compile_ahead(executor, SIZE)
    # Full and last batch, where there are such; the evaluation is known from the first trainer.
    assert len(compiled) == programs
    assert numbers(next(after.fit(state))) == expected
    assert len(compiled) == programs


def doubled() -> AheadOfTimeJit:
    return AheadOfTimeJit(jax.jit(lambda x: x * 2), lambda x: x.shape)


def test_a_call_with_another_shape_compiles_as_ever():
    function = doubled()
    with CompilingThread(lambda: False) as executor:
        function.compile(executor, jax.ShapeDtypeStruct((3,), jnp.float32))
    assert function(jnp.ones(3)).tolist() == [2, 2, 2] and function(jnp.ones(2)).tolist() == [2, 2]


def test_a_call_waits_for_its_program_and_says_how_long():
    waited, go_on, function = [], threading.Event(), doubled()
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: waited.append(seconds) if event == WAITED else None
    )
    with CompilingThread(lambda: False) as executor:
        executor.submit(go_on.wait)
        function.compile(executor, jnp.ones(3))
        threading.Timer(0.05, go_on.set).start()
        assert function(jnp.ones(3)).tolist() == [2, 2, 2]
    assert len(waited) == 1 and waited[0] > 0
    assert function(jnp.ones(3)).tolist() == [2, 2, 2] and len(waited) == 1


def test_a_call_does_not_wait_for_its_program_once_training_is_asked_to_stop():
    asked, go_on, function = threading.Event(), threading.Event(), doubled()
    with compiling(asked.is_set) as executor:
        executor.submit(go_on.wait)
        function.compile(executor, jnp.ones(3))
        threading.Timer(0.05, asked.set).start()
        with pytest.raises(StillCompiling):
            function(jnp.ones(3))
        go_on.set()
    assert function(jnp.ones(3)).tolist() == [2, 2, 2]


def test_what_a_run_that_ends_has_not_begun_to_compile_is_left_and_compiled_where_it_is_called():
    begun, go_on, function = threading.Event(), threading.Event(), doubled()

    def block() -> None:
        begun.set()
        go_on.wait()

    with pytest.raises(KeyboardInterrupt), compiling() as executor:
        executor.submit(block)
        assert begun.wait(10)
        function.compile(executor, jnp.ones(3))
        threading.Timer(0.05, go_on.set).start()
        raise KeyboardInterrupt
    (program,) = function._programs.values()
    assert program.cancelled() and function(jnp.ones(3)).tolist() == [2, 2, 2]


def test_what_compiling_raised_is_raised_by_the_call():
    def refuses(x: jax.Array) -> jax.Array:
        raise ValueError(f"no program for {x.shape}")

    function = AheadOfTimeJit(jax.jit(refuses), lambda x: x.shape)
    with CompilingThread(lambda: False) as executor:
        function.compile(executor, jnp.ones(3))
    with pytest.raises(ValueError, match="no program for"):
        function(jnp.ones(3))


def test_the_thread_is_busy_until_everything_is_compiled():
    may_end = threading.Event()

    class Slow:
        def lower(self, *arguments):
            assert may_end.wait(60)
            return jax.jit(jnp.sin).lower(*arguments)

    with compiling() as executor:
        assert not executor.is_busy
        slow, quick = (AheadOfTimeJit(function, jnp.shape) for function in (Slow(), jax.jit(jnp.cos)))
        slow.compile(executor, jnp.zeros(3))
        quick.compile(executor, jnp.zeros(3))
        assert executor.is_busy
        may_end.set()
        assert quick(jnp.zeros(3)).tolist() == [1.0, 1.0, 1.0]
        assert not executor.is_busy
