"""From images on the host to batches on the device, in an order that is given.

A side of a split lies on the device as uint8 where it fits, and a batch is a gather; otherwise Grain reads it from the
cache, a few batches ahead. Both give the same batches, bit for bit, since the order is computed beforehand: where a
stream stands is the number of batches taken from it, which a checkpoint holds as the number of steps.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Int32

from resjax.data.dataset import Dataset, Pixels
from resjax.data.residence import RESIDENT_SHARE, free_device_bytes
from resjax.types import Batch, PRNGKey

READ_AHEAD = 4
"""Batches that a stream has ready, at most."""
READERS = 4
"""Threads that read a stream's batches."""

Order = Sequence[Int[np.ndarray, " batch"]]
"""The numbers of each batch's images."""


class Side(Protocol):
    """One side of a split."""

    labels: Int32[np.ndarray, " image"]
    """Of all its images, on the host."""

    def batches(self, order: Order) -> Iterator[Batch]:
        """The images and labels with these numbers, on the device, batch by batch."""
        ...


class ResidentSide:
    """All images of a side on the default device."""

    def __init__(self, images: Pixels, labels: Int[np.ndarray, " image"]):
        self.labels = np.asarray(labels, np.int32)
        self.on_device = Batch(jnp.asarray(images), jnp.asarray(self.labels))

    def batches(self, order: Order) -> Iterator[Batch]:
        return (take(self.on_device, indices) for indices in order)


class StreamedSide:
    """A side whose images stay on the host, read ahead by Grain.

    Args:
      images: of the whole data set.
      labels: of the whole data set.
      rows: the side's images.
      process: which of how many processes this one is. Each reads its own run of every batch, and together, in order,
        they have the batch; a batch has to hold as many images as there are processes.
    """

    def __init__(
        self,
        images: Pixels,
        labels: Int[np.ndarray, " image"],
        rows: Int[np.ndarray, " side"],
        process: tuple[int, int] = (0, 1),
    ):
        self._images, self._rows, self._process = images, rows, process
        self.labels = np.asarray(labels[rows], np.int32)

    def batches(self, order: Order) -> Iterator[Batch]:
        for images, labels in self.host_batches(order):
            yield Batch(jnp.asarray(images), jnp.asarray(labels))

    def host_batches(self, order: Order) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same before they are put on a device, for whoever spreads them over several."""
        import grain

        number, count = self._process
        shares = [np.array_split(np.asarray(indices), count)[number] for indices in order]
        stream = (
            grain.MapDataset.source(shares)
            .map(lambda indices: (self._images[self._rows[indices]], self.labels[indices]))
            .to_iter_dataset(grain.ReadOptions(num_threads=READERS, prefetch_buffer_size=READ_AHEAD))
        )
        yield from stream


def make_sides(
    dataset: Dataset, sides: dict[str, Int[np.ndarray, " side"]], pipeline: str = "auto"
) -> dict[str, ResidentSide | StreamedSide]:
    """Every side that has images, `resident` or `streamed`; `auto` is resident where all fit `RESIDENT_SHARE`."""
    sides = {name: rows for name, rows in sides.items() if len(rows)}
    if pipeline == "auto":
        image_bytes = dataset.images.nbytes // max(len(dataset.images), 1)
        needed = image_bytes * sum(len(rows) for rows in sides.values())
        pipeline = "resident" if needed <= RESIDENT_SHARE * free_device_bytes() else "streamed"
    if pipeline == "resident":
        return {name: ResidentSide(dataset.images[rows], dataset.labels[rows]) for name, rows in sides.items()}
    return {name: StreamedSide(dataset.images, dataset.labels, rows) for name, rows in sides.items()}


@jax.jit
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
