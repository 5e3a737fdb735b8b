"""Stores arrays of one shape on disk, by the content of the file that each was made from.

Arrays lie in packs: `NAME.npy` holds some arrays end to end, and `NAME.json` is its index, with the content and a
checksum of each array. A pack is never changed, and its index is written last, so that only complete packs count.
Several runs at the same time write packs of their own; an array in two packs does no harm. A run opens every pack that
it reads from, so that the pack stays readable if another run removes it.

Arrays are read with `pread` and not through a memory map, because pages of a map count as resident memory. A checksum
is tested when an array is looked up, where damage is repaired by making it again, and at every read, where it ends the
run with a line. On POSIX systems a removed pack stays readable while it is open, so the limit (`--cache_gb`) needs no
locks.
"""

import contextlib
import errno
import json
import os
import threading
import time
import uuid
import weakref
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Int, UInt8

from resjax.errors import BadInput

FOLDER = "decoded"
PACK_BYTES = 2**27
"""A pack is closed at this size; a killed run loses at most this much."""
STALE_SECONDS = 24 * 3600.0
"""Age at which temporary files and damaged packs are removed: no running process still needs them."""


def default_cache_dir() -> Path:
    """The folder `resjax` in the user's cache folder: `XDG_CACHE_HOME`, or else `~/.cache`.

    Raises:
      BadInput: where the user has no home folder.
    """
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "resjax"
    try:
        return Path.home() / ".cache" / "resjax"
    except RuntimeError:
        raise BadInput("there is no home folder (HOME is not set): expected --cache_dir=FOLDER") from None


class _Pack:
    """A pack on disk, opened at the first read and kept open; safe to read from several threads."""

    def __init__(self, path: Path, contents: Sequence[str], checksums: Sequence[int], array_bytes: int):
        if len(contents) != len(checksums):
            raise ValueError(f"{len(contents)} contents, {len(checksums)} checksums")
        self.path, self.contents, self._checksums, self._array_bytes = path, contents, checksums, array_bytes
        self._descriptor: int | None = None
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        return self._descriptor is not None

    def read_into(self, row: int, array: UInt8[np.ndarray, "..."]) -> bool:
        """Fills `array` with a row; False if the file does not hold it or its checksum is wrong."""
        try:
            descriptor = self.open()
            # Counted from the end of the file, because the length of its header varies.
            place = os.fstat(descriptor).st_size - (len(self.contents) - row) * self._array_bytes
            if place < 0 or os.preadv(descriptor, [array.data], place) != self._array_bytes:
                return False
        except OSError as error:
            if error.errno == errno.EMFILE:
                raise BadInput(
                    f"{self.path}: too many open files; expected a higher limit, set with `ulimit -n`"
                ) from error
            return False
        return zlib.crc32(array.data) == self._checksums[row]

    def open(self) -> int:
        """The file's descriptor; raises OSError if the file is gone."""
        with self._lock:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_RDONLY)
                weakref.finalize(self, os.close, self._descriptor)
                # The time of the last use decides which packs are removed first.
                with contextlib.suppress(OSError):
                    os.utime(self.path)
        return self._descriptor


class StoredArrays:
    """Rows of a cache as one array that stays on disk: `arrays[rows]` reads those rows.

    It satisfies `resjax.data.dataset.Pixels`, and is safe to use from several threads.
    """

    def __init__(self, places: Sequence[tuple[_Pack, int]], shape: tuple[int, ...]):
        self._places, self._row_shape = places, shape

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self._places), *self._row_shape

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, rows: Int[np.ndarray, " batch"]) -> UInt8[np.ndarray, "batch ..."]:
        """The arrays with these numbers.

        Raises:
          BadInput: if one of them was damaged after it was looked up.
        """
        arrays = np.empty((len(rows), *self._row_shape), np.uint8)
        for array, row in zip(arrays, rows, strict=True):
            pack, place = self._places[row]
            if not pack.read_into(place, array):
                raise BadInput(f"cache file {pack.path} was damaged while in use; run the same command again")
        return arrays


class ArrayCache:
    """The cached arrays of one kind: uint8, of one shape. `load` and `add` are safe to call from several threads.

    Args:
      folder: the folder of all caches.
      name: the name of this kind; it must change with anything that changes the arrays.
      shape: the shape of each array.

    Raises:
      BadInput: if the folder cannot be made, read or written.
    """

    def __init__(self, folder: Path, name: str, shape: tuple[int, ...]):
        self._folder = folder / FOLDER / name
        self._shape = shape
        self._array_bytes = int(np.prod(shape))
        self._places: dict[str, tuple[_Pack, int]] = {}
        self._lock = threading.Lock()
        self._writer: _PackWriter | None = None
        with self._user_errors():
            self._folder.mkdir(parents=True, exist_ok=True)
            indices = [self._folder / entry for entry in os.listdir(self._folder) if entry.endswith(".json")]
        for index in indices:
            self._read_index(index)

    def load(self, content: str) -> UInt8[np.ndarray, "..."] | None:
        """The array of this content, or None if it is not in the cache or damaged."""
        place = self._places.get(content)
        if place is None:
            return None
        pack, row = place
        array = np.empty(self._shape, np.uint8)
        if pack.read_into(row, array):
            return array
        # Other arrays of the pack may be intact and in use; they stay readable to this run, which has the pack open.
        with self._lock:
            self._places.pop(content, None)
        _rename_damaged(pack.path)
        return None

    def add(self, content: str, array: UInt8[np.ndarray, "..."]) -> None:
        """Adds an array, which `stored` and other runs can read after `flush`.

        Raises:
          BadInput: if the folder cannot be written.
        """
        with self._lock, self._user_errors():
            if self._writer is None:
                self._writer = _PackWriter(self._folder / f"{uuid.uuid4().hex}.npy", self._shape)
            self._writer.add(content, array)
            if len(self._writer.contents) * self._array_bytes >= PACK_BYTES:
                self._close_writer()

    def flush(self) -> None:
        """Writes the arrays that were added since the last pack was closed.

        Raises:
          BadInput: if the folder cannot be written.
        """
        with self._lock, self._user_errors():
            self._close_writer()

    def discard(self) -> None:
        """Drops the arrays that were added since the last pack was closed."""
        with self._lock:
            if self._writer is not None:
                self._writer.abort()
                self._writer = None

    def stored(self, contents: Sequence[str]) -> StoredArrays:
        """The arrays of these contents, all of which `load` has found or `add` and `flush` have written.

        Raises:
          BadInput: if another run has removed one of them since.
        """
        places = [self._places[content] for content in contents]
        with self._user_errors():
            for pack in {pack for pack, _ in places}:
                pack.open()
        return StoredArrays(places, self._shape)

    def open_packs(self) -> set[Path]:
        """The pack files that this run has open."""
        return {pack.path for pack, _ in self._places.values() if pack.is_open}

    def _read_index(self, index: Path) -> None:
        path = index.with_suffix(".npy")
        try:
            record = json.loads(index.read_bytes())
            pack = _Pack(path, record["contents"], record["crc32"], self._array_bytes)
        except FileNotFoundError:
            pass  # Another run removed it after the folder was listed.
        except (OSError, ValueError, KeyError, TypeError):
            _rename_damaged(path)
        else:
            self._remember(pack)

    def _remember(self, pack: _Pack) -> None:
        for row, content in enumerate(pack.contents):
            self._places[content] = (pack, row)

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            self._remember(_Pack(writer.close(), writer.contents, writer.checksums, self._array_bytes))

    @contextlib.contextmanager
    def _user_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BadInput(
                f"cache folder {self._folder}: {error.strerror or error}; expected a cache_dir that can be written"
            ) from error


class _PackWriter:
    """A pack that is being written, under a temporary name."""

    def __init__(self, path: Path, shape: tuple[int, ...]):
        self._path, self._shape = path, shape
        self._temporary = path.with_name(f".{path.name}.tmp")
        self.contents: list[str] = []
        self.checksums: list[int] = []
        self._file = open(self._temporary, "w+b")
        self._write_header()

    def _write_header(self) -> None:
        # numpy pads the header so that it keeps its length while the first axis grows.
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(self.contents), *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def add(self, content: str, array: UInt8[np.ndarray, "..."]) -> None:
        data = np.ascontiguousarray(array).data
        try:
            self._file.write(data)
        except OSError:
            self.abort()
            raise
        self.contents.append(content)
        self.checksums.append(zlib.crc32(data))

    def close(self) -> Path:
        """Completes the pack, writes its index, and returns its path."""
        try:
            self._file.seek(0)
            self._write_header()
            _sync(self._file)
            self._file.close()
            os.replace(self._temporary, self._path)
        except OSError:
            self.abort()
            raise
        index = self._path.with_suffix(".json")
        temporary = index.with_name(f".{index.name}.tmp")
        try:
            with open(temporary, "wb") as file:
                file.write(json.dumps({"contents": self.contents, "crc32": self.checksums}).encode())
                _sync(file)
            os.replace(temporary, index)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            temporary.unlink(missing_ok=True)
        return self._path

    def abort(self) -> None:
        # Closing writes what is buffered, which fails again on a full disk.
        with contextlib.suppress(OSError):
            self._file.close()
        self._temporary.unlink(missing_ok=True)


def trim(folder: Path, limit_bytes: int, in_use: Collection[Path] = ()) -> None:
    """Removes the least recently used packs of all kinds until the rest fits the limit.

    Packs in use stay, so the images of one run may exceed the limit. Leftovers of killed runs are removed, too.

    Args:
      folder: the folder of all caches.
      limit_bytes: limit for all packs together.
      in_use: packs that stay.
    """
    packs = []
    for path in (folder / FOLDER).glob("*/*"):
        with contextlib.suppress(OSError):
            status = path.stat()
            if path.suffix == ".npy":
                packs.append((path in in_use, status.st_mtime, status.st_size, path))
            elif path.suffix in (".tmp", ".damaged") and time.time() - status.st_mtime > STALE_SECONDS:
                path.unlink()
    total = sum(size for _, _, size, _ in packs)
    for is_used, _, size, path in sorted(packs):
        if is_used or total <= limit_bytes:
            break
        with contextlib.suppress(OSError):
            # The index goes first: a pack without an index does not count.
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink()
            total -= size


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _rename_damaged(path: Path) -> None:
    """Renames a damaged pack, so that no later run reads it."""
    for suffix in (".json", ".npy"):
        with contextlib.suppress(OSError):
            os.replace(path.with_suffix(suffix), path.with_suffix(f"{suffix}.damaged"))
