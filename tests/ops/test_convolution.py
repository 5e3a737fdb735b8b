"""The convolutions of a CPU against XLA's own, in value, gradients and under every transformation.

By what there is: oneDNN, and by matrix products, which are the way elsewhere.
"""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax
from jax.sharding import AxisType

from resjax.ops import conv_general_dilated, cpu_convolutions
from resjax.ops.cpu import why_no_onednn
from resjax.ops.formulations import forward_formulation, image_gradient_formulation, kernel_gradient_formulation

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


ALL = ["matrix_products", *(["onednn"] if why_no_onednn() is None else [])]


@pytest.fixture(params=ALL)
def way(request):
    with cpu_convolutions(request.param):
        yield request.param


@pytest.fixture
def by_matrix_products():
    with cpu_convolutions("matrix_products"):
        yield


def arrays(batch, rows, columns, inputs, outputs, kernel, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((batch, rows, columns, inputs), np.float32)
    return jnp.asarray(images), jnp.asarray(rng.standard_normal((kernel, kernel, inputs, outputs), np.float32))


def require_xlas(images, kernel, stride, padding):
    """Compares the convolution and the gradients of its product with random numbers, in one compiled program."""

    def by(convolution):
        return lambda images, kernel: convolution(images, kernel, (stride, stride), padding, dimension_numbers=NHWC)

    def both(images, kernel, gradient):
        results = []
        for convolve in (by(conv_general_dilated), by(lax.conv_general_dilated)):
            after, backwards = jax.vjp(convolve, images, kernel)
            results.append((after, *backwards(gradient)))
        return results

    shape = jax.eval_shape(by(lax.conv_general_dilated), images, kernel).shape
    gradient = np.random.default_rng(9).standard_normal(shape, np.float32)
    require_close(*jax.jit(both)(images, kernel, gradient))


def require_close(ours, theirs, relative=1e-5):
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
        scale = float(jnp.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=relative, atol=relative * scale)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_are_xlas(shape, by_matrix_products):
    *sizes, kernel_size, stride = shape
    images, kernel = arrays(*sizes, kernel_size)
    require_xlas(images, kernel, stride, [(kernel_size // 2, kernel_size // 2)] * 2)


@pytest.mark.parametrize("padding", ["SAME", "VALID", [(0, 1), (2, 0)], [(3, 3), (1, 1)]], ids=str)
@pytest.mark.parametrize("stride", [1, 2])
def test_any_padding(padding, stride, by_matrix_products):
    # 16 outputs: fewer are left to XLA.
    require_xlas(*arrays(2, 9, 10, 16, 16, 3), stride, padding)


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
def test_other_convolutions_have_no_matrix_products(options, by_matrix_products):
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


def test_other_platforms_get_xlas_convolution_and_nothing_else(way):
    images, kernel = arrays(4, 40, 42, 16, 64, 3)

    def loss(images, kernel):
        return conv_general_dilated(images, kernel, (2, 2), [(1, 1)] * 2, dimension_numbers=NHWC).sum()

    traced = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).trace(images, kernel)
    own = "custom_call @resjax" if way == "onednn" else "dot_general"
    for platform, convolutions in (("cuda", 3), ("tpu", 3), ("cpu", 0)):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert text.count("stablehlo.convolution") == convolutions
        assert (text.count(f"stablehlo.{own}") >= 1) == (platform == "cpu")


def test_without_jit_the_numbers_are_the_same(way):
    images, kernel = arrays(2, 6, 5, 16, 16, 3)

    def convolve(images, kernel):
        return conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=NHWC)

    with jax.disable_jit():
        alone = convolve(images, kernel)
    np.testing.assert_array_equal(alone, convolve(images, kernel))


def test_layers_of_the_same_shape_are_lowered_once(way):
    images, kernel = arrays(2, 8, 8, 16, 16, 3)

    def operations(layers: int) -> int:
        def loss(images, kernel):
            for _ in range(layers):
                images = conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=NHWC)
            return images.sum()

        text = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(images, kernel).as_text()
        return sum(text.count(f"stablehlo.{name}") for name in ("convolution", "dot_general", "custom_call"))

    assert operations(5) == operations(2) > 0


def test_under_vmap_and_map_every_replica_gets_its_own(way):
    # 16 outputs: fewer are left to XLA.
    pairs = [arrays(4, 8, 8, 16, 16, 3, seed) for seed in range(3)]
    stacked = tuple(jnp.stack(arrays) for arrays in zip(*pairs, strict=True))

    def loss(images, kernel):
        return jnp.square(conv_general_dilated(images, kernel, (2, 2), [(1, 1)] * 2, dimension_numbers=NHWC)).sum()

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
    expected = tuple(jnp.stack(arrays) for arrays in zip(*(gradient(*pair) for pair in pairs), strict=True))
    require_close(jax.jit(jax.vmap(gradient))(*stacked), expected)
    require_close(jax.jit(lambda pairs: lax.map(lambda pair: gradient(*pair), pairs))(stacked), expected)


@pytest.mark.parametrize("stride", [1, 2])
def test_forward_mode_and_second_derivatives_are_xlas(stride, way):
    # 16 outputs: fewer are left to XLA.
    arguments, directions = arrays(2, 6, 5, 16, 16, 3), arrays(2, 6, 5, 16, 16, 3, seed=5)

    def by(convolution):
        def convolve(images, kernel):
            return convolution(images, kernel, (stride, stride), [(1, 1)] * 2, dimension_numbers=NHWC)

        def loss(images, kernel):
            return jnp.tanh(convolve(images, kernel) / 10).sum()

        def along(images, kernel):
            gradients = jax.grad(loss, (0, 1))(images, kernel)
            return sum((one * other).sum() for one, other in zip(gradients, directions, strict=True))

        tangent = jax.jvp(convolve, arguments, directions)[1]
        forward_over_reverse = jax.jvp(jax.grad(loss, (0, 1)), arguments, directions)[1]
        return tangent, *forward_over_reverse, *jax.grad(along, (0, 1))(*arguments)

    require_close(*jax.jit(lambda: (by(conv_general_dilated), by(lax.conv_general_dilated)))(), relative=1e-4)


def test_what_a_vmap_shares_gets_the_sum_of_its_gradients(way):
    (images, kernel), (_, other) = arrays(3, 6, 5, 16, 16, 3), arrays(3, 6, 5, 16, 16, 3, seed=1)

    def by(convolution):
        def loss(images, kernel):
            return jnp.square(convolution(images, kernel, (1, 1), "SAME", dimension_numbers=NHWC)).sum()

        def of_all(images, kernels):
            return jax.vmap(loss, (None, 0))(images, kernels).sum()

        of_each = jax.vmap(jax.grad(lambda kernel, image: loss(image[None], kernel)), (None, 0))(kernel, images)
        return of_each, *jax.grad(of_all, (0, 1))(images, jnp.stack([kernel, other]))

    require_close(*jax.jit(lambda: (by(conv_general_dilated), by(lax.conv_general_dilated)))(), relative=1e-4)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_gradients_on_a_mesh(axis_type, way):
    images, kernel = arrays(2, 6, 5, 16, 16, 3)
    mesh = jax.make_mesh((1,), ("batch",), axis_types=(axis_type,))

    def loss(images, kernel):
        return jnp.square(conv_general_dilated(images, kernel, (2, 2), [(1, 1)] * 2, dimension_numbers=NHWC)).sum()

    gradient = jax.grad(loss, (0, 1))
    expected = jax.jit(gradient)(images, kernel)
    with jax.set_mesh(mesh):
        if axis_type == AxisType.Auto:
            specs = {"in_specs": (jax.P("batch"), jax.P()), "out_specs": (jax.P("batch"), jax.P())}
            found = jax.jit(jax.shard_map(gradient, mesh=mesh, **specs))(images, kernel)
        else:
            found = jax.jit(gradient)(jax.reshard(images, jax.P("batch")), kernel)
    require_close(found, expected)


def test_a_flax_user_gets_it_with_one_argument(way):
    images, _ = arrays(2, 8, 8, 16, 16, 3)
    options = {"strides": 2, "padding": 1, "use_bias": False}
    layers = [
        nnx.Conv(16, 16, (3, 3), rngs=nnx.Rngs(0), **options, **given)
        for given in ({}, {"conv_general_dilated": conv_general_dilated})
    ]
    ours, theirs = jax.jit(lambda images: [layers[1](images), layers[0](images)])(images)
    require_close([ours], [theirs])


def test_the_table_says_what_resnet34_uses_at_64_pixels():
    stage = {16: 64, 8: 128, 4: 256, 2: 512}
    forward = {size: forward_formulation((3, 3, width, width), 1, (size, size)) for size, width in stage.items()}
    assert forward == {16: "direct", 8: "direct", 4: "direct", 2: "patches"}
    back = {size: image_gradient_formulation((3, 3, width, width), 1, (size, size)) for size, width in stage.items()}
    assert back == {16: "direct", 8: "direct", 4: "taps", 2: "taps"}
    kernel = {size: kernel_gradient_formulation((3, 3, width, width), 1, (size, size)) for size, width in stage.items()}
    assert kernel == {16: "rows", 8: "rows", 4: "patches", 2: "patches"}


@pytest.mark.parametrize("batch", ["batch", "3"])
def test_an_exported_program_has_xlas_convolution_and_runs_anywhere(way, batch):
    images, kernel = arrays(3, 14, 13, 16, 32, 3)

    def convolve(images):
        return conv_general_dilated(images, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=NHWC)

    shape = jax.ShapeDtypeStruct((*jax.export.symbolic_shape(batch), *images.shape[1:]), images.dtype)
    exported = jax.export.export(jax.jit(convolve))(shape)
    assert "stablehlo.convolution" in exported.mlir_module() and "custom_call @resjax" not in exported.mlir_module()
    require_close([exported.call(images)], [convolve(images)])
