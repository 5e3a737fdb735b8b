"""What a device can do at most, by measurement: a large matrix product for arithmetic, a large copy for memory."""

import time
from dataclasses import asdict, dataclass

import jax
import jax.numpy as jnp

from experiments.benchmarks.cases import CLASSES, Case
from resjax.functional import Functional
from resjax.run.costs import forward_flops

MATRIX_SIZE = {"cpu": 2048, "gpu": 8192, "tpu": 8192}
COPY_BYTES = {"cpu": 2**28, "gpu": 2**32, "tpu": 2**31}
REPEATS = 10
PASSES = 3
"""Forward, and backward for the activations and for the weights: each as many operations as the forward pass."""


@dataclass(frozen=True)
class Ceilings:
    """The best of several attempts."""

    flops_per_second: float
    """Of a square matrix product in the dtype of computation; a multiplication and an addition are two."""
    bytes_per_second: float
    """Read and written by a copy."""


def measure_ceilings(dtype: str, matrix_size: int | None = None, copy_bytes: int | None = None) -> Ceilings:
    """The ceilings of this process's device for `dtype`, with sizes that suit it."""
    platform = jax.default_backend()
    size = matrix_size or MATRIX_SIZE.get(platform, MATRIX_SIZE["gpu"])
    count = (copy_bytes or COPY_BYTES.get(platform, COPY_BYTES["gpu"])) // 4
    left, right = jax.random.normal(jax.random.key(0), (2, size, size), jnp.dtype(dtype))
    product = _least_seconds(jax.jit(jnp.matmul), left, right)
    # A change of each number, so that the compiler cannot hand back the same buffer.
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
) -> dict:
    """Our operations and bytes by the second, and their shares of what the device can do.

    `model_flops_per_second` counts kernels alone, forward three times (`resjax.run.costs.forward_flops`); bytes are those
    that XLA's cost analysis gives the compiled step. `roofline_share` is the least time that the step could take, the
    larger of operations and bytes over their ceilings, divided by the time that it takes.
    """
    record = {f"ceiling_{name}": value for name, value in asdict(ceilings).items()}
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


def describe_ceilings(row: dict) -> str:
    """The part of a row that `against_ceilings` wrote, in words; empty where it did not."""
    if "roofline_share" not in row:
        return ""
    text = (
        f"; {row['model_flops_per_second'] / 1e12:.3g} TFLOP/s, {row['flops_share']:.0%} of a matrix product's "
        f"{row['ceiling_flops_per_second'] / 1e12:.3g}"
    )
    if row["bytes_per_second"]:
        text += (
            f"; {row['bytes_per_second'] / 1e9:.3g} GB/s, {row['bytes_share']:.0%} of a copy's "
            f"{row['ceiling_bytes_per_second'] / 1e9:.3g}"
        )
    return text + f"; {row['roofline_share']:.0%} of the roofline"
