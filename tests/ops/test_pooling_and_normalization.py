"""The stem's max pool and batch norm are Flax's, in value and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from resjax.ops import batch_norm, max_pool

pytestmark = pytest.mark.smoke


def flax_max_pool(features):
    return nnx.max_pool(features, (3, 3), (2, 2), ((1, 1), (1, 1)))


def flax_batch_norm(features, scale, bias):
    mean, squares = features.mean((0, 1, 2)), jnp.square(features).mean((0, 1, 2))
    variance = jnp.maximum(squares - jnp.square(mean), 0)
    wide = [each.reshape(1, 1, 1, -1) for each in (mean, jax.lax.rsqrt(variance + 1e-5) * scale, bias)]
    return (features - wide[0]) * wide[1] + wide[2], mean, variance


@pytest.mark.parametrize("rows, columns", [(8, 8), (9, 7), (5, 6), (1, 2), (3, 3)])
def test_max_pool_and_its_gradient_are_flaxs_where_pixels_are_equal_too(rows, columns):
    # Rounded to whole numbers, many of a window's pixels are the same: the first gets the gradient.
    rng = np.random.default_rng(0)
    features = rng.standard_normal((3, rows, columns, 4), np.float32).round()
    gradient = rng.standard_normal((3, -(-rows // 2), -(-columns // 2), 4), np.float32)

    @jax.jit
    def both(features, gradient):
        pools = [jax.vjp(pool, features) for pool in (max_pool, flax_max_pool)]
        return [(after, backwards(gradient)[0]) for after, backwards in pools], jax.jvp(max_pool, [features], [tangent])

    # The tangent is held to the gradient, because they are transposes of each other.
    tangent = rng.standard_normal(features.shape, np.float32)
    ((ours, our_gradient), (theirs, their_gradient)), (again, moved) = both(features, gradient)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(again, theirs)
    np.testing.assert_allclose(our_gradient, their_gradient, rtol=1e-6)
    assert float((moved * gradient).sum()) == pytest.approx(float((tangent * their_gradient).sum()), rel=1e-4)


def test_max_pool_keeps_nan_and_bfloat16():
    features = jnp.ones((1, 4, 4, 1)).at[0, 2, 2, 0].set(jnp.nan)
    np.testing.assert_array_equal(jax.jit(max_pool)(features), jax.jit(flax_max_pool)(features))
    assert max_pool(features.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_batch_norm_and_all_its_gradients_are_what_autodiff_gives():
    keys = jax.random.split(jax.random.key(0), 4)
    features = 2 + 3 * jax.random.normal(keys[0], (4, 5, 3, 6), jnp.float32)
    scale, bias = jax.random.normal(keys[1], (6,), jnp.float32), jax.random.normal(keys[2], (6,), jnp.float32)

    def loss(norm):
        def of(features, scale, bias):
            normalized, mean, variance = norm(features, scale, bias)
            # Statistics with a gradient of their own too.
            return (jnp.tanh(normalized) ** 2).sum() + (mean**2).sum() + jnp.sin(variance).sum()

        return jax.jit(jax.value_and_grad(of, argnums=(0, 1, 2)))(features, scale, bias)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5), loss(batch_norm), loss(flax_batch_norm)
    )


def test_batch_norm_of_bfloat16_is_computed_in_float32():
    features = (100 + jax.random.normal(jax.random.key(0), (8, 4, 4, 2), jnp.float32)).astype(jnp.bfloat16)
    normalized, mean, variance = jax.jit(batch_norm)(features, jnp.ones(2), jnp.zeros(2))
    assert normalized.dtype == jnp.bfloat16 and mean.dtype == variance.dtype == jnp.float32
    exact = flax_batch_norm(features.astype(jnp.float32), jnp.ones(2), jnp.zeros(2))
    np.testing.assert_allclose(mean, exact[1], rtol=1e-6)
    np.testing.assert_allclose(normalized.astype(jnp.float32), exact[0], rtol=1e-2, atol=1e-2)
