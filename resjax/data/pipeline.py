"""Batches for training: from images on the host to arrays on the device, in a given order.

The images of a split's side lie on the device as uint8 where they fit, and a batch is a gather. Otherwise Grain reads
them from the cache, a few batches ahead. Both give the same batches, bit for bit, because the order is computed
beforehand. The position in a stream is the number of batches taken from it, which a checkpoint stores as its step.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Int32

from resjax.data.dataset import RESIDENT_SHARE, Dataset, Pixels
from resjax.types import Batch, PRNGKey

READ_AHEAD = 4
"""Batches that a stream holds ready, at most."""
READERS = 4
"""Threads that read the batches of a stream."""

Order = Sequence[Int[np.ndarray, " batch"]]
"""The numbers of each batch's images, counted within their side."""


class Side(Protocol):
    """The images of one side of a split: train, val or test."""

    labels: Int32[np.ndarray, " image"]
    """The labels of all images of the side, on the host."""

    def batches(self, order: Order) -> Iterator[Batch]:
        """The images and labels with these numbers, on the device, batch by batch."""
        ...


class ResidentSide:
    """A side whose images all lie on the default device.

    Args:
      images: of this side, (image, height, width, 3) in uint8.
      labels: of this side.
    """

    def __init__(self, images: Pixels, labels: Int[np.ndarray, " image"]):
        self.labels = np.asarray(labels, np.int32)
        self.on_device = Batch(jnp.asarray(images), jnp.asarray(self.labels))

    def batches(self, order: Order) -> Iterator[Batch]:
        return (take(self.on_device, indices) for indices in order)


class StreamedSide:
    """A side whose images stay on the host and are read ahead by Grain.

    Args:
      images: of the whole data set.
      labels: of the whole data set.
      rows: the numbers of this side's images in the data set.
      process: number of this process and count of all processes. Each process reads its own consecutive part of every
        batch; the parts in order make up the batch. A batch must hold at least one image for each process.
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
        """The same batches on the host, for callers that spread them over several devices."""
        # Grain takes long to import, and resident images do not need it.
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
    """The sides that have images, ready for training.

    Args:
      sides: the numbers of each side's images in the data set.
      pipeline: `resident`, `streamed` or `auto`, which is resident if all sides together fit `RESIDENT_SHARE` of the
        free memory.
    """
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
    """The images and labels of `side` with the given numbers."""
    return Batch(side.images[indices], side.labels[indices])


def epoch_order(key: PRNGKey, images: int, batch_size: int) -> tuple[Int32[Array, "step batch"], Int32[Array, " rest"]]:
    """All images in random order: the full batches, and the rest that does not fill one (possibly empty)."""
    order = jax.random.permutation(key, images).astype(jnp.int32)
    full = images // batch_size * batch_size
    return order[:full].reshape(-1, batch_size), order[full:]


def padded_batches(images: int, largest: int) -> Int32[np.ndarray, "step batch"]:
    """All images in order, in equal batches of at most `largest`; the last batch is padded with image 0.

    The batches are as small as their number allows, so that there are fewer padding images than batches.
    """
    steps = -(-images // largest)
    size = -(-images // steps)
    order = np.zeros(steps * size, np.int32)
    order[:images] = np.arange(images)
    return order.reshape(steps, size)


def free_device_bytes() -> int:
    """Free memory of the default device in bytes: an accelerator's own, or the host memory open to this process."""
    statistics = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in statistics:
        return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = 1024 * int(fields["MemAvailable"].split()[0])
    except OSError:
        # Not Linux: half of the installed memory.
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    # A container may be allowed less than the machine has; the text "max" means no limit.
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):
        free = min(free, int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(0, free)
