"""The machine of a benchmark: the device that JAX computes on, and what other programs use meanwhile."""

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

from resjax.errors import BadInput

FIRST_WITH_BFLOAT16 = 8.0
"""NVIDIA's compute capability from which on there is bfloat16; a T4 has 7.5."""
STAT = Path("/proc/stat")
IDLE = (3, 4)
"""The columns of `/proc/stat` that count idle time."""
GUESTS = 8
"""The columns from this one on repeat what other columns count."""


@dataclass(frozen=True)
class Device:
    """What JAX computes on."""

    platform: str
    """As JAX says: `cpu`, `gpu` or `tpu`."""
    name: str
    compute_capability: float | None = None
    """Of an NVIDIA card."""

    @property
    def warm_up(self) -> int:
        """Rounds of steps before those that count. On a CPU a process gets faster for some seconds, while the system
        finds huge pages for it."""
        return 3 if self.platform == "cpu" else 0


def find_device() -> Device:
    """The device of this process: an accelerator by its name, a processor by its name and number of cores.

    Raises:
      BadInput: if JAX has no device.
    """
    # They import jax, which --help does without.
    import jax

    from resjax.run.setup.device import require_backend

    require_backend()
    device = jax.devices()[0]
    if device.platform != "cpu":
        capability = getattr(device, "compute_capability", None)
        return Device(device.platform, device.device_kind, float(capability) if capability else None)
    name = platform.processor() or platform.machine()
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return Device("cpu", f"{name}, {os.cpu_count()} cores")


def require_dtype(device: Device, dtype: str) -> None:
    """Checks that the device has a type of numbers, rather than emulating it.

    Raises:
      BadInput: for bfloat16 on an older card.
    """
    capability = device.compute_capability
    if dtype == "bfloat16" and capability is not None and capability < FIRST_WITH_BFLOAT16:
        raise BadInput(
            f"--dtype=bfloat16: {device.name} has compute capability {capability:g}, expected "
            f"{FIRST_WITH_BFLOAT16:g} or more; --dtype=float32 works"
        )


class BackgroundLoad:
    """The processor cores that other programs use, from its creation on.

    A side that waits for its threads suffers more from other programs. Children of this process count as other programs
    until they have ended.
    """

    def __init__(self) -> None:
        self._start, self._busy, self._own = time.perf_counter(), _busy_seconds(), _own_seconds()

    def cores(self) -> float | None:
        """The mean number of cores; None if the system does not say."""
        busy = _busy_seconds()
        if busy is None or self._busy is None:
            return None
        used = busy - self._busy - (_own_seconds() - self._own)
        return max(0.0, used) / (time.perf_counter() - self._start)


def _busy_seconds() -> float | None:
    """The busy time of all cores together since the machine started."""
    try:
        ticks = [int(text) for text in STAT.read_text().splitlines()[0].split()[1:]][:GUESTS]
    except OSError:
        return None
    return sum(count for column, count in enumerate(ticks) if column not in IDLE) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    return sum(os.times()[:4])
