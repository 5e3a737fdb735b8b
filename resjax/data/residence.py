"""Where images lie while they are trained on: the choices, and the memory that decides."""

import contextlib
import os
from pathlib import Path

PIPELINES = ("auto", "resident", "streamed")
RESIDENT_SHARE = 0.4
"""The share of the device's free memory that images may take; the rest is for activations, weights and XLA."""


def free_device_bytes() -> int:
    """Memory that is free on the default device: an accelerator's own, or what the host can give to this process."""
    # The choices are read with the flags, and --help needs no JAX.
    import jax

    statistics = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in statistics:
        return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = 1024 * int(fields["MemAvailable"].split()[0])
    except OSError:
        # Not Linux: half of what is built in.
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    # A container may be allowed less than the machine has; "max" stands for no limit.
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):
        free = min(free, int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(0, free)
