"""Optimizers and schedules against torch's, and against their formulas."""

import os
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from resjax.data.pipeline import ResidentSide
from resjax.training.loop import Trainer
from resjax.training.optimizer import kernel_mask, learning_rate_schedule, make_optimizer
from resjax.training.recipe import Recipe
from resjax.training.step import compiled_step, make_train_step
from resjax.types import Batch

STEPS = 20


def trajectory(recipe: Recipe, start: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    # In float64: Adam divides by the gradient's size, so float32 rounding would hide a small error in the formula.
    with jax.enable_x64(True):
        return float64_trajectory(recipe, start, gradients)


def float64_trajectory(recipe: Recipe, start: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    optimizer = make_optimizer(recipe, steps_per_epoch=STEPS)
    parameters = {"kernel": jnp.asarray(start)}
    state = optimizer.init(parameters)
    for gradient in gradients:
        # The gradient depends on the parameters, so that an error would grow instead of averaging out.
        updates, state = optimizer.update({"kernel": parameters["kernel"] * gradient}, state, parameters)
        parameters = optax.apply_updates(parameters, updates)
    return np.asarray(parameters["kernel"])


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 3)), rng.normal(size=(STEPS, 5, 3))


def reference(name: str, start: np.ndarray, gradients: np.ndarray, rate: float, decay: float) -> np.ndarray:
    """torch.optim's formulas in float64."""
    w, m, v = start, 0.0, 0.0
    for t, factor in enumerate(gradients, start=1):
        g = w * factor
        if name == "sgd":
            m = 0.9 * m + g + decay * w
            w = w - rate * m
            continue
        if name == "adam":
            g = g + decay * w
        else:
            w = w - rate * decay * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w = w - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return w


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_twenty_steps_follow_torchs_formula(name, problem):
    recipe = Recipe(optimizer=name, learning_rate=0.05, weight_decay=0.1)
    np.testing.assert_allclose(trajectory(recipe, *problem), reference(name, *problem, 0.05, 0.1), rtol=1e-6)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_twenty_steps_equal_torchs(name, problem):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    start, gradients = problem
    parameter = torch.nn.Parameter(torch.tensor(start))
    make = {
        "adam": lambda p: torch.optim.Adam(p, lr=0.05, weight_decay=0.1),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.1),
        "sgd": lambda p: torch.optim.SGD(p, lr=0.05, weight_decay=0.1, momentum=0.9),
    }
    optimizer = make[name]([parameter])
    for gradient in gradients:
        parameter.grad = parameter.detach() * torch.tensor(gradient)
        optimizer.step()
    recipe = Recipe(optimizer=name, learning_rate=0.05, weight_decay=0.1)
    np.testing.assert_allclose(trajectory(recipe, *problem), parameter.detach().numpy(), rtol=1e-6)


def test_adam_and_adamw_differ(problem):
    ours = [
        trajectory(Recipe(optimizer=name, learning_rate=0.05, weight_decay=0.1), *problem) for name in ("adam", "adamw")
    ]
    assert not np.allclose(*ours, rtol=1e-3)


def test_decay_can_be_kept_to_kernels():
    parameters = {"conv": {"kernel": jnp.ones((3, 3, 2, 2))}, "norm": {"scale": jnp.ones(2), "bias": jnp.ones(2)}}
    assert kernel_mask(parameters) == {"conv": {"kernel": True}, "norm": {"scale": False, "bias": False}}
    optimizer = make_optimizer(Recipe(optimizer="sgd", learning_rate=1.0, weight_decay=0.5, decayed="kernels"), 1)
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    updates, _ = optimizer.update(zeros, optimizer.init(parameters), parameters)
    assert float(updates["norm"]["scale"][0]) == 0.0 and float(updates["conv"]["kernel"].mean()) == -0.5


def rates(recipe: Recipe, steps_per_epoch: int) -> np.ndarray:
    schedule = learning_rate_schedule(recipe, steps_per_epoch)
    return np.array([float(schedule(step)) for step in range(recipe.epochs * steps_per_epoch)])


def test_constant_schedule_is_constant():
    assert np.allclose(rates(Recipe(epochs=3, learning_rate=0.1), 4), 0.1)


def test_step_schedule_divides_by_ten_at_a_half_and_three_quarters():
    # He et al. 2015, 4.2: lr 0.1 divided by 10 at 32k and 48k of 64k steps.
    values = rates(Recipe(epochs=4, learning_rate=0.1, schedule="step"), 16)
    assert np.allclose(values[:32], 0.1) and np.allclose(values[32:48], 0.01) and np.allclose(values[48:], 0.001)


def test_step_schedule_divides_at_each_of_its_milestones():
    # ImageNet's recipe: after 30, 60 and 90 of 120 epochs.
    values = rates(Recipe(epochs=12, learning_rate=0.1, schedule="step", milestones=(0.25, 0.5, 0.75)), 2)
    assert np.allclose(values, np.repeat([0.1, 0.01, 0.001, 0.0001], 6))
    assert np.allclose(rates(Recipe(epochs=2, learning_rate=0.1, schedule="step", milestones=()), 3), 0.1)


def test_a_warm_up_is_linear_or_a_tenth_of_the_rate():
    # He et al. 2015, 4.2: depth 110 begins at 0.01, and goes on at 0.1 after about 400 steps.
    recipe = Recipe(epochs=4, learning_rate=0.1, schedule="step", warmup_epochs=0.5, warmup_shape="tenth")
    assert np.allclose(rates(recipe, 4), np.repeat([0.01, 0.1, 0.01, 0.001], [2, 6, 4, 4]))
    recipe = Recipe(epochs=2, learning_rate=0.1, warmup_epochs=1)
    assert np.allclose(rates(recipe, 4), [0, 0.025, 0.05, 0.075, *[0.1] * 4])


def test_cosine_schedule_follows_its_formula_after_the_warm_up():
    recipe = Recipe(epochs=5, learning_rate=0.2, schedule="cosine", warmup_epochs=1)
    values = rates(recipe, 10)
    assert np.allclose(values[:10], 0.2 * np.arange(10) / 10)
    assert np.allclose(values[10:], 0.1 * (1 + np.cos(np.pi * np.arange(40) / 40)), atol=1e-7)


@pytest.mark.skipif(
    "--xla_cpu_use_fusion_emitters=false" in os.environ.get("XLA_FLAGS", "") or jax.__version_info__ >= (0, 12),
    reason="a constant may round otherwise where fusions are compiled the older way, and with jax 0.12",
)
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(epochs=2, batch_size=4, learning_rate=3e-3, weight_decay=5e-4),
        Recipe(epochs=2, batch_size=4, learning_rate=3e-3, weight_decay=0.0),
        Recipe(epochs=2, batch_size=4, optimizer="sgd", learning_rate=0.1, schedule="step", decayed="kernels"),
    ],
    ids=["adam", "no decay", "sgd"],
)
def test_rates_as_inputs_share_a_program_and_come_bit_for_bit_to_what_constants_come_to(recipe, tiny):
    rng = np.random.default_rng(0)
    batch = Batch(rng.integers(0, 255, (4, 8, 8, 3)).astype(np.uint8), rng.integers(0, 3, 4).astype(np.int32))
    side = ResidentSide(batch.images, batch.labels)
    steps = set()
    for changed in ({}, {"learning_rate": 1e-4}, {"weight_decay": 3e-3 if recipe.weight_decay else 0.0}):
        own = replace(recipe, **changed)
        trainer = Trainer(tiny, own, side, side)
        state = expected = trainer.initial_state(0)
        constants = jax.jit(make_train_step(trainer.functional, make_optimizer(own, trainer.steps_per_epoch)))
        for _ in range(3):
            expected, _ = constants(expected, batch)
        state = jax.tree.map(jnp.copy, state)
        for _ in range(3):
            state, _ = compiled_step(trainer.program)(state, batch, trainer.rates)
        steps.add(compiled_step(trainer.program))
        jax.tree.map(np.testing.assert_array_equal, state.variables, expected.variables)
        jax.tree.map(np.testing.assert_array_equal, state.optimizer, expected.optimizer)
    (step,) = steps
    assert step.function._cache_size() == 1


def test_a_long_gradient_is_clipped_to_its_norm_over_all_parameters_and_then_decays():
    recipe = Recipe(optimizer="sgd", learning_rate=1.0, momentum=0.0, weight_decay=0.5, clip_norm=2.0)
    optimizer = make_optimizer(recipe, steps_per_epoch=1)
    parameters = {"a": jnp.array([1.0, -1.0]), "b": jnp.array([2.0])}
    # Norms of 13 and 1.
    long, short = {"a": [3.0, 4.0], "b": [12.0]}, {"a": [0.6, 0.0], "b": [0.8]}
    for given, scale in ((long, 2 / 13), (short, 1.0)):
        gradient = {name: jnp.array(values) for name, values in given.items()}
        updates, _ = optimizer.update(gradient, optimizer.init(parameters), parameters)
        for name in parameters:
            expected = -(scale * gradient[name] + 0.5 * parameters[name])
            np.testing.assert_allclose(updates[name], expected, rtol=1e-6)


def test_frozen_parameters_do_not_count_in_the_norm():
    recipe = Recipe(optimizer="sgd", learning_rate=1.0, weight_decay=0.0, clip_norm=1.0, freeze=("stem.*",))
    optimizer = make_optimizer(recipe, steps_per_epoch=1)
    parameters = {"stem": {"kernel": jnp.ones(2)}, "head": {"kernel": jnp.ones(2)}}
    gradient = {"stem": {"kernel": jnp.full(2, 100.0)}, "head": {"kernel": jnp.array([3.0, 4.0])}}
    updates, _ = optimizer.update(gradient, optimizer.init(parameters), parameters)
    np.testing.assert_allclose(updates["head"]["kernel"], [-0.6, -0.8], rtol=1e-6)
    assert not updates["stem"]["kernel"].any()
