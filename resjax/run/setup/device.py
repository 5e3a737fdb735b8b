"""The device that a run uses: what it is, what it can compute in, its memory, and how long work will take on it."""

import os
import re
import subprocess
import time
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import jax
import numpy as np
from msgspec import UNSET, UnsetType

from resjax.errors import BadInput
from resjax.models.layers import PRNG
from resjax.ops import cpu
from resjax.ops.cpu import cpu_convolutions_used
from resjax.records import NUMERICS_VERSION, Environment
from resjax.run.setup.costs import Ledger

FLOPS_PER_SECOND = {"gpu": 2e13, "tpu": 3e13}
"""What the train step sustains at small batches, for an estimate before anything has run."""
SHARE_OF_PRODUCT = 0.25
"""What it sustains on a CPU, of the speed of small matrix products on all cores: 0.15 (8 channels) to 0.6 (64)."""
COMPILE_SECONDS = {"cpu": 15.0, "gpu": 60.0, "tpu": 60.0}
"""Compilation of the train and evaluation programs of one network."""
FIRST_WITH_BFLOAT16 = 8.0
"""NVIDIA's compute capability from which on there is bfloat16; a T4 has 7.5."""
MEANS_OUT_OF_MEMORY = re.compile(r"RESOURCE_EXHAUSTED|out of memory|failed to allocate", re.IGNORECASE)
KEPT_PER_ACTIVATION = 4
"""Bytes that a train step keeps for each byte of the ledger's activations, roughly: those of norms and relus beside the
convolutions', and gradients in the backward pass. An estimate, for a first value to try."""
LEFT_FOR_ACTIVATIONS = 0.8
"""The fraction of the device's memory that is not images, weights, moments or XLA's own."""


def describe_environment(dtype: str | UnsetType = UNSET) -> Environment:
    """Versions, device, git revision and what else changes numbers, for the records.

    Args:
      dtype: that networks really compute in, if there are networks.
    """
    devices = jax.devices()
    precision = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
    return Environment(
        jax=jax.__version__,
        jaxlib=version("jaxlib"),
        flax=version("flax"),
        platform=devices[0].platform,
        device_kind=devices[0].device_kind,
        device_count=len(devices),
        process_count=jax.process_count(),
        cpu_count=os.cpu_count(),
        xla_flags=os.environ.get("XLA_FLAGS"),
        git_revision=_git_revision(),
        dtype=dtype,
        convolution=UNSET if dtype is UNSET else convolution_backend(devices[0].platform, dtype),
        prng=PRNG,
        threefry_partitionable=jax.config.jax_threefry_partitionable,  # pyright: ignore[reportAttributeAccessIssue]
        x64=jax.config.jax_enable_x64,  # pyright: ignore[reportAttributeAccessIssue]
        matmul_precision=None if precision is None else str(precision),
        numerics_version=NUMERICS_VERSION,
    )


def convolution_backend(platform: str, dtype: str) -> str:
    """What `resjax.ops` computes convolutions with; those that it cannot compute are XLA's everywhere."""
    return cpu_convolutions_used(dtype) if platform == "cpu" else "XLA"


def require_backend() -> None:
    """Has JAX find its devices, which takes a moment.

    Raises:
      BadInput: if JAX has none of the kind that `JAX_PLATFORMS` names, or cannot use it; and for a value of
        RESJAX_CPU_CONVOLUTIONS that does not exist, or is not possible here.
    """
    cpu.asked()
    try:
        jax.devices()
    # An accelerator's plugin may raise anything; jax itself asserts for a `cuda` that it never heard of.
    except Exception as error:
        asked = os.environ.get("JAX_PLATFORMS", "")
        # The advice at the end of jax's text is ours, too.
        said = " ".join(str(error).partition("(set JAX_PLATFORMS")[0].split())[:300]
        why = f" ({said})" if said else ""
        raise BadInput(
            f"JAX_PLATFORMS={asked}: JAX cannot compute on it here{why}; expected cpu, cuda, rocm or tpu, as far as "
            "jax was installed with them, or nothing for what JAX finds"
        ) from error


def estimate_seconds(forward_flops: Sequence[float], images_per_replica: int, replicas: Sequence[int]) -> float:
    """Estimates roughly, before anything has run, the time of training, compilation included.

    Args:
      forward_flops: of each network's forward pass of one image; forward and backward cost three of those.
      images_per_replica: how many images a replica is trained on in all.
      replicas: of each network.
    """
    platform = jax.default_backend()
    rate = _cpu_flops_per_second() if platform == "cpu" else FLOPS_PER_SECOND.get(platform, FLOPS_PER_SECOND["gpu"])
    work = sum(3 * flops * images_per_replica * count for flops, count in zip(forward_flops, replicas, strict=True))
    return work / rate + COMPILE_SECONDS.get(platform, 60.0) * sum(count > 0 for count in replicas)


@cache
def _cpu_flops_per_second() -> float:
    """What a train step may sustain here, by the time of matrix products that one core computes in its cache."""
    # Too small for numpy's threads, which would wait for each other beside other programs.
    products, size = 50, 64
    factors = np.ones((products, size, size), np.float32)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        np.matmul(factors, factors)
        times.append(time.perf_counter() - start)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return SHARE_OF_PRODUCT * cores * products * 2 * size**3 / min(times)


def usable_dtype(dtype: str, device: jax.Device) -> tuple[str, str | None]:  # pyright: ignore[reportInvalidTypeForm]
    """The dtype to compute in on `device`, and a line that says why if it is not the one that was asked for."""
    capability = getattr(device, "compute_capability", None)
    if dtype == "bfloat16" and device.platform == "gpu" and capability and float(capability) < FIRST_WITH_BFLOAT16:
        return "float32", (
            f"--dtype=bfloat16: {device.device_kind} (compute capability {capability}) has no bfloat16; float32 is used"
        )
    return dtype, None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a step ended because the memory of the device or of the host was too small."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, jax.errors.JaxRuntimeError) and bool(MEANS_OUT_OF_MEMORY.search(str(error)))


def out_of_memory_message(
    network: str, ledger: Ledger, batch_size: int, image_size: int, device_bytes: int | None = None
) -> str:
    """The error text for a train step that runs out of device memory: one line that names flags with smaller values.

    Args:
      ledger: the network's, at `image_size`.
      device_bytes: the memory of the device; by default what the first device reports. If it reports nothing, as a CPU
        does, values that halve the memory of a step are proposed.
    """
    device = jax.devices()[0]
    if device_bytes is None:
        device_bytes = (device.memory_stats() or {}).get("bytes_limit")
    fits = batch_size // 2
    if device_bytes is not None:
        image_bytes = ledger.activation_bytes * KEPT_PER_ACTIVATION
        fits = min(fits, int(device_bytes * LEFT_FOR_ACTIVATIONS) // max(image_bytes, 1))
    # Half the batch, or the same reduction in pixels: activations grow with the square of the size.
    share = max(fits, 1) / batch_size
    smaller = max(8, int(image_size * min(share, 0.5) ** 0.5) // 8 * 8)
    memory = "" if device_bytes is None else f" ({device_bytes / 2**30:.1f} GiB)"
    lower = f"--batch_size={fits} (now {batch_size})" if fits else ""
    pixels = f"--image_size={smaller} (now {image_size})" if smaller < image_size else ""
    ways = " or ".join(way for way in (lower, pixels) if way) or "a smaller --width"
    return (
        f"{network}: a train step needs more memory than {device.device_kind} has{memory}; try {ways}, or "
        "--dtype=bfloat16"
    )


def _git_revision() -> str | None:
    """The commit of the checkout that this file is in, with `+` if files were changed; None outside of a checkout."""
    try:
        # Without locks: a run that is killed, or has no disk space, leaves none behind in the checkout.
        git = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent)]
        revision = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
        changes = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return revision.stdout.strip() + ("+" if changes.stdout.strip() else "") if revision.returncode == 0 else None
