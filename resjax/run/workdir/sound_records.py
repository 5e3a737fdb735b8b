"""Whether the records of a replica are what was written: reading them, and quarantining those that are not."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from resjax.errors import DamagedRecord
from resjax.records import MetricsLine, Result, read_lines, read_npz, read_record, read_result, set_aside
from resjax.training.checkpoint import UNUSED

T = TypeVar("T")


def finished_result(folder: Path) -> Result | None:
    """The result of a replica that is done or has diverged, None for a pending replica."""
    path = folder / "result.json"
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _unchanged_result(path, (status.st_mtime_ns, status.st_size, status.st_ino))


@lru_cache(maxsize=4096)
def _unchanged_result(path: Path, identity: tuple[int, int, int]) -> Result:
    """The result in a file, read and tested once while the file is the same. After every replica all are asked for."""
    return read_result(path)


def quarantine_damaged(folder: Path) -> None:
    """Quarantines the damaged records of a finished replica.

    A replica without its result is pending: it is finished again from its last checkpoint, with the same result.
    """
    damaged = set_damaged_aside(folder)
    result = folder / "result.json"
    if result.exists() and not damaged:
        metrics = folder / "metrics.jsonl"
        if not metrics.exists() or len(_read_metrics(metrics)) == read_result(result).last.epoch:
            return
        print(f"WARNING: {metrics} was cut short: it is made again", flush=True)
    if result.exists() and (folder / "checkpoints" / "last").exists():
        # It may be all that is left, if the checkpoint cannot be used either.
        set_aside(result, mark=UNUSED)


def set_damaged_aside(folder: Path) -> list[str]:
    """Quarantines the damaged records of a replica, and returns their names."""
    return [name for name, read in READERS.items() if _set_aside_if_damaged(folder / name, read)]


def read_or_quarantine(path: Path, kind: type[T]) -> T | None:
    """Reads a record of one kind; None if there is no file, or if it was damaged and is now quarantined."""

    def read(path: Path) -> Any:
        return read_result(path) if kind is Result else read_record(path, kind)

    return None if _set_aside_if_damaged(path, read) or not path.exists() else read(path)


def _set_aside_if_damaged(path: Path, read: Callable[[Path], object]) -> bool:
    if not path.exists():
        return False
    try:
        read(path)
    except DamagedRecord as error:
        print(f"WARNING: {error}: it is now {set_aside(path).name}, and is made again", flush=True)
        return True
    return False


def _read_metrics(path: Path) -> list[MetricsLine]:
    return read_lines(path, MetricsLine)


READERS: Mapping[str, Callable[[Path], object]] = {
    "result.json": read_result,
    "metrics.jsonl": _read_metrics,
    "predictions.npz": read_npz,
    "correctness.npz": read_npz,
}
"""The records of a replica, with the function that reads each and raises DamagedRecord."""
