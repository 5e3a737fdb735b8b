"""What a device computes in, where it lacks what was asked for."""

import jax

FIRST_WITH_BFLOAT16 = 8.0
"""NVIDIA's compute capability from which on there is bfloat16; a T4 has 7.5."""


def usable_dtype(dtype: str, device: jax.Device) -> tuple[str, str | None]:
    """The dtype to compute in on `device`, and a line that says why where it is not the one asked for."""
    capability = getattr(device, "compute_capability", None)
    if dtype == "bfloat16" and device.platform == "gpu" and capability and float(capability) < FIRST_WITH_BFLOAT16:
        return "float32", (
            f"--dtype=bfloat16: {device.device_kind} (compute capability {capability}) has none; computed in float32"
        )
    return dtype, None
