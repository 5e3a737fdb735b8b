"""Convolutions, batch norm, shortcuts and the block, against closed forms and torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from resjax.models import residual
from resjax.models.blocks import BasicBlock, BottleneckBlock, PreactivationBlock, PreactivationBottleneckBlock
from resjax.models.layers import convolution, he_normal
from resjax.models.normalization import BatchNorm
from resjax.models.residual import Block, BlockVariant, drop_branches
from resjax.models.shortcut import PadShortcut, make_shortcut

pytestmark = pytest.mark.smoke

KEY = jax.random.key(0)


def normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape, jnp.float32)


def parameters(module: nnx.Module) -> list[tuple]:
    return [leaf.shape for leaf in jax.tree.leaves(nnx.as_pure(nnx.state(module, nnx.Param)))]


@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_a_strided_convolution_looks_where_the_1x1_beside_it_looks(kernel, size):
    images = normal(1, 2, *size, 3)
    point = convolution(3, 4, 1, 2, key=KEY)
    wide = convolution(3, 4, kernel, 2, key=KEY)
    centre = kernel // 2
    wide.kernel[...] = jnp.zeros_like(wide.kernel[...]).at[centre, centre].set(point.kernel[0, 0])
    np.testing.assert_allclose(wide(images), point(images), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(point(images), images[:, ::2, ::2] @ point.kernel[0, 0], rtol=1e-5, atol=1e-6)


def test_convolutions_start_he_normal_by_fan_out_not_truncated():
    expected = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")(KEY, (3, 3, 16, 64), jnp.float32)
    # jax 0.12 multiplies the two factors of Flax's number in another order, which changes its last bit.
    np.testing.assert_allclose(he_normal(KEY, (3, 3, 16, 64), jnp.float32), expected, rtol=2e-7)
    weights = np.asarray(convolution(16, 64, 3, key=KEY).kernel[...])
    deviation = np.sqrt(2 / (9 * 64))
    assert abs(weights.mean()) < 0.03 * deviation and weights.std() == pytest.approx(deviation, rel=0.03)
    # A normal cut at two deviations, as some libraries draw it, has none beyond 2.3 of its own.
    assert np.mean(np.abs(weights) > 2.3 * deviation) == pytest.approx(0.0214, abs=0.006)


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(3, 5, 2), (3, 5, 1), (3, 3, 2)])
def test_the_padded_shortcut_keeps_pixels_and_appends_zeros(inputs, outputs, stride):
    features = normal(1, 2, 5, 6, inputs)
    shortcut = PadShortcut(inputs, outputs, stride)
    out = np.asarray(shortcut(features))
    np.testing.assert_array_equal(out[..., :inputs], features[:, ::stride, ::stride])
    assert not out[..., inputs:].any() and out.shape[-1] == outputs
    assert parameters(shortcut) == []


@pytest.mark.parametrize(("kind", "same", "changed"), [("pad", 0, 0), ("project", 0, 3), ("project_all", 3, 3)])
def test_only_projections_have_parameters_and_only_where_they_belong(kind, same, changed):
    assert len(parameters(make_shortcut(kind, 4, 4, 1, dtype=None, key=KEY))) == same
    assert len(parameters(make_shortcut(kind, 4, 8, 2, dtype=None, key=KEY))) == changed
    assert len(parameters(make_shortcut(kind, 4, 8, 1, dtype=None, key=KEY))) == changed


def test_a_plain_block_has_no_shortcut():
    assert make_shortcut("none", 4, 4, 1, dtype=None, key=KEY) is None
    assert len(parameters(BasicBlock(4, 8, 2, shortcut="none", key=KEY))) == 6


@pytest.mark.parametrize("shortcut", ["pad", "project", "project_all"])
def test_a_residual_block_less_the_addition_is_the_plain_one(shortcut, monkeypatch):
    features = normal(1, 4, 8, 8, 4)
    plain, added = (BasicBlock(4, 8, 2, shortcut=kind, key=KEY) for kind in ("none", shortcut))
    assert not np.array_equal(plain(features), added(features))
    monkeypatch.setattr(residual, "addition", lambda branch, shortcut: branch)
    np.testing.assert_array_equal(plain(features), added(features))


def branch_of(block: Block, features: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The branch of a block, and what its first convolution sees, written as the papers' figures have them."""
    layers = [(getattr(block, f"conv{n}"), getattr(block, f"norm{n}")) for n in (1, 2, 3) if hasattr(block, f"conv{n}")]
    seen = branch = features
    for number, (conv, norm) in enumerate(layers):
        if isinstance(block, PreactivationBlock | PreactivationBottleneckBlock):
            branch = branch if norm is None else jax.nn.relu(norm(branch))
            seen = seen if number else branch
            branch = conv(branch)
        else:
            branch = norm(conv(branch if number == 0 else jax.nn.relu(branch)))
    return branch, seen


@pytest.mark.parametrize("shortcut", ["none", "pad", "project"])
@pytest.mark.parametrize("stride", [1, 2])
def test_blocks_are_those_of_the_papers(shortcut, stride):
    features, outputs = normal(1, 4, 6, 6, 4), 4 * stride
    basic = BasicBlock(4, outputs, stride, shortcut=shortcut, key=KEY)
    bottleneck = BottleneckBlock(4, 2, outputs, stride, shortcut=shortcut, key=KEY)
    for block in (basic, bottleneck):
        branch, _ = branch_of(block, features)
        total = branch if block.shortcut is None else branch + block.shortcut(features)
        np.testing.assert_array_equal(block(features), jax.nn.relu(total))
    for activated in (False, True):
        common = {"activated": activated, "shortcut": shortcut, "key": KEY}
        for block in (
            PreactivationBlock(4, outputs, stride, **common),
            PreactivationBottleneckBlock(4, 2, outputs, stride, **common),
        ):
            branch, seen = branch_of(block, features)
            # He et al. 2016: an identity leaves from the raw features, any other shortcut from the activated ones.
            entering = features if stride == 1 else seen
            total = branch if block.shortcut is None else branch + block.shortcut(entering)
            np.testing.assert_array_equal(block(features), total)


def test_with_zero_gamma_a_residual_block_starts_as_relu():
    features = normal(1, 4, 6, 6, 4)
    block = BasicBlock(4, 4, variant=BlockVariant(zero_gamma=True), key=KEY)
    np.testing.assert_array_equal(block(features), jnp.maximum(features, 0))
    assert np.all(BasicBlock(4, 4, key=KEY).norm2.scale[...] == 1)


@pytest.mark.parametrize("normalization", ["skipinit", "fixup"])
def test_branches_that_start_at_zero_leave_the_shortcut_alone(normalization):
    features = normal(1, 2, 6, 6, 4)
    block = BasicBlock(4, 4, variant=BlockVariant(normalization), key=KEY)
    np.testing.assert_array_equal(block(features), jnp.maximum(features, 0))


def test_a_dropped_branch_is_zero_and_the_mean_stays():
    branch = jnp.ones((2000, 1, 1, 2))
    dropped = np.asarray(drop_branches(branch, 0.4, KEY))
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.6)}
    # Whole images at once, and 2000 of them: the mean's deviation is 0.018.
    assert np.array_equal(dropped[..., 0], dropped[..., 1]) and dropped.mean() == pytest.approx(1, abs=0.06)


def test_batch_norm_normalizes_by_the_biased_variance_and_keeps_the_unbiased_one():
    features = 3 + 2 * normal(1, 4, 3, 2, 5)
    norm = BatchNorm(5)
    out = norm(features)
    flat = np.asarray(features, np.float64).reshape(-1, 5)
    expected = (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)
    np.testing.assert_allclose(np.asarray(out).reshape(-1, 5), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.mean[...], 0.1 * flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(norm.var[...], 0.9 + 0.1 * flat.var(0, ddof=1), rtol=1e-5)


def test_running_statistics_are_torchs_over_several_batches():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    ours, theirs = BatchNorm(5), torch.nn.BatchNorm2d(5)
    for seed in range(4):
        features = seed + (1 + seed) * normal(seed, 3, 2, 2, 5)
        ours(features)
        theirs(torch.tensor(np.asarray(features)).permute(0, 3, 1, 2))
    np.testing.assert_allclose(ours.mean[...], theirs.running_mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(ours.var[...], theirs.running_var.numpy(), rtol=1e-5)


def test_a_single_value_a_channel_leaves_the_running_statistics_finite():
    norm = BatchNorm(5)
    norm(normal(1, 1, 1, 1, 5))
    np.testing.assert_allclose(norm.var[...], 0.9, rtol=1e-6)


def test_evaluation_uses_the_running_statistics_and_leaves_them():
    norm = BatchNorm(5)
    norm.mean[...], norm.var[...] = normal(1, 5), jnp.exp(normal(2, 5))
    before = norm.mean[...], norm.var[...]
    features = normal(3, 2, 2, 2, 5)
    out = nnx.view(norm, use_running_average=True)(features)
    np.testing.assert_allclose(
        out, (features - before[0].reshape(1, 1, 1, 5)) / np.sqrt(before[1] + 1e-5).reshape(1, 1, 1, 5), rtol=1e-5
    )
    np.testing.assert_array_equal(norm.mean[...], before[0])
    np.testing.assert_array_equal(norm.var[...], before[1])


@pytest.mark.parametrize("use_running_average", [False, True])
def test_in_bfloat16_statistics_stay_float32(use_running_average):
    # The mean, 10.02, lies between two bfloat16 numbers that are 0.06 apart; rounding it would shift every output.
    features = (10.02 + normal(1, 16, 8, 8, 5)).astype(jnp.bfloat16)
    flat = np.asarray(features, np.float64).reshape(-1, 5)
    norm = BatchNorm(5)
    norm.mean[...], norm.var[...] = jnp.asarray(flat.mean(0), jnp.float32), jnp.asarray(flat.var(0), jnp.float32)
    out = norm(features, use_running_average)
    assert out.dtype == jnp.bfloat16 and norm.mean[...].dtype == norm.var[...].dtype == jnp.float32
    np.testing.assert_allclose(np.asarray(out, np.float64).reshape(-1, 5).mean(0), 0, atol=2e-3)
