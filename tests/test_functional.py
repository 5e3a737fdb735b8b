"""The functional core: pure arrays in and out, equal to the modules, under every transformation."""

from operator import itemgetter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from resjax.costs import forward_flops, parameter_count
from resjax.functional import Functional
from resjax.models.architecture import architecture
from resjax.models.network import build
from resjax.types import Variables


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


def test_the_functions_are_those_of_the_module(tiny, tiny_variables, tiny_images):
    network = build(tiny.architecture, classes=tiny.classes, key=jax.random.key(0))
    eval_logits = nnx.view(network, use_running_average=True)(tiny_images)
    np.testing.assert_array_equal(tiny.apply_eval(tiny_variables, tiny_images), eval_logits)
    logits, statistics = tiny.apply_train(tiny_variables, tiny_images)
    np.testing.assert_array_equal(logits, network(tiny_images))
    jax.tree.map(np.testing.assert_array_equal, statistics, nnx.as_pure(nnx.state(network, nnx.BatchStat)))


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


@pytest.mark.parametrize(("name", "billions"), [("resnet18", 1.814), ("resnet34", 3.664)])
def test_flops_are_twice_the_published_multiplications(name, billions):
    assert forward_flops(Functional(architecture(name), 1000), 224) == pytest.approx(2e9 * billions, rel=1e-3)


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
@pytest.mark.parametrize("size", [37, 40])
def test_flops_are_those_of_the_traced_convolutions(stem, size):
    functional = Functional(architecture("resnet18_project_all", width=4, stem=stem), 3)
    images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    traced = jax.make_jaxpr(functional.apply_eval)(functional.shapes(), images)
    convolutions = [step for step in traced.eqns if step.primitive.name == "conv_general_dilated"]
    assert len(convolutions) == 1 + 16 + 8
    # A kernel's numbers are multiplied once at every place of the map that comes out.
    multiplications = [np.prod(c.invars[1].aval.shape) * np.prod(c.outvars[0].aval.shape[1:3]) for c in convolutions]
    assert forward_flops(functional, size) == 2 * (sum(multiplications) + 32 * 3)
