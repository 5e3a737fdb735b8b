"""Every kind of block under forward mode, in second derivatives, and inside `jax.shard_map` with `check_vma`."""

from functools import reduce
from operator import add
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jaxtyping import Array, PyTree

from resjax.functional import Functional
from resjax.models.architecture import Architecture
from resjax.models.network import build
from resjax.types import Variables

KINDS: dict[str, dict[str, Any]] = {
    "basic": {"stem": "imagenet"},
    "bottleneck": {"block": "bottleneck"},
    "preactivated": {"preactivation": True},
    "preactivated bottleneck": {"block": "bottleneck", "preactivation": True},
    "plain": {"shortcut": "none"},
    "gated with group norm and stochastic depth": {
        "squeeze_excitation": 16,
        "normalization": "group",
        "stochastic_depth": 0.5,
    },
    "skipinit": {"normalization": "skipinit"},
    "fixup": {"normalization": "fixup"},
}


class Derivatives(NamedTuple):
    """Of a loss by the parameters, along a direction."""

    gradient: PyTree
    in_shard_map: PyTree
    slope: Array
    """The change of the loss, in forward mode."""
    forward_over_reverse: PyTree
    """The change of the gradient."""
    reverse_over_reverse: PyTree


class Case(NamedTuple):
    direction: PyTree
    here: Derivatives
    ahead: Derivatives
    behind: Derivatives


STEP = 1e-6
"""How far ahead and behind are, as a share of the direction."""


def tiny_architecture(kind: str) -> Architecture:
    return Architecture(kind, (1,), **{"shortcut": "project_all", "stem": "cifar", "width": 2} | KINDS[kind])


def inner(one: PyTree, other: PyTree) -> Array:
    return reduce(add, jax.tree.leaves(jax.tree.map(lambda a, b: (a * b).sum(), one, other)))


@pytest.fixture(scope="module", params=KINDS)
def case(request) -> Case:
    """The derivatives of a loss of one block in float64, in one compiled program."""
    with jax.enable_x64(True):
        functional = Functional(tiny_architecture(request.param), classes=2, dtype="float64")
        rng = np.random.default_rng(0)
        # Not the initial numbers: a scalar or factor at 0 would cut the gradients.
        parameters, statistics = jax.tree.map(lambda leaf: rng.normal(0.3, 0.5, leaf.shape), functional.shapes())
        direction = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), parameters)
        images = rng.normal(size=(2, 8, 8, 3))
        mesh = jax.make_mesh((1,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))

        def loss(parameters: PyTree, images: Array) -> Array:
            logits, _ = functional.apply_train(Variables(parameters, statistics), images, jax.random.key(0))
            return jnp.sin(logits).sum()

        def along(parameters: PyTree) -> Array:
            return inner(jax.grad(loss)(parameters, images), direction)

        def sharded(parameters: PyTree, images: Array) -> PyTree:
            return jax.grad(lambda parameters: jax.lax.psum(loss(parameters, images), "batch"))(parameters)

        @jax.jit
        def derivatives(parameters: PyTree) -> Derivatives:
            at, moved = jax.jvp(lambda each: jax.value_and_grad(loss)(each, images), (parameters,), (direction,))
            specs = {"in_specs": (jax.P(), jax.P("batch")), "out_specs": jax.P()}
            in_shard_map = jax.shard_map(sharded, mesh=mesh, **specs)(parameters, images)
            return Derivatives(at[1], in_shard_map, *moved, jax.grad(along)(parameters))

        points = [jax.tree.map(lambda p, d, s=s: p + s * d, parameters, direction) for s in (0, STEP, -STEP)]
        return Case(direction, *(jax.device_get(derivatives(point)) for point in points))


def require_close(one: PyTree, other: PyTree, relative: float) -> None:
    scale = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(other))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=relative, atol=relative * scale), one, other)


def test_forward_mode_gives_the_slope_that_the_gradient_gives(case):
    assert float(case.here.slope) == pytest.approx(float(inner(case.here.gradient, case.direction)), rel=1e-9)


def test_second_derivatives_are_difference_quotients_of_the_gradient_in_either_order(case):
    quotient = jax.tree.map(lambda a, b: (a - b) / (2 * STEP), case.ahead.gradient, case.behind.gradient)
    require_close(case.here.forward_over_reverse, quotient, 1e-5)
    require_close(case.here.reverse_over_reverse, case.here.forward_over_reverse, 1e-9)


def test_inside_shard_map_gradients_are_the_same(case):
    require_close(case.here.in_shard_map, case.here.gradient, 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_nnx_tabulates_the_network(kind):
    network = build(tiny_architecture(kind), classes=2, key=0)
    assert "stages/0/0/conv1" in nnx.tabulate(network, jnp.zeros((1, 8, 8, 3)), console_kwargs={"width": 200})
    # A failure inside would leave its marks on the classes, and the next network could not be built.
    build(tiny_architecture(kind), classes=2, key=0)
