"""From images on the host to batches on the device: the whole set lies there as uint8, a batch is a gather."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Int32

from resjax.types import Batch, Dataset, PRNGKey


def to_device(dataset: Dataset, indices: Int[np.ndarray, " side"]) -> Batch:
    """All images and labels of one side of a split, on the default device, in the order of `indices`."""
    return Batch(jnp.asarray(dataset.images[indices]), jnp.asarray(dataset.labels[indices], jnp.int32))


def take(side: Batch, indices: Int32[Array, " batch"]) -> Batch:
    """The images of `side` with the given numbers."""
    return Batch(side.images[indices], side.labels[indices])


def epoch_order(key: PRNGKey, images: int, batch_size: int) -> tuple[Int32[Array, "step batch"], Int32[Array, " rest"]]:
    """A random order of all images: full batches, and the rest that does not fill one (possibly empty)."""
    order = jax.random.permutation(key, images).astype(jnp.int32)
    full = images // batch_size * batch_size
    return order[:full].reshape(-1, batch_size), order[full:]


def padded_batches(images: int, largest: int) -> Int32[np.ndarray, "step batch"]:
    """All images in order, in equal batches of at most `largest`; the last is filled up with image 0.

    The batches are as small as their number allows, so that at most one image a batch is padding.
    """
    steps = -(-images // largest)
    size = -(-images // steps)
    order = np.zeros(steps * size, np.int32)
    order[:images] = np.arange(images)
    return order.reshape(steps, size)
