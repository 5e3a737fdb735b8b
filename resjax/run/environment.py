"""What a run ran on, and a rough guess of how long it will take there."""

import os
import subprocess
from importlib.metadata import version
from pathlib import Path

import jax

FLOPS_PER_SECOND = {"cpu": 16e9 * (os.cpu_count() or 1), "gpu": 2e13, "tpu": 3e13}
"""What the train step sustains at small batches, for the guess before anything has run; the CPU's is per core."""
COMPILE_SECONDS = {"cpu": 15.0, "gpu": 60.0, "tpu": 60.0}
"""Compilation of one arm's train and evaluation programs."""


def describe_environment() -> dict[str, object]:
    """Versions, device and git revision, for `summary.json`."""
    devices = jax.devices()
    return {
        "jax": jax.__version__,
        "flax": version("flax"),
        "platform": devices[0].platform,
        "device_kind": devices[0].device_kind,
        "device_count": len(devices),
        "process_count": jax.process_count(),
        "cpu_count": os.cpu_count(),
        "xla_flags": os.environ.get("XLA_FLAGS"),
        "git_revision": _git_revision(),
    }


def estimate_seconds(forward_flops: list[float], images_per_replica: int, replicas: list[int]) -> float:
    """A guess from each arm's FLOPs of a forward pass of one image; forward and backward cost three of those."""
    platform = jax.default_backend()
    rate = FLOPS_PER_SECOND.get(platform, FLOPS_PER_SECOND["gpu"])
    work = sum(3 * flops * images_per_replica * count for flops, count in zip(forward_flops, replicas, strict=True))
    return work / rate + COMPILE_SECONDS.get(platform, 60.0) * sum(count > 0 for count in replicas)


def _git_revision() -> str | None:
    """The commit of the checkout that this file lies in, with `+` where files were changed; None outside of one."""
    try:
        # Without locks: a run that is killed, or has no disk, leaves none behind in the checkout.
        git = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent)]
        revision = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
        changes = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return revision.stdout.strip() + ("+" if changes.stdout.strip() else "") if revision.returncode == 0 else None
