"""The measured ceilings of a device: arithmetic by a large matrix product, memory by a large copy."""

import time
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import msgspec
from msgspec import UNSET

from resjax.functional import Functional
from resjax.models.layers import key_of_seed
from resjax.run.setup.costs import forward_flops

from .cases import CLASSES, Case
from .rows import TrainStepRow

MATRIX_SIZE = {"cpu": 2048, "gpu": 8192, "tpu": 8192}
COPY_BYTES = {"cpu": 2**28, "gpu": 2**32, "tpu": 2**31}
REPEATS = 10
PASSES = 3
"""The forward pass, and the backward pass of activations and of weights, with as many operations each."""


@dataclass(frozen=True)
class Ceilings:
    """The best of several attempts."""

    flops_per_second: float
    """Of a square matrix product in the dtype of computation. A multiplication and an addition are two operations."""
    bytes_per_second: float
    """Read and written by a copy."""


def measure_ceilings(dtype: str, matrix_size: int | None = None, copy_bytes: int | None = None) -> Ceilings:
    """The ceilings of the device of this process for `dtype`, by default with sizes that suit it."""
    platform = jax.default_backend()
    size = matrix_size or MATRIX_SIZE.get(platform, MATRIX_SIZE["gpu"])
    count = (copy_bytes or COPY_BYTES.get(platform, COPY_BYTES["gpu"])) // 4
    left, right = jax.random.normal(key_of_seed(0), (2, size, size), jnp.dtype(dtype))
    product = _least_seconds(jax.jit(jnp.matmul), left, right)
    # Each number is changed, so that the compiler cannot return the same buffer.
    copy = _least_seconds(jax.jit(lambda x: x + 1), jnp.zeros(count, jnp.float32))
    return Ceilings(2 * size**3 / product, 2 * 4 * count / copy)


def _least_seconds(function, *arguments) -> float:
    jax.block_until_ready(function(*arguments))
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def against_ceilings(
    case: Case, images_per_second: float | None, bytes_per_step: float | None, ceilings: Ceilings
) -> dict[str, Any]:
    """Our operations and bytes per second, and their fractions of the ceilings; keywords of `TrainStepRow`.

    `model_flops_per_second` counts kernels alone, the forward pass three times (`resjax.forward_flops`). The
    bytes are those of XLA's cost analysis of the compiled step. `roofline_share` is the shortest possible time of the
    step (the larger of operations and bytes, each over its ceiling) divided by its real time.
    """
    record: dict[str, Any] = {f"ceiling_{name}": value for name, value in asdict(ceilings).items()}
    if images_per_second is None:
        return record
    flops = PASSES * forward_flops(Functional(case.architecture, CLASSES, case.dtype), case.image_size)
    steps_per_second = images_per_second / case.batch_size
    shares = [images_per_second * flops / ceilings.flops_per_second]
    record |= {"model_flops_per_second": images_per_second * flops, "flops_share": shares[0], "bytes_per_second": None}
    if bytes_per_step:
        shares.append(steps_per_second * bytes_per_step / ceilings.bytes_per_second)
        record |= {"bytes_per_second": steps_per_second * bytes_per_step, "bytes_share": shares[1]}
    return record | {"roofline_share": max(shares)}


def describe_ceilings(row: TrainStepRow) -> str:
    """The fields of a row that come from `against_ceilings`, in words; empty without them."""
    if row.roofline_share is UNSET:
        return ""
    found = {name: value for name, value in msgspec.structs.asdict(row).items() if isinstance(value, float)}
    text = (
        f"; {found['model_flops_per_second'] / 1e12:.3g} TFLOP/s, {found['flops_share']:.0%} of a matrix product's "
        f"{found['ceiling_flops_per_second'] / 1e12:.3g}"
    )
    if found.get("bytes_per_second"):
        text += (
            f"; {found['bytes_per_second'] / 1e9:.3g} GB/s, {found['bytes_share']:.0%} of a copy's "
            f"{found['ceiling_bytes_per_second'] / 1e9:.3g}"
        )
    return text + f"; {row.roofline_share:.0%} of the roofline"
