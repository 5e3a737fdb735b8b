"""Compiled programs kept on disk, so that the second run of an experiment compiles nothing.

JAX's own persistent cache (https://docs.jax.dev/en/latest/persistent_compilation_cache.html), with a folder and with
thresholds under which the many small programs of a start count too. A program is found again by its text, its options
and the versions of jaxlib and XLA. Processes at the same time share the folder: an entry is never changed, and one that
cannot be read is compiled anew.
"""

import hashlib
import platform
from contextlib import suppress
from pathlib import Path

from resjax.types import BadInput

FOLDER = "compiled"
MOST_BYTES = 4 * 10**9
"""Above it, the programs that were compiled first go when a run begins."""


def keep_compiled_programs(cache_dir: Path) -> None:
    """Has JAX look for programs in `cache_dir`, and leave them there; what the user told JAX itself stays.

    JAX's own variables are JAX_COMPILATION_CACHE_DIR, JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS and
    JAX_ENABLE_COMPILATION_CACHE.

    Raises:
      BadInput: where the folder cannot be made or written.
    """
    import jax

    if jax.config.jax_compilation_cache_dir is not None:
        return
    folder = cache_dir / FOLDER / processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"--cache_dir={cache_dir}: {error.strerror}; a folder that can be written is accepted, or --nocompile_cache"
        ) from error
    trim(cache_dir / FOLDER, MOST_BYTES)
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
