"""Every name of the table: forward, finite, a gradient for each parameter, a twin that differs by the addition alone.

The networks are asked for their structure by shapes, with at most three blocks a stage: the others repeat the third.
Their numbers come from three blocks of each kind, computed operation by operation: many names share a kind, and the
kinds share shapes, so that far less is compiled than 120 networks.
"""

import math
from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resjax.errors import BadInput
from resjax.functional import Functional, path_name
from resjax.models import residual
from resjax.models.architecture import ARCHITECTURES, Architecture, Place, architecture
from resjax.models.twins import plain_twin
from resjax.types import Variables

KEY = jax.random.key(0)
CLASSES = 3
RESIDUAL = [name for name, each in ARCHITECTURES.items() if not each.is_plain]


def shortened(described: Architecture) -> Architecture:
    """Three blocks of the same kind, narrow: with stride 1, with stride 2, and one that keeps the shape."""
    width = 16 if described.cardinality > 1 else 4
    widening = min(described.widening, 2)
    return replace(described, name="short", blocks=(1, 2), width=width, widening=widening, stem="cifar")


KINDS = {shortened(ARCHITECTURES[name]): name for name in reversed(RESIDUAL)}
"""Each kind of ResNet by three blocks of it, with the first name that it has in the table."""


def by_path(tree: object) -> dict[str, jax.Array]:
    return {path_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


@cache
def parameter_shapes(described: Architecture) -> dict[str, tuple[int, ...]]:
    return {path: leaf.shape for path, leaf in by_path(Functional(described, CLASSES).shapes().parameters).items()}


@cache
def initial(short: Architecture) -> Variables:
    return Functional(short, CLASSES).init(KEY)


def images() -> jax.Array:
    return jax.random.normal(jax.random.key(1), (4, 8, 8, 3), jnp.float32)


def logits_of_both_modes(short: Architecture) -> tuple[jax.Array, jax.Array]:
    functional, variables = Functional(short, CLASSES), initial(short)
    return functional.apply_train(variables, images(), KEY)[0], functional.apply_eval(variables, images())


def gradients(short: Architecture) -> dict[str, jax.Array]:
    functional, variables = Functional(short, CLASSES), initial(short)
    parameters = variables.parameters
    # Where branches start at zero nothing passes at first: these are asked a little way off.
    if short.zero_gamma or short.normalization in ("skipinit", "fixup"):
        leaves, structure = jax.tree.flatten(parameters)
        keys = jax.random.split(KEY, len(leaves))
        noise = [0.1 * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
        parameters = jax.tree.map(jnp.add, parameters, structure.unflatten(noise))

    def loss(parameters):
        logits, _ = functional.apply_train(Variables(parameters, variables.statistics), images(), KEY)
        return -jax.nn.log_softmax(logits)[:, 0].mean()

    return by_path(jax.grad(loss)(parameters))


@cache
def checked_logits(short: Architecture) -> tuple[jax.Array, jax.Array]:
    """The logits of both modes; they are finite, and every parameter gets a finite gradient."""
    both = logits_of_both_modes(short)
    for logits in both:
        assert logits.shape == (4, CLASSES) and np.all(np.isfinite(logits))
    for path, gradient in gradients(short).items():
        assert np.all(np.isfinite(gradient)) and np.any(gradient), path
    return both


def capped(described: Architecture) -> Architecture:
    """With at most three blocks a stage, under one name, so that networks that differ by their depth are asked once."""
    return replace(described, name="capped", blocks=tuple(min(blocks, 3) for blocks in described.blocks))


def projection_size(described: Architecture, place: Place) -> int:
    """Parameters of the shortcut of the block at a place."""
    changes = place.stride > 1 or place.inputs != place.outputs
    if described.shortcut != "project_all" and not (described.shortcut == "project" and changes):
        return 0
    normalized = described.normalization in ("batch", "group") and not described.preactivation
    scalars = 1 if described.normalization == "fixup" else 0
    return place.inputs * place.outputs + 2 * place.outputs * normalized + scalars


@pytest.mark.parametrize("name", RESIDUAL)
def test_a_twin_has_the_same_keys_and_differs_by_the_projections_alone(name):
    described = capped(ARCHITECTURES[name])
    shapes = parameter_shapes(described)
    found = sum(math.prod(shape) for path, shape in shapes.items() if ".shortcut." in path)
    assert found == sum(projection_size(described, place) for place in described.places())
    if plain := plain_twin(described):
        assert parameter_shapes(plain) == {path: each for path, each in shapes.items() if ".shortcut." not in path}


def test_the_kinds_and_their_twins_are_those_of_all_names():
    twins = {plain_twin(kind) for kind in KINDS} - {None}
    twins = {replace(twin, name="short") for twin in twins}
    assert {shortened(each) for each in ARCHITECTURES.values()} == {*KINDS, *twins}


@pytest.mark.parametrize("kind", KINDS, ids=KINDS.values())
def test_a_kind_trains_and_without_the_addition_it_is_its_plain_twin_bit_for_bit(kind, monkeypatch):
    with_shortcut = checked_logits(kind)
    if kind.needs_shortcut:
        return
    plain = replace(kind, shortcut="none")
    shared = by_path(initial(kind))
    for path, array in by_path(initial(plain)).items():
        np.testing.assert_array_equal(array, shared[path], err_msg=path)
    without_shortcut = checked_logits(plain)
    monkeypatch.setattr(residual, "addition", lambda branch, shortcut: branch)
    for mine, twins, none in zip(with_shortcut, without_shortcut, logits_of_both_modes(kind), strict=True):
        assert not np.array_equal(mine, twins)
        np.testing.assert_array_equal(none, twins)


def test_skipinits_kernels_are_those_of_the_plain_network_without_norms():
    kernels, plain = (
        by_path(initial(shortened(architecture(name)))) for name in ("resnet34_skipinit", "plain34_nonorm")
    )
    assert all(np.array_equal(array, kernels[path]) for path, array in plain.items())


@pytest.mark.parametrize(("name", "layers"), [("resnet34_fixup", 2), ("resnet50_fixup", 3)])
def test_fixup_scales_he_normal_by_the_number_of_blocks(name, layers):
    described = replace(shortened(architecture(name)), normalization="batch")
    he, fixup = (by_path(initial(each).parameters) for each in (described, replace(described, normalization="fixup")))
    # Three blocks: Zhang et al. 2019, rule 2.
    np.testing.assert_allclose(
        fixup["stages.1.1.conv1.kernel"], he["stages.1.1.conv1.kernel"] * 3 ** (-1 / (2 * layers - 2)), rtol=1e-6
    )
    assert not np.any(fixup[f"stages.1.1.conv{layers}.kernel"]) and not np.any(fixup["head.kernel"])
    np.testing.assert_array_equal(fixup["stages.1.0.shortcut.conv.kernel"], he["stages.1.0.shortcut.conv.kernel"])


def test_stochastic_depth_drops_branches_by_key_and_nothing_in_evaluation():
    short = replace(shortened(architecture("resnet34_stochastic_depth")), stochastic_depth=0.9)
    functional, without = Functional(short, CLASSES), Functional(replace(short, stochastic_depth=0.0), CLASSES)
    variables = initial(short)
    first, same, other = (functional.apply_train(variables, images(), jax.random.key(k))[0] for k in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(functional.apply_eval(variables, images()), without.apply_eval(variables, images()))
    with pytest.raises(BadInput, match="stochastic depth needs a key"):
        functional.apply_train(variables, images())


def test_group_norm_standardizes_kernels_and_does_not_feel_the_batch():
    functional = Functional(shortened(architecture("resnet34_gn")), CLASSES)
    variables = functional.init(KEY)
    assert jax.tree.leaves(variables.statistics) == []
    together = functional.apply_train(variables, images())[0]
    alone = jnp.concatenate([functional.apply_train(variables, image[None])[0] for image in images()])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)
    moved = by_path(variables.parameters)["stem.conv.kernel"] * 3 + 1
    parameters = {**variables.parameters, "stem": {**variables.parameters["stem"], "conv": {"kernel": moved}}}
    np.testing.assert_allclose(
        functional.apply_eval(Variables(parameters, {}), images()),
        functional.apply_eval(variables, images()),
        rtol=1e-3,
    )
