"""Convolutions formulated anew are held against XLA's own, in value and in both gradients."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from resjax.ops import conv_general_dilated
from resjax.ops.convolution import forward_formulation, image_gradient_formulation, kernel_gradient_formulation

NHWC = ("NHWC", "HWIO", "NHWC")
# (batch, rows, columns, in, out, kernel, stride): even, odd and tiny maps, every formulation of the table.
SHAPES = [
    (5, 9, 8, 3, 16, 7, 2),
    (6, 64, 64, 3, 16, 7, 2),
    (4, 14, 13, 16, 32, 3, 2),
    (4, 40, 42, 16, 64, 3, 2),
    (4, 41, 43, 16, 24, 3, 2),
    (4, 7, 7, 16, 24, 3, 1),
    (7, 33, 32, 16, 64, 3, 1),
    (4, 2, 2, 512, 64, 3, 1),
    (24, 4, 4, 512, 16, 3, 1),
    (4, 2, 2, 32, 16, 3, 2),
    (4, 1, 1, 32, 16, 3, 1),
    (3, 1, 2, 32, 16, 3, 2),
    (3, 5, 5, 16, 16, 1, 2),
    (3, 6, 5, 16, 16, 1, 1),
    (1, 11, 11, 8, 4, 5, 1),
    (2, 11, 10, 20, 4, 5, 2),
]


def arrays(batch, rows, columns, inputs, outputs, kernel, seed=0):
    keys = jax.random.split(jax.random.key(seed))
    images = jax.random.normal(keys[0], (batch, rows, columns, inputs), jnp.float32)
    return images, jax.random.normal(keys[1], (kernel, kernel, inputs, outputs), jnp.float32)


def with_gradients(convolve, images, kernel):
    """The convolution and both gradients of its product with random numbers, compiled."""

    def run(images, kernel):
        after, backwards = jax.vjp(convolve, images, kernel)
        return after, *backwards(jax.random.normal(jax.random.key(9), after.shape, after.dtype))

    return jax.jit(run)(images, kernel)


def require_close(ours, theirs, relative=1e-5):
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
        scale = float(jnp.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=relative, atol=relative * scale)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_are_xlas(shape):
    *sizes, kernel_size, stride = shape
    images, kernel = arrays(*sizes, kernel_size)
    padding = [(kernel_size // 2, kernel_size // 2)] * 2

    def by(convolution):
        return lambda images, kernel: convolution(images, kernel, (stride, stride), padding, dimension_numbers=NHWC)

    require_close(
        with_gradients(by(conv_general_dilated), images, kernel),
        with_gradients(by(lax.conv_general_dilated), images, kernel),
    )


@pytest.mark.parametrize("padding", ["SAME", "VALID", [(0, 1), (2, 0)], [(3, 3), (1, 1)]], ids=str)
@pytest.mark.parametrize("stride", [1, 2])
def test_any_padding(padding, stride):
    images, kernel = arrays(2, 9, 10, 16, 8, 3)

    def by(convolution):
        return lambda images, kernel: convolution(images, kernel, (stride, stride), padding, dimension_numbers=NHWC)

    require_close(
        with_gradients(by(conv_general_dilated), images, kernel),
        with_gradients(by(lax.conv_general_dilated), images, kernel),
    )


@pytest.mark.parametrize(
    "options",
    [
        {"rhs_dilation": (2, 2)},
        {"lhs_dilation": (2, 1), "padding": [(1, 1), (1, 1)]},
        {"feature_group_count": 2},
        {"window_strides": (3, 3)},
        {"window_strides": (1, 2)},
        {"dimension_numbers": ("NCHW", "OIHW", "NCHW")},
        {"preferred_element_type": jnp.float32},
    ],
    ids=str,
)
def test_what_is_not_formulated_anew_is_xlas_own(options):
    images, kernel = arrays(2, 9, 8, 4, 6, 3)
    kernel = kernel[:, :, : 4 // options.get("feature_group_count", 1)]
    if options.get("dimension_numbers"):
        images, kernel = images.transpose(0, 3, 1, 2), kernel.transpose(3, 2, 0, 1)
    arguments = {"window_strides": (1, 1), "padding": "SAME", "dimension_numbers": NHWC} | options
    ours = conv_general_dilated(images, kernel, **arguments)
    np.testing.assert_array_equal(ours, lax.conv_general_dilated(images, kernel, **arguments))


def test_bfloat16_stays_bfloat16():
    images, kernel = (array.astype(jnp.bfloat16) for array in arrays(2, 9, 8, 4, 6, 3))
    ours = conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=NHWC)
    assert ours.dtype == jnp.bfloat16
    theirs = lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=NHWC)
    np.testing.assert_array_equal(ours.astype(jnp.float32), theirs.astype(jnp.float32))


def test_other_platforms_get_xlas_convolution_and_nothing_else():
    images, kernel = arrays(4, 40, 42, 16, 64, 3)

    def loss(images, kernel):
        return conv_general_dilated(images, kernel, (2, 2), [(1, 1)] * 2, dimension_numbers=NHWC).sum()

    traced = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).trace(images, kernel)
    for platform, convolutions, others in (("cuda", 3, 0), ("tpu", 3, 0), ("cpu", 0, 3)):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert text.count("stablehlo.convolution") == convolutions
        assert (text.count("stablehlo.dot_general") >= 1) == (others > 0)


def test_layers_of_the_same_shape_are_lowered_once():
    images, kernel = arrays(2, 8, 8, 16, 16, 3)

    def operations(layers: int) -> int:
        def loss(images, kernel):
            for _ in range(layers):
                images = conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=NHWC)
            return images.sum()

        text = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(images, kernel).as_text()
        return text.count("stablehlo.convolution") + text.count("stablehlo.dot_general")

    assert operations(5) == operations(2) > 0


def test_under_vmap_and_map_every_replica_gets_its_own():
    pairs = [arrays(4, 8, 8, 16, 8, 3, seed) for seed in range(3)]
    stacked = tuple(jnp.stack(arrays) for arrays in zip(*pairs, strict=True))

    def loss(images, kernel):
        return jnp.square(conv_general_dilated(images, kernel, (2, 2), [(1, 1)] * 2, dimension_numbers=NHWC)).sum()

    gradient = jax.grad(loss, argnums=(0, 1))
    expected = tuple(jnp.stack(arrays) for arrays in zip(*(gradient(*pair) for pair in pairs), strict=True))
    require_close(jax.jit(jax.vmap(gradient))(*stacked), expected)
    require_close(jax.jit(lambda pairs: lax.map(lambda pair: gradient(*pair), pairs))(stacked), expected)


def test_second_derivatives_by_two_reverse_passes():
    images, kernel = arrays(2, 5, 5, 16, 3, 3)
    direction = jax.random.normal(jax.random.key(5), kernel.shape, jnp.float32)

    def curvature(convolution):
        def loss(kernel):
            return jnp.tanh(convolution(images, kernel, (1, 1), "SAME", dimension_numbers=NHWC)).sum()

        return jax.jit(jax.grad(lambda kernel: (jax.grad(loss)(kernel) * direction).sum()))(kernel)

    require_close([curvature(conv_general_dilated)], [curvature(lax.conv_general_dilated)], 1e-4)


def test_a_flax_user_gets_it_with_one_argument():
    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 16), jnp.float32)
    options = {"strides": 2, "padding": 1, "use_bias": False}
    layers = [
        nnx.Conv(16, 8, (3, 3), rngs=nnx.Rngs(0), **options, **given)
        for given in ({}, {"conv_general_dilated": conv_general_dilated})
    ]
    require_close([layers[1](images)], [layers[0](images)])


def test_the_table_says_what_resnet34_uses_at_64_pixels():
    stage = {16: 64, 8: 128, 4: 256, 2: 512}
    forward = {size: forward_formulation((3, 3, width, width), 1, (size, size)) for size, width in stage.items()}
    assert forward == {16: "direct", 8: "direct", 4: "direct", 2: "patches"}
    back = {size: image_gradient_formulation((3, 3, width, width), 1, (size, size)) for size, width in stage.items()}
    assert back == {16: "direct", 8: "direct", 4: "taps", 2: "taps"}
    kernel = {size: kernel_gradient_formulation((3, 3, width, width), 1, (size, size)) for size, width in stage.items()}
    assert kernel == {16: "rows", 8: "rows", 4: "patches", 2: "patches"}


def test_a_batch_without_a_number_is_exported_as_xlas_convolution():
    images, kernel = arrays(3, 14, 13, 16, 32, 3)

    def convolve(images):
        return conv_general_dilated(images, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=NHWC)

    shape = jax.ShapeDtypeStruct((*jax.export.symbolic_shape("batch"), *images.shape[1:]), images.dtype)
    exported = jax.export.export(jax.jit(convolve))(shape)
    require_close([exported.call(images)], [convolve(images)])
