"""Wrong types, shapes and values are refused where they are given, by shapes and types alone inside of `jax.jit`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resjax
from resjax.data import standardize, to_float
from resjax.errors import BadInput
from resjax.evaluation import confusion_matrix, loss_and_accuracy, per_class_scores
from resjax.models.network import LARGEST_VALUE
from resjax.ops import batch_norm, conv_general_dilated, cpu_convolutions, max_pool
from resjax.training import initial_state, make_optimizer, make_train_step
from resjax.training.recipe import Recipe
from resjax.types import Batch

PIXELS = np.full((2, 8, 8, 3), 255, np.uint8)
ONES = jnp.ones((2, 8, 8, 4))


@pytest.fixture(scope="module")
def network() -> resjax.Network:
    return resjax.build("resnet8", classes=3, key=0, width=2)


@pytest.mark.parametrize(
    "images",
    [PIXELS, PIXELS.astype(np.int32), PIXELS.astype(np.float32), jnp.asarray(PIXELS, jnp.bfloat16), PIXELS.tolist()],
    ids=["uint8", "int32", "float32", "bfloat16", "list"],
)
def test_a_network_refuses_pixels_that_are_not_standardized(network, images):
    with pytest.raises(BadInput, match="resnet8"):
        network(images)


@pytest.mark.parametrize("images", [to_float(jnp.asarray(PIXELS)), standardize(to_float(jnp.asarray(PIXELS)))])
def test_a_network_takes_floats_of_the_usual_range(network, images):
    assert network(images).shape == (2, 3)


def test_inside_of_jit_types_are_refused_and_values_cost_nothing(tiny, tiny_variables, tiny_images):
    apply = jax.jit(tiny.apply_eval)
    with pytest.raises(BadInput, match="uint8"):
        apply(tiny_variables, jnp.zeros((2, 8, 8, 3), jnp.uint8))
    # The same large images are refused outside, and computed inside: nothing looks at their values.
    large = tiny_images / jnp.abs(tiny_images).max() * 2 * LARGEST_VALUE
    with pytest.raises(BadInput):
        tiny.apply_eval(tiny_variables, large)
    assert np.isfinite(apply(tiny_variables, large)).all()


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (PIXELS.astype(np.float32), [0, 1]),
        (PIXELS, [0.0, 1.0]),
        (PIXELS, [0, 1, 2]),
        (PIXELS, [[0], [1]]),
    ],
    ids=["float images", "float labels", "another number of labels", "a column of labels"],
)
def test_a_train_step_refuses_a_wrong_batch_when_it_is_traced(tiny, images, labels):
    optimizer = make_optimizer(Recipe(), 1)
    step = make_train_step(tiny, optimizer)
    state = jax.eval_shape(lambda: initial_state(tiny, optimizer, 0))
    with pytest.raises(BadInput):
        jax.eval_shape(step, state, Batch(jnp.asarray(images), jnp.asarray(labels)))


def logits(labels: list) -> Callable[[], object]:
    return lambda: loss_and_accuracy(np.zeros((2, 3), np.float32), np.array(labels))


@pytest.mark.parametrize(
    "call",
    [
        lambda: to_float(jnp.zeros((1, 2, 2, 3))),
        lambda: standardize(jnp.asarray(PIXELS)),
        lambda: standardize(jnp.zeros((1, 2, 2, 1))),
        *(logits(labels) for labels in ([0, 3], [-1, 0], [0.0, 1.0], [0], [[0, 1]])),
        lambda: loss_and_accuracy(np.zeros(3, np.float32), np.array([0])),
        lambda: confusion_matrix(np.array([0, 1]), np.array([0, 2]), 2),
        lambda: confusion_matrix(np.array([0, 2]), np.array([0, 1]), 2),
        lambda: confusion_matrix(np.array([0.0, 1.0]), np.array([0, 1]), 2),
        lambda: per_class_scores(np.eye(3, dtype=int), ["a", "b"]),
        lambda: resjax.verdict(np.zeros((2, 3, 2)), np.zeros((2, 3, 2)), labels=[0, 1, 2]),
        lambda: resjax.verdict(np.zeros((2, 3), int), np.zeros((2, 3), int), labels=[0.0, 1.0, 1.0]),
        lambda: batch_norm(ONES, jnp.ones(3), jnp.zeros(4)),
        lambda: batch_norm(ONES, jnp.ones(4), jnp.zeros(1)),
        lambda: batch_norm(ONES[0], jnp.ones(4), jnp.zeros(4)),
        lambda: max_pool(ONES[0]),
    ],
)
def test_functions_refuse_other_types_shapes_and_labels(call):
    with pytest.raises(BadInput):
        call()


@pytest.mark.parametrize("by", ["matrix_products", "xla"])
@pytest.mark.parametrize(
    "kernel", [jnp.ones((3, 3, 5, 2)), jnp.ones((3, 3, 2, 2)), jnp.ones((3, 3, 4)), jnp.ones((3, 3, 4, 2), jnp.int32)]
)
def test_a_convolution_refuses_a_kernel_as_jax_does(by, kernel):
    def convolved(convolve: Callable[..., jax.Array]) -> type[Exception]:
        numbers = ("NHWC", "HWIO", "NHWC")
        with pytest.raises((TypeError, ValueError)) as error:
            convolve(ONES, kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=numbers)
        return error.type

    with cpu_convolutions(by):
        assert convolved(conv_general_dilated) == convolved(jax.lax.conv_general_dilated)
