"""What to say where a device's memory does not do for a step."""

import re

import jax

from resjax.run.costs import Ledger

MEANS_OUT_OF_MEMORY = re.compile(r"RESOURCE_EXHAUSTED|out of memory|failed to allocate", re.IGNORECASE)
KEPT_PER_ACTIVATION = 4
"""Bytes that a train step keeps for each byte of the ledger's activations, roughly: those of norms and relus beside the
convolutions', and gradients on their way back. A guess, for a first value to try."""
LEFT_FOR_ACTIVATIONS = 0.8
"""The share of the device's memory that is not images, weights, moments or XLA's own."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether JAX or the host ended a step because its memory did not do."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, jax.errors.JaxRuntimeError) and bool(MEANS_OUT_OF_MEMORY.search(str(error)))


def out_of_memory_message(
    arm: str, ledger: Ledger, batch_size: int, image_size: int, device_bytes: int | None = None
) -> str:
    """One line that names the flags to lower, and to about what.

    Args:
      ledger: the arm's, at `image_size`.
      device_bytes: the memory of the device in all; by default what the first device says of itself. Where it says
        nothing, as the CPU, half of either flag's effect is proposed.
    """
    device = jax.devices()[0]
    if device_bytes is None:
        device_bytes = (device.memory_stats() or {}).get("bytes_limit")
    fits = batch_size // 2
    if device_bytes is not None:
        image_bytes = ledger.activation_bytes * KEPT_PER_ACTIVATION
        fits = min(fits, int(device_bytes * LEFT_FOR_ACTIVATIONS) // max(image_bytes, 1))
    # Half the batch, or as much less again in pixels: activations go with the square of the size.
    share = max(fits, 1) / batch_size
    smaller = max(8, int(image_size * min(share, 0.5) ** 0.5) // 8 * 8)
    memory = "" if device_bytes is None else f" of {device_bytes / 2**30:.1f} GiB"
    lower = f"--batch_size={fits} (now {batch_size})" if fits else ""
    pixels = f"--image_size={smaller} (now {image_size})" if smaller < image_size else ""
    ways = " or ".join(way for way in (lower, pixels) if way) or "a smaller --width"
    return f"{arm}: the memory{memory} of {device.device_kind} does not do for a step; try {ways}, or --dtype=bfloat16"
