"""A (replica, batch) mesh of devices: what lies where, and how a side of a split is read onto it.

Replicas lie along one axis, the images of a batch along the other. Parameters, statistics and moments of a replica are
the same on all devices of its row; batch norm sees the whole batch, because the program is written for the whole batch
and `jax.jit` parts it (https://docs.jax.dev/en/latest/notebooks/Distributed_arrays_and_automatic_parallelization.html).
"""

from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Int, Num

from resjax.data.pipeline import Side, StreamedSide, take
from resjax.types import BadInput, Batch

AXES = ("replica", "batch")


def parse_mesh(text: str) -> dict[str, int]:
    """`replica:2,batch:4` as a number of devices an axis; an axis that is not named has one.

    Raises:
      BadInput: for other axes, or numbers below one.
    """
    sizes = dict.fromkeys(AXES, 1)
    named = []
    for part in text.split(","):
        axis, _, size = part.strip().partition(":")
        named.append(axis)
        if axis not in AXES or not size.isdecimal() or int(size) < 1 or len(set(named)) < len(named):
            raise BadInput(f"--mesh={text}: devices an axis such as replica:2,batch:4 are accepted, each axis once")
        sizes[axis] = int(size)
    return sizes


def make_mesh(replica: int = 1, batch: int = 1) -> Mesh:
    """A mesh of the first `replica * batch` devices, neighbours along `batch`.

    Raises:
      BadInput: where there are fewer devices.
    """
    devices = jax.devices()
    if replica * batch > len(devices):
        raise BadInput(
            f"--mesh=replica:{replica},batch:{batch} asks for {replica * batch} devices; "
            f"{len(devices)} or fewer, as many as there are, are accepted"
        )
    # `Mesh` has Auto axes: the compiler parts what is not said. `jax.make_mesh` would make Explicit ones.
    return Mesh(np.array(devices[: replica * batch]).reshape(replica, batch), AXES)


def require_divides(batch_size: int, batch: int) -> None:
    """Refuses a batch that does not part evenly over the `batch` axis.

    Raises:
      BadInput: with the sizes that would.
    """
    if batch_size % batch:
        below, above = batch_size - batch_size % batch, batch_size + batch - batch_size % batch
        near = f"{below} or {above}" if below else f"{above}"
        raise BadInput(
            f"--mesh=batch:{batch} does not divide --batch_size={batch_size}: a batch size such as {near}, or another "
            "mesh, is accepted"
        )


def everywhere(mesh: Mesh) -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def by_replica(mesh: Mesh) -> NamedSharding:
    """The first axis over the rows of the mesh, the rest whole."""
    return NamedSharding(mesh, PartitionSpec("replica"))


def of_batch(mesh: Mesh, shape: tuple[int, ...]) -> NamedSharding:
    """Of an array (replica, batch, ...) or (batch, ...), by the shape of its numbers of images.

    A batch that does not divide, as the last of an epoch may, lies whole on each device of a row: all of them compute
    it, which costs as much time as one device would need and changes no result.
    """
    spread = "batch" if shape[-1] % mesh.shape["batch"] == 0 else None
    return NamedSharding(mesh, PartitionSpec(*("replica", spread)[-len(shape) :]))


def put(array: Num[np.ndarray, "..."], sharding: NamedSharding) -> jax.Array:
    """An array that every process has whole, as one over all of them."""
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


class SpreadSide:
    """A side of a split on a mesh: whole on every device where it is resident, else read by each process in part."""

    def __init__(self, side: Side, mesh: Mesh):
        self._side, self._mesh = side, mesh
        self.on_device = None
        if not isinstance(side, StreamedSide):
            resident = side.on_device
            if jax.process_count() > 1:
                self.on_device = jax.tree.map(lambda array: put(np.asarray(array), everywhere(mesh)), resident)
            else:
                self.on_device = jax.device_put(resident, everywhere(mesh))

    def batches(self, order: Sequence[Int[np.ndarray, "*replica batch"]]) -> Iterator[Batch]:
        """The images with these numbers, in arrays that begin with the axes of the numbers, spread by `of_batch`."""
        if isinstance(self._side, StreamedSide):
            yield from self._streamed(self._side, order)
            return
        for numbers in order:
            numbers = put(np.asarray(numbers), of_batch(self._mesh, numbers.shape))
            yield take(self.on_device, numbers)

    def _streamed(self, side: StreamedSide, order: Sequence[np.ndarray]) -> Iterator[Batch]:
        shardings = [of_batch(self._mesh, numbers.shape) for numbers in order]
        here = [numbers[own_part(s, numbers.shape)] for s, numbers in zip(shardings, order, strict=True)]
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


def own_part(sharding: NamedSharding, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The part of an array that the devices of this process hold, which is a block."""
    parts = sharding.addressable_devices_indices_map(shape).values()
    bounds = [[part[axis].indices(size)[:2] for part in parts] for axis, size in enumerate(shape)]
    return tuple(slice(min(start for start, _ in each), max(stop for _, stop in each)) for each in bounds)
