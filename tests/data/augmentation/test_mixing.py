"""Mixup and CutMix by their formulas, as torchvision.transforms.v2 has them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resjax.data.augmentation import cutmix_shares, mix, mix_pixels

HEIGHT, WIDTH = 6, 9


def test_each_image_is_mixed_with_the_one_before_it(images):
    three = jnp.concatenate([images, images[:1, ::-1]])
    mixed = mix_pixels(three, jnp.full(images.shape[1:3], 0.3))
    np.testing.assert_allclose(mixed, 0.3 * three + 0.7 * three[jnp.array([2, 0, 1])], atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.51, 0.97, 1.0])
@pytest.mark.parametrize("centre", [(0, 0), (3, 4), (5, 8)])
def test_the_box_of_cutmix_is_torchvisions(share, centre):
    # The code of torchvision.transforms.v2.CutMix.make_params.
    half = 0.5 * math.sqrt(1 - share)
    half_width, half_height = int(half * WIDTH), int(half * HEIGHT)
    y1, y2 = max(centre[0] - half_height, 0), min(centre[0] + half_height, HEIGHT)
    x1, x2 = max(centre[1] - half_width, 0), min(centre[1] + half_width, WIDTH)
    expected = np.ones((HEIGHT, WIDTH))
    expected[y1:y2, x1:x2] = 0
    found = cutmix_shares(jnp.float32(share), jnp.array(centre), HEIGHT, WIDTH)
    np.testing.assert_array_equal(found, expected)
    assert float(found.mean()) == pytest.approx(1 - (x2 - x1) * (y2 - y1) / (WIDTH * HEIGHT))


def drawn(mixup: float, cutmix: float) -> tuple[np.ndarray, np.ndarray]:
    """Shares (draw,) and their pixels (draw, height, width): white is mixed with black."""
    batch = jnp.zeros((2, 16, 16, 3)).at[0].set(1.0)
    keys = jax.random.split(jax.random.key(0), 3000)
    images, shares = jax.jit(jax.vmap(lambda key: mix(key, batch, mixup, cutmix)))(keys)
    return np.asarray(shares), np.asarray(images)[:, 0, :, :, 0]


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_the_share_of_mixup_is_of_a_beta_distribution_once_a_batch(alpha):
    shares, pixels = drawn(alpha, 0.0)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
    assert np.var(shares) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.06)
    np.testing.assert_allclose(pixels, np.broadcast_to(shares[:, None, None], pixels.shape), atol=1e-6)


def test_the_share_of_cutmix_is_that_of_its_pixels():
    shares, pixels = drawn(0.0, 1.0)
    assert set(np.unique(pixels)) == {0.0, 1.0}
    np.testing.assert_allclose(shares, pixels.mean((1, 2)), atol=1e-6)
    # 1 - E[(2 h - h^2)^2] = 0.679 for half a side h = sqrt(u) / 2, u uniform, and a centre anywhere; whole pixels make
    # the box smaller.
    assert 0.67 < shares.mean() < 0.76


def test_with_both_each_batch_is_mixed_in_one_of_the_two_ways():
    shares, pixels = drawn(1.0, 1.0)
    flat = np.ptp(pixels, axis=(1, 2)) == 0
    fractions = flat & (shares > 0) & (shares < 1)
    boxes = ((pixels == 0) | (pixels == 1)).all((1, 2))
    assert (fractions ^ boxes).all() and 0.45 < fractions.mean() < 0.55
