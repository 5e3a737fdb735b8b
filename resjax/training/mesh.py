"""A (replica, batch) mesh of devices: how arrays are sharded over it, and how images are read onto it.

Replicas are sharded over one axis, the images of a batch over the other. Parameters, statistics and moments of a
replica are copied to all devices of its row. Batch norm sees the whole batch, because the program is written for the
whole batch and `jax.jit` shards it
(https://docs.jax.dev/en/latest/notebooks/Distributed_arrays_and_automatic_parallelization.html).
"""

from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Int, Num

from resjax.data.pipeline import ResidentSide, Side, StreamedSide, take
from resjax.errors import BadInput
from resjax.types import Batch

AXES: tuple[str, ...] = ("replica", "batch")


def parse_mesh(text: str) -> dict[str, int]:
    """The number of devices per axis from text such as `replica:2,batch:4`; an axis that is not named has one.

    Raises:
      BadInput: for another axis, an axis that is named twice, or a number below one.
    """
    sizes = dict.fromkeys(AXES, 1)
    named = []
    for part in text.split(","):
        axis, _, size = part.strip().partition(":")
        named.append(axis)
        if axis not in AXES or not size.isdecimal() or int(size) < 1 or len(set(named)) < len(named):
            raise BadInput(f"--mesh={text}: expected devices per axis such as replica:2,batch:4, each axis once")
        sizes[axis] = int(size)
    return sizes


def make_mesh(replica: int = 1, batch: int = 1) -> Mesh:
    """A mesh of the first `replica * batch` devices; neighbours share a batch.

    Raises:
      BadInput: if there are fewer devices.
    """
    devices = jax.devices()
    if replica * batch > len(devices):
        raise BadInput(
            f"--mesh=replica:{replica},batch:{batch} needs {replica * batch} devices: "
            f"expected at most {len(devices)}, the number of devices that JAX finds"
        )
    # `Mesh` has Auto axes: the compiler chooses shardings that are not given. `jax.make_mesh` makes Explicit axes.
    return Mesh(np.array(devices[: replica * batch]).reshape(replica, batch), AXES)


def require_divisible(batch_size: int, batch: int) -> None:
    """Checks that a batch of `batch_size` images can be shared equally by `batch` devices.

    Raises:
      BadInput: if it cannot; the text names the nearest sizes that can.
    """
    if batch_size % batch:
        below, above = batch_size - batch_size % batch, batch_size + batch - batch_size % batch
        near = f"{below} or {above}" if below else f"{above}"
        raise BadInput(
            f"--mesh=batch:{batch} does not divide --batch_size={batch_size}: expected a batch size such as {near}, or "
            "another mesh"
        )


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def replica_sharding(mesh: Mesh) -> NamedSharding:
    """Shards the first axis over the rows of the mesh, and no other axis."""
    return NamedSharding(mesh, PartitionSpec("replica"))


def batch_sharding(mesh: Mesh, shape: tuple[int, ...]) -> NamedSharding:
    """The sharding of an array (replica, batch, ...) or (batch, ...), from the shape of its first one or two axes.

    A batch that does not divide, such as the last one of an epoch, is copied to all devices of a row. They all compute
    it, in the time that one device needs, with the same result.
    """
    spread = "batch" if shape[-1] % mesh.shape["batch"] == 0 else None
    return NamedSharding(mesh, PartitionSpec(*("replica", spread)[-len(shape) :]))


def put_global(array: Num[np.ndarray, "..."], sharding: NamedSharding) -> jax.Array:
    """Makes a global array from a host array that every process has in full."""
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


class ShardedSide:
    """A side of a split on a mesh: copied to every device if it is resident, else each process reads its own part.

    Args:
      side: images and labels.
      mesh: with the axes (replica, batch).
    """

    def __init__(self, side: Side, mesh: Mesh):
        self._side, self._mesh = side, mesh
        self.on_device: Batch | None = None
        """All images of a resident side, on every device; None if the side is streamed."""
        if isinstance(side, ResidentSide):
            resident = side.on_device
            if jax.process_count() > 1:
                self.on_device = jax.tree.map(lambda array: put_global(np.asarray(array), replicated(mesh)), resident)
            else:
                self.on_device = jax.device_put(resident, replicated(mesh))

    def batches(self, order: Sequence[Int[np.ndarray, "*replica batch"]]) -> Iterator[Batch]:
        """The images with these numbers, sharded by `batch_sharding`. Their first axes are those of the numbers."""
        if isinstance(self._side, StreamedSide):
            yield from self._streamed(self._side, order)
            return
        for numbers in order:
            numbers = put_global(np.asarray(numbers), batch_sharding(self._mesh, numbers.shape))
            assert self.on_device is not None, "a side is resident or streamed"
            yield take(self.on_device, numbers)

    def _streamed(self, side: StreamedSide, order: Sequence[np.ndarray]) -> Iterator[Batch]:
        shardings = [batch_sharding(self._mesh, numbers.shape) for numbers in order]
        here = [numbers[local_slices(s, numbers.shape)] for s, numbers in zip(shardings, order, strict=True)]
        read = side.host_batches([numbers.reshape(-1) for numbers in here])
        for sharding, numbers, own, batch in zip(shardings, order, here, read, strict=True):
            yield Batch(
                *(
                    jax.make_array_from_process_local_data(
                        sharding, array.reshape(*own.shape, *array.shape[1:]), (*numbers.shape, *array.shape[1:])
                    )
                    for array in batch
                )
            )


def local_slices(sharding: NamedSharding, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The block of a global array of this shape that the devices of this process hold."""
    indices = sharding.addressable_devices_indices_map(shape).values()
    parts = [part for part in indices if part is not None]
    bounds = [[part[axis].indices(size)[:2] for part in parts] for axis, size in enumerate(shape)]
    return tuple(slice(min(start for start, _ in each), max(stop for _, stop in each)) for each in bounds)
