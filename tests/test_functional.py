"""The functional core: pure arrays in and out, equal to the modules, under every transformation."""

from dataclasses import replace
from operator import itemgetter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.serialization import from_bytes, to_bytes
from flax.traverse_util import flatten_dict

from resjax.errors import BadInput
from resjax.functional import Functional, frozen_mask, path_name, require_matched
from resjax.models.architecture import Architecture
from resjax.models.network import build
from resjax.run.setup.costs import parameter_count
from resjax.types import Variables

pytestmark = pytest.mark.smoke


def assert_close(one: object, other: object) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), one, other)


def mean_log_likelihood(functional: Functional, variables: Variables, images: jax.Array):
    logits, statistics = functional.apply_train(variables, images)
    return jax.nn.log_softmax(logits)[:, 0].mean(), statistics


def test_variables_are_plain_float32_arrays_and_shapes_foretells_them(tiny, tiny_variables):
    leaves = jax.tree.leaves(tiny_variables)
    assert all(isinstance(leaf, jax.Array) and leaf.dtype == jnp.float32 for leaf in leaves)
    foretold = tiny.shapes()
    assert jax.tree.structure(foretold) == jax.tree.structure(tiny_variables)
    assert [leaf.shape for leaf in jax.tree.leaves(foretold)] == [leaf.shape for leaf in leaves]


def test_variables_are_nested_dicts_that_flax_flattens_and_serializes(tiny, tiny_variables):
    for tree in (*tiny_variables, *tiny.apply_train(tiny_variables, jnp.zeros((1, 2, 2, 3)))[1:], *tiny.shapes()):
        flat = flatten_dict(tree)
        assert len(flat) == len(jax.tree.leaves(tree)) and all(
            type(part) in (str, int) for path in flat for part in path
        )
    zeros = jax.tree.map(jnp.zeros_like, tiny_variables.parameters)
    restored = from_bytes(zeros, to_bytes(tiny_variables.parameters))
    jax.tree.map(np.testing.assert_array_equal, restored, tiny_variables.parameters)
    assert jax.tree.structure(restored) == jax.tree.structure(zeros)


def test_blocks_are_in_the_order_of_their_numbers():
    shapes = Functional(Architecture("long", (12,), "none", stem="cifar", width=4), classes=3).shapes()
    paths = [path_name(path) for path, _ in jax.tree_util.tree_flatten_with_path(shapes.parameters)[0]]
    blocks = [int(path.split(".")[2]) for path in paths if path.startswith("stages.")]
    assert blocks == sorted(blocks) and blocks[-1] == 11


def test_the_functions_are_those_of_the_module(tiny, tiny_variables, tiny_images):
    network = build(tiny.architecture, classes=tiny.classes, key=jax.random.key(0))
    eval_logits = nnx.view(network, use_running_average=True)(tiny_images)
    np.testing.assert_array_equal(tiny.apply_eval(tiny_variables, tiny_images), eval_logits)
    logits, statistics = tiny.apply_train(tiny_variables, tiny_images)
    np.testing.assert_array_equal(logits, network(tiny_images))
    seen = nnx.to_pure_dict(nnx.state(network, nnx.BatchStat))
    jax.tree.map(np.testing.assert_array_equal, statistics, seen)


def test_nothing_given_is_changed(tiny, tiny_variables, tiny_images):
    before = jax.device_get(tiny_variables)
    _, statistics = tiny.apply_train(tiny_variables, tiny_images)
    jax.tree.map(np.testing.assert_array_equal, before, tiny_variables)
    changed = jax.tree.map(lambda a, b: bool(np.any(a != b)), statistics, tiny_variables.statistics)
    assert all(jax.tree.leaves(changed))


def test_in_evaluation_an_image_does_not_feel_its_batch(tiny, tiny_variables, tiny_images):
    together = tiny.apply_eval(tiny_variables, tiny_images)
    alone = jnp.concatenate([tiny.apply_eval(tiny_variables, image[None]) for image in tiny_images])
    assert_close(together, alone)


def test_the_gradient_is_the_slope(tiny, tiny_variables, tiny_images):
    parameters, statistics = tiny_variables

    @jax.jit
    def loss(parameters):
        return mean_log_likelihood(tiny, Variables(parameters, statistics), tiny_images)[0]

    gradient = jax.grad(loss)(parameters)
    norm = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))

    def moved(distance):
        return loss(jax.tree.map(lambda p, g: p + distance * g / norm, parameters, gradient))

    assert (moved(0.01) - moved(-0.01)) / 0.02 == pytest.approx(float(norm), rel=0.02)


def test_replicas_in_vmap_and_steps_in_scan_give_the_numbers_of_one_after_another(tiny, tiny_images):
    batches = jnp.stack([tiny_images, -tiny_images])

    def step(variables, images):
        def loss(parameters):
            return mean_log_likelihood(tiny, Variables(parameters, variables.statistics), images)

        gradients, statistics = jax.grad(loss, has_aux=True)(variables.parameters)
        return Variables(jax.tree.map(lambda p, g: p + 0.1 * g, variables.parameters, gradients), statistics), None

    keys = jax.random.split(jax.random.key(0), 2)
    train = jax.jit(jax.vmap(lambda variables: jax.lax.scan(step, variables, batches)[0]))
    together = train(jax.vmap(tiny.init)(keys))
    for replica, key in enumerate(keys):
        alone, mine = tiny.init(key), jax.tree.map(itemgetter(replica), together)
        for images in batches:
            alone, _ = jax.jit(step)(alone, images)
        assert_close(mine, alone)


def test_equal_descriptions_compile_once(tiny, tiny_variables, tiny_images):
    traces = []

    def logits(functional, variables, images):
        traces.append(functional)
        return functional.apply_eval(variables, images)

    compiled = jax.jit(logits, static_argnums=0)
    again = Functional(tiny.architecture, tiny.classes)
    assert again == tiny and again is not tiny
    np.testing.assert_array_equal(
        compiled(tiny, tiny_variables, tiny_images), compiled(again, tiny_variables, tiny_images)
    )
    assert len(traces) == 1


def test_parameters_are_counted_without_the_statistics(tiny, tiny_variables):
    stem, first = 3 * 9 * 4 + 8, 2 * (4 * 9 * 4 + 8)
    second = 4 * 9 * 8 + 8 * 9 * 8 + 2 * 16 + (4 * 8 + 16)
    assert parameter_count(tiny_variables) == parameter_count(tiny.shapes()) == stem + first + second + 8 * 3 + 3


def test_features_are_what_comes_out_of_each_stage(tiny, tiny_variables, tiny_images):
    stages = tiny.features(tiny_variables, tiny_images)
    assert [stage.shape for stage in stages] == [(5, 9, 8, 4), (5, 5, 4, 8)]
    head = tiny_variables.parameters["head"]
    logits = stages[-1].mean((1, 2)) @ head["kernel"] + head["bias"][None]
    assert_close(logits, tiny.apply_eval(tiny_variables, tiny_images))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((2, 9, 8, 1), "images of shape .2, 9, 8, 1.; expected .batch, height, width, 3."),
        ((9, 8, 3), "images of shape .9, 8, 3."),
        ((2, 9, 1, 3), "images of 9 x 1 pixels; expected 2 x 2"),
    ],
)
def test_images_that_do_not_fit_are_refused(tiny, tiny_variables, shape, words):
    with pytest.raises(BadInput, match=words) as error:
        tiny.apply_eval(tiny_variables, jnp.zeros(shape))
    assert str(error.value).startswith("tiny: ") and "expected" in str(error.value)


def test_patterns_freeze_by_path(tiny, tiny_variables):
    mask = frozen_mask(tiny_variables.parameters, ("stem.*", "stages.1.0.conv?.kernel"))
    frozen = {path_name(path) for path, held in jax.tree_util.tree_flatten_with_path(mask)[0] if held}
    assert frozen == {
        *("stem.conv.kernel", "stem.norm.scale", "stem.norm.bias"),
        *("stages.1.0.conv1.kernel", "stages.1.0.conv2.kernel"),
    }


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        (("stem.*", "stage.0.*"), "--freeze=stage.0..: no parameter is called like that.*expected"),
        (("head.kernels",), "did you mean head.kernel"),
        (("*",), "nothing of tiny is left to train"),
    ],
)
def test_patterns_that_cannot_be_meant_are_refused(tiny, patterns, words):
    with pytest.raises(BadInput, match=words) as error:
        require_matched(patterns, [tiny])
    assert "\n" not in str(error.value)


def test_norms_that_are_frozen_whole_use_and_keep_their_running_statistics(tiny, tiny_variables, tiny_images):
    frozen = replace(tiny, frozen=("stem.*", "stages.0.0.norm1.scale"))
    _, statistics = frozen.apply_train(tiny_variables, tiny_images)
    before = tiny_variables.statistics
    jax.tree.map(np.testing.assert_array_equal, statistics["stem"], before["stem"])
    # Half a norm is frozen in its parameters alone.
    assert np.any(statistics["stages"][0][0]["norm1"]["mean"] != before["stages"][0][0]["norm1"]["mean"])
    np.testing.assert_array_equal(
        frozen.apply_eval(tiny_variables, tiny_images), tiny.apply_eval(tiny_variables, tiny_images)
    )
