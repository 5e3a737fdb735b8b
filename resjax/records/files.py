"""Reading and writing of records: each file is whole or absent, has a checksum, and is validated when it is read."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec import Struct

from resjax.errors import DamagedRecord, RecordError
from resjax.records.kinds.base import SCHEMA_VERSION, Record
from resjax.records.storage import CHECKSUM, atomic, checksum_of, line_of, sealed, sync, unsealed

T = TypeVar("T")


def write_text(path: Path | str, text: str) -> None:
    """Writes a UTF-8 file atomically: a reader sees the old text or the new one, never a part."""
    with atomic(Path(path)) as file:
        file.write(text.encode())


def write_npz(path: Path | str, **arrays: np.ndarray) -> None:
    """Writes named arrays atomically, compressed, with the checksum of all of them before them."""
    # zip's own checksums do not tell when its directory lost an entry.
    sealed_arrays = {CHECKSUM: checksum_of(arrays), **arrays}
    with atomic(Path(path)) as file:
        np.savez_compressed(file, **sealed_arrays)  # pyright: ignore[reportArgumentType]


def write_record(path: Path | str, record: Struct | Mapping[str, Any]) -> None:
    """Writes a record atomically, with its checksum; numpy values become plain ones, NaN and infinity become null."""
    write_text(path, json.dumps(sealed(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_lines(path: Path | str, records: Iterable[Struct | Mapping[str, Any]]) -> None:
    """Writes records atomically, one a line, each with its checksum."""
    write_text(path, "".join(line_of(sealed(record)) + "\n" for record in records))


def append_line(path: Path | str, record: Struct | Mapping[str, Any]) -> None:
    """Adds a record as one line; a line that an earlier process left unfinished at the end is removed."""
    with open(path, "a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line_of(sealed(record)).encode() + b"\n")
        sync(file)


def read_record(path: Path | str, kind: type[T]) -> T:
    """Reads and validates a record of one kind, such as `read_record("summary.json", Summary)`.

    Raises:
      DamagedRecord: where the file is not JSON, or not what its checksum says.
      RecordError: where it is of another schema version, or not a record of this kind. Both name the file.
    """
    return from_plain(read_values(path), kind, str(path))


def read_lines(path: Path | str, kind: type[T]) -> list[T]:
    """Reads records that stand one a line; a last line without its end (a write cut short) is left out.

    Raises:
      DamagedRecord: names the file and the line that is not JSON, or not what its checksum says.
      RecordError: names the file and the line that is not a record of this kind.
    """
    lines = enumerate(Path(path).read_bytes().split(b"\n")[:-1], start=1)
    where = ((f"{path}, line {number}", line) for number, line in lines)
    return [from_plain(unsealed(line, place), kind, place) for place, line in where]


def read_values(path: Path | str) -> Any:
    """The plain values of a record whose checksum is right, not validated.

    Raises:
      DamagedRecord: where the file is not JSON, or not what its checksum says.
    """
    try:
        return unsealed(Path(path).read_bytes(), str(path))
    except DamagedRecord as error:
        raise DamagedRecord(f"{error}; delete it to have it made again") from None


def from_plain(values: Any, kind: type[T], where: str) -> T:
    """The record of plain values, validated; `where` names their source in errors.

    Raises:
      RecordError: where the values are of another schema version, or not a record of this kind.
    """
    name = getattr(kind, "__name__", str(kind))
    if isinstance(kind, type) and issubclass(kind, Record) and isinstance(values, dict):
        version = values.get("schema_version")
        # 1.0 and true are equal to 1 in Python, but no versions.
        if type(version) is not int or version != SCHEMA_VERSION:
            found = "no schema_version" if version is None else f"schema_version {version!r}"
            raise RecordError(f"{where}: {found}, expected {SCHEMA_VERSION}; use the resjax that wrote it")
    try:
        return msgspec.convert(values, kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise RecordError(f"{where}: not a {name} record of this resjax: {error}") from None
