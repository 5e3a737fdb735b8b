"""Every name of the table: forward, finite, a gradient for each parameter, a twin that differs by the addition alone.

The whole networks are asked for their structure by shapes. Their numbers come from three blocks of each kind, computed
operation by operation: the kinds share shapes, so that far less is compiled than 120 networks.
"""

import math
from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resjax.functional import Functional, path_name
from resjax.models import blocks
from resjax.models.architecture import ARCHITECTURES, Architecture, Place, architecture
from resjax.types import BadInput, Variables

KEY = jax.random.key(0)
CLASSES = 3
RESIDUAL = [name for name, each in ARCHITECTURES.items() if each.shortcut != "none"]
ZERO_AT_START = ("skipinit", "fixup", "zero_gamma")


def by_path(tree: object) -> dict[str, jax.Array]:
    return {path_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def plain_twin(described: Architecture) -> Architecture | None:
    try:
        return described.twin("none")
    except BadInput:
        return None


@cache
def shapes(described: Architecture) -> Variables:
    return Functional(described, CLASSES).shapes()


def shortened(described: Architecture) -> Architecture:
    """Three blocks of the same kind, narrow: with stride 1, with stride 2, and one that keeps the shape."""
    width = 16 if described.cardinality > 1 else 4
    widening = min(described.widening, 2)
    return replace(described, name="short", blocks=(1, 2), width=width, widening=widening, stem="cifar")


@cache
def initial(short: Architecture) -> Variables:
    return Functional(short, CLASSES).init(KEY)


def images() -> jax.Array:
    return jax.random.normal(jax.random.key(1), (4, 8, 8, 3), jnp.float32)


def logits(short: Architecture) -> tuple[jax.Array, jax.Array]:
    functional = Functional(short, CLASSES)
    return functional.apply_train(initial(short), images(), KEY)[0], functional.apply_eval(initial(short), images())


logits_as_they_are = cache(logits)


@cache
def logits_less_the_additions(short: Architecture) -> tuple[jax.Array, jax.Array]:
    return logits(short)


@cache
def gradients(short: Architecture, moved: bool) -> dict[str, jax.Array]:
    functional = Functional(short, CLASSES)
    variables = initial(short)
    parameters = variables.parameters
    if moved:
        leaves, structure = jax.tree.flatten(parameters)
        keys = jax.random.split(KEY, len(leaves))
        noise = [0.1 * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
        parameters = jax.tree.map(jnp.add, parameters, structure.unflatten(noise))

    def loss(parameters):
        logits, _ = functional.apply_train(Variables(parameters, variables.statistics), images(), KEY)
        return -jax.nn.log_softmax(logits)[:, 0].mean()

    return by_path(jax.grad(loss)(parameters))


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
    described = ARCHITECTURES[name]
    projections = sum(projection_size(described, place) for place in described.places())
    plain = plain_twin(described)
    residual_shapes = by_path(shapes(described).parameters)
    found = sum(math.prod(leaf.shape) for path, leaf in residual_shapes.items() if ".shortcut." in path)
    assert found == projections
    if plain is not None:
        plain_shapes = by_path(shapes(plain).parameters)
        rest = {path: leaf.shape for path, leaf in residual_shapes.items() if ".shortcut." not in path}
        assert rest == {path: leaf.shape for path, leaf in plain_shapes.items()}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_are_finite_and_of_both_modes(name):
    in_training, in_evaluation = logits_as_they_are(shortened(ARCHITECTURES[name]))
    assert in_training.shape == in_evaluation.shape == (4, CLASSES)
    assert np.all(np.isfinite(in_training)) and np.all(np.isfinite(in_evaluation))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_parameter_gets_a_finite_gradient(name):
    # Where branches start at zero nothing passes at first: these are asked a little way off.
    moved = any(option in name for option in ZERO_AT_START)
    for path, gradient in gradients(shortened(ARCHITECTURES[name]), moved).items():
        assert np.all(np.isfinite(gradient)) and np.any(gradient), path


@pytest.mark.parametrize("name", [name for name in RESIDUAL if plain_twin(ARCHITECTURES[name])])
def test_less_the_addition_it_is_its_plain_twin_bit_for_bit(name, monkeypatch):
    residual = shortened(ARCHITECTURES[name])
    plain = replace(residual, shortcut="none")
    shared = by_path(initial(residual))
    for path, array in by_path(initial(plain)).items():
        np.testing.assert_array_equal(array, shared[path], err_msg=path)
    for one, other in zip(logits_as_they_are(plain), logits_as_they_are(residual), strict=True):
        assert not np.array_equal(one, other)
    monkeypatch.setattr(blocks, "add_shortcut", lambda residual, shortcut: residual)
    for one, other in zip(logits_as_they_are(plain), logits_less_the_additions(residual), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("normalization", ["skipinit", "fixup"])
def test_branches_that_start_at_zero_leave_the_shortcut_alone(normalization):
    features = jax.random.normal(KEY, (2, 6, 6, 4), jnp.float32)
    block = blocks.BasicBlock(4, 4, normalization=normalization, key=KEY)
    np.testing.assert_array_equal(block(features), jax.nn.relu(features))


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


def test_a_dropped_branch_is_zero_and_the_mean_stays():
    branch = jnp.ones((2000, 1, 1, 2))
    dropped = np.asarray(blocks.drop_branches(branch, 0.4, KEY))
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.6)}
    # Whole images at once, and 2000 of them: the mean's deviation is 0.018.
    assert np.array_equal(dropped[..., 0], dropped[..., 1]) and dropped.mean() == pytest.approx(1, abs=0.06)


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
