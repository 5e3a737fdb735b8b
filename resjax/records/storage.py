"""Files that are whole or absent, and that say when they were damaged: what every record is written with."""

import difflib
import errno
import fcntl
import json
import math
import os
import re
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from msgspec import UNSET, Struct

from resjax.errors import DamagedRecord

CHECKSUM = "crc32"
"""The last key of a record: the CRC-32 of the record without it, as `sealed` writes it in one line."""
DAMAGED = ".damaged"
"""What is added to the name of a file that was found damaged and set aside."""
TEMPORARY = re.compile(r"\..+\.resjax-[0-9a-f]{16}\.tmp")
"""The name of a file that is being written by `atomic`, or that a killed writer left: nobody else names files so."""


@contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which gets its name when it is whole and on the disk.

    A device or a pipe, such as /dev/null, is written to as it is: giving its name to a file would remove it.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        with open(path, "wb") as file:
            yield file
        return
    temporary = temporary_path(path)
    try:
        with open(temporary, "wb") as file:
            # Held until it has its name, so that others can tell it from what a killed writer left.
            hold(file)
            yield file
            sync(file)
            os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def temporary_path(path: Path) -> Path:
    """A new name in the same folder: os.replace is atomic within one file system only."""
    return path.with_name(f".{path.name}.resjax-{uuid.uuid4().hex[:16]}.tmp")


def hold(file: IO[Any]) -> bool | None:
    """Locks an open file until it is closed or the process ends, without waiting for others.

    Returns False if another process or descriptor holds it, and None on a drive without such locks (flock).
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def sync(file: BinaryIO) -> None:
    """Returns when what was written to the file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Has a new name outlive a loss of power, where the file system can do that: some network drives cannot."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def set_aside(path: Path, name: Path | None = None, mark: str = DAMAGED) -> Path:
    """Gives a file or folder that is not used any more a name that says so, and returns that.

    Args:
      path: of the file or folder.
      name: the new name without the mark; by default the old name.
      mark: the end of the new name, before a number if there is one already.
    """
    name = name or path
    aside = name.with_name(name.name + mark)
    number = 1
    while aside.exists():
        number += 1
        aside = name.with_name(f"{name.name}{mark}{number}")
    os.replace(path, aside)
    return aside


def line_of(record: object) -> str:
    """The record in one line of JSON; numpy values become plain ones, NaN and infinity become null."""
    return json.dumps(plain(record), ensure_ascii=False, allow_nan=False)


def sealed(record: object) -> object:
    """The record as plain values, with a checksum as its last key where it is an object."""
    record = plain(record)
    return record | {CHECKSUM: zlib.crc32(line_of(record).encode())} if isinstance(record, dict) else record


def unsealed(text: bytes, where: str) -> Any:
    """The record of a text in JSON, without its checksum. A record that a person changed may have none.

    Raises:
      DamagedRecord: where it is no JSON, or the checksum is another one.
    """
    try:
        record = json.loads(text)
        if isinstance(record, dict):
            if CHECKSUM in record:
                if record.pop(CHECKSUM) != zlib.crc32(line_of(record).encode()):
                    raise ValueError(f"not what its checksum says; who changes a record takes {CHECKSUM!r} out")
            elif difflib.get_close_matches(CHECKSUM, record, n=1, cutoff=0.75):
                raise ValueError("its checksum is damaged")
    except (ValueError, RecursionError) as error:
        raise DamagedRecord(f"{where}: not a readable JSON record ({error})") from None
    return record


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file without their checksum, which is compared.

    Raises:
      DamagedRecord: where it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} is damaged")
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        if CHECKSUM in arrays and arrays.pop(CHECKSUM) != checksum_of(arrays):
            raise ValueError("not what its checksum says")
        return arrays
    except OSError as error:
        # numpy and zipfile seek to impossible places in a damaged file. All other errors are the drive's.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise DamagedRecord(f"{path}: not readable arrays ({error}); delete it to leave them out") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DamagedRecord(f"{path}: not readable arrays ({error}); delete it to leave them out") from None


def checksum_of(arrays: Mapping[str, np.ndarray]) -> np.uint32:
    """The CRC-32 of named arrays, in their order, with their types and shapes."""
    total = 0
    for name, array in arrays.items():
        total = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), total)
        total = zlib.crc32(np.ascontiguousarray(array).tobytes(), total)
    return np.uint32(total)


def plain(value: object) -> Any:
    """The value as JSON knows it: Structs become dicts, numpy values plain ones, NaN and infinity None."""
    if isinstance(value, Struct):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        fields = ((name, getattr(value, field)) for name, field in names)
        return {name: plain(item) for name, item in fields if item is not UNSET}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
