"""What a command sets up before JAX starts: XLA's options, compiled programs, other processes."""

import hashlib
import os
import platform
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from absl import flags

from resjax.errors import BadInput
from resjax.run.stopping import compute_together
from resjax.training.recipe import require_range

FLAGS = flags.FLAGS
GPU_FLAGS = {
    "latency_hiding": "--xla_gpu_enable_latency_hiding_scheduler=true",
    "triton_gemm_any": "--xla_gpu_triton_gemm_any=true",
}
"""`latency_hiding`: exchanges between devices, such as gradients', run beside what computes; JAX's page on GPU
performance and NVIDIA's own images set it. `triton_gemm_any`: matrix products by Triton wherever it can; JAX's page
names it, for networks whose time goes to products more than to convolutions.
https://docs.jax.dev/en/latest/gpu_performance_tips.html"""
DEFAULT_GPU_FLAGS = "latency_hiding"
CARD = Path("/dev/nvidia0")
COMPILED = "compiled"
"""Folder of compiled programs in the cache folder."""
MOST_BYTES = 4 * 10**9
"""Above it, the programs that were compiled first are removed when a run begins."""

LEAST_OPEN_FILES = 64
"""A small comparison opens up to 40 files at a time; images add one for each 128 MB of the cache."""
MOST_OPEN_FILES = 2**16


def define_process_flags() -> None:
    flags.DEFINE_string(
        "coordinator_address",
        None,
        "for several processes, usually one on each host, which all run the same command: HOST:PORT of process 0; or "
        "auto, where JAX finds the others itself (TPU pods, SLURM, Open MPI, Kubernetes). Only process 0 writes",
    )
    flags.DEFINE_integer("process_id", None, "which process this is, from 0; not with auto")
    flags.DEFINE_integer("num_processes", None, "how many processes there are; not with auto")
    flags.DEFINE_integer("coordinator_timeout", 300, "seconds to wait for the other processes at the start")


def allow_open_files() -> None:
    """Raises the limit of open files as far as the system lets a user do it.

    Raises:
      BadInput: if the limit stays too low for a run.
    """
    try:
        import resource
    except ImportError:
        # Windows has no such limit.
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    wanted = MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN_FILES)
    if soft < wanted:
        # macOS refuses more than a limit of its own.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft < LEAST_OPEN_FILES:
        raise BadInput(f"at most {soft} open files are allowed here (ulimit -n): expected {LEAST_OPEN_FILES} or more")


def use_gpu_flags(names: str) -> None:
    """Adds the options with these names (joined by commas, or `none`) to XLA_FLAGS; does nothing without a card.

    An option that XLA_FLAGS already has stays as the user set it.

    Raises:
      BadInput: for a name that is not in the table.
    """
    asked = [name.strip() for name in names.split(",") if name.strip() and names != "none"]
    for name in asked:
        if name not in GPU_FLAGS:
            raise BadInput(f"--gpu_flags={names}: {', '.join(GPU_FLAGS)}, joined by commas, or none")
    if not CARD.exists() or os.environ.get("JAX_PLATFORMS", "cuda").split(",")[0] not in ("cuda", "gpu"):
        return
    already = os.environ.get("XLA_FLAGS", "")
    added = [GPU_FLAGS[name] for name in asked if GPU_FLAGS[name].partition("=")[0] not in already]
    os.environ["XLA_FLAGS"] = " ".join([already, *added]).strip()


def keep_compiled_programs(cache_dir: Path) -> None:
    """Has JAX look for programs in `cache_dir`, and leave them there; what the user told JAX itself stays.

    JAX's own variables are JAX_COMPILATION_CACHE_DIR, JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS and
    JAX_ENABLE_COMPILATION_CACHE.

    Raises:
      BadInput: where the folder cannot be made or written.
    """
    import jax

    if jax.config.jax_compilation_cache_dir is not None:  # pyright: ignore[reportAttributeAccessIssue]
        return
    folder = cache_dir / COMPILED / processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"--cache_dir={cache_dir}: {error.strerror}; expected a folder that can be written, or --nocompile_cache"
        ) from error
    trim(cache_dir / COMPILED, MOST_BYTES)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # A start has some 80 programs that take 10 to 50 ms each to compile and 2 ms to read.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def processor() -> str:
    """A name for this kind of processor: machines that share a home folder may lack each other's instructions."""
    described = platform.machine() + platform.processor()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        described += "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    return f"{platform.machine()}-{hashlib.sha256(described.encode()).hexdigest()[:12]}"


def trim(folder: Path, most_bytes: int) -> None:
    """Removes the oldest files of `folder` until `most_bytes` are left; another run may be doing the same."""
    files = []
    for path in folder.glob("*/*"):
        with suppress(OSError):
            status = path.stat()
            files.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= most_bytes:
            return
        with suppress(OSError):
            path.unlink()
        total -= size


def start_asked_processes() -> int:
    """Joins this process to the others that the flags name, before anything asks for a device; which one it is.

    Raises:
      BadInput: for flags that do not fit each other.
    """
    from resjax.training.processes import connect_processes

    require_range("--coordinator_timeout", FLAGS.coordinator_timeout, 1)
    address, timeout = FLAGS.coordinator_address, FLAGS.coordinator_timeout
    return connect_processes(address, FLAGS.process_id, FLAGS.num_processes, timeout)


def take_part(first: Callable[[], object], others: Callable[[], object]) -> None:
    """Does what the first of the asked processes does, or the only one; or what each of the others does.

    Raises:
      BadInput: for flags of processes that do not fit each other, and if JAX has no device.
    """
    leads = start_asked_processes() == 0
    # They import jax, which --help does without.
    from resjax.run.setup.device import require_backend
    from resjax.training.processes import exiting_at_failure

    if FLAGS.coordinator_address is not None:
        compute_together()
    require_backend()
    with exiting_at_failure():
        if leads:
            first()
        else:
            others()
