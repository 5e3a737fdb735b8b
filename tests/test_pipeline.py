"""Batches cover every image once, in an order that depends on the key alone."""

import jax
import numpy as np
import pytest

from resjax.data.pipeline import epoch_order, padded_batches, take, to_device
from resjax.types import Dataset


@pytest.mark.parametrize("images", [1, 7, 24, 25, 48])
def test_an_epoch_covers_every_image_once(images):
    order, rest = epoch_order(jax.random.key(0), images, 24)
    assert order.shape == (images // 24, 24) and rest.shape == (images % 24,)
    assert sorted([*np.asarray(order).ravel(), *np.asarray(rest)]) == list(range(images))


def test_the_order_depends_on_the_key_alone():
    first, second, other = (epoch_order(jax.random.key(seed), 30, 10)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, second) and not np.array_equal(first, other)


@pytest.mark.parametrize("images", [1, 127, 128, 129, 230, 1000])
def test_padded_batches_hold_all_images_in_order_with_little_padding(images):
    batches = padded_batches(images, 128)
    assert batches.shape[1] <= 128 and batches.size - images < len(batches)
    assert batches.ravel()[:images].tolist() == list(range(images))


def test_a_side_lies_on_the_device_as_bytes_in_the_order_of_its_indices():
    images = np.arange(4 * 2 * 2 * 3, dtype=np.uint8).reshape(4, 2, 2, 3)
    labels = np.array([0, 1, 0, 1], np.int32)
    dataset = Dataset("made", ("a", "b"), tuple("wxyz"), labels, images, tuple("wxyz"), np.arange(4, dtype=np.int32))
    side = to_device(dataset, np.array([3, 1]))
    assert side.images.dtype == np.uint8
    assert np.array_equal(side.images, images[[3, 1]])
    assert np.array_equal(take(side, np.array([1])).images, images[[1]])
