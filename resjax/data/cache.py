"""Arrays of one shape on disk, found again by the content of the file that each was made from.

They lie in packs: `NAME.npy` holds some arrays end to end, `NAME.json` is their index: which contents they are, with a
checksum each. A pack is never changed, and its index is written last, so that a pack counts when it is whole. Runs at
the same time write packs of their own; an array that two of them hold does no harm. A pack that is in use stays
readable when another run removes it, since a run opens every pack that it will read from.
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

from resjax.types import BadInput

FOLDER = "decoded"
PACK_BYTES = 2**27
"""A pack is closed at this size: what a killed run loses at most."""
STALE_SECONDS = 24 * 3600.0
"""A temporary file this old belongs to no living run, and a damaged pack is of no more interest."""


def default_cache_dir() -> Path:
    """The folder `resjax` in the user's cache folder, which `XDG_CACHE_HOME` can name."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "resjax"


class _Pack:
    """A pack on disk, opened when first read and open from then on; several threads may read it at once."""

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
        """Fills `array` with a row; False where the file does not hold it, or its checksum tells of damage."""
        try:
            descriptor = self.open()
            # The arrays are the end of the file, whatever the length of its header.
            place = os.fstat(descriptor).st_size - (len(self.contents) - row) * self._array_bytes
            if place < 0 or os.preadv(descriptor, [array.data], place) != self._array_bytes:
                return False
        except OSError as error:
            if error.errno == errno.EMFILE:
                raise BadInput(f"{self.path}: too many open files; allow more with `ulimit -n`") from error
            return False
        return zlib.crc32(array.data) == self._checksums[row]

    def open(self) -> int:
        """The file's descriptor; raises OSError where it is gone."""
        with self._lock:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_RDONLY)
                weakref.finalize(self, os.close, self._descriptor)
                # What was used last is the last to be removed.
                with contextlib.suppress(OSError):
                    os.utime(self.path)
        return self._descriptor


class StoredArrays:
    """Rows of a cache as one array that stays on disk: `arrays[rows]` reads those rows. Safe to read from many threads.

    It satisfies `resjax.data.dataset.Pixels`.
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
          BadInput: where one of them was damaged since it was looked up.
        """
        arrays = np.empty((len(rows), *self._row_shape), np.uint8)
        for array, row in zip(arrays, rows, strict=True):
            pack, place = self._places[row]
            if not pack.read_into(place, array):
                raise BadInput(f"cache file {pack.path} was damaged while in use; the same command makes it again")
        return arrays


class ArrayCache:
    """The cached arrays of one kind, uint8 and of one shape. `load` and `add` are safe to call from many threads.

    Args:
      folder: of all caches.
      name: of this kind, to be changed with anything that changes the arrays.
      shape: of each array.

    Raises:
      BadInput: where the folder cannot be made, read or written.
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
        """The array of this content, or None where it is not here, or no longer sound."""
        place = self._places.get(content)
        if place is None:
            return None
        pack, row = place
        array = np.empty(self._shape, np.uint8)
        if pack.read_into(row, array):
            return array
        # The pack's other arrays may have been found sound, and stay readable to this run under the new name.
        with self._lock:
            self._places.pop(content, None)
        _rename_damaged(pack.path)
        return None

    def add(self, content: str, array: UInt8[np.ndarray, "..."]) -> None:
        """Takes an array; it is found again after `flush`.

        Raises:
          BadInput: where the folder cannot be written.
        """
        with self._lock, self._user_errors():
            if self._writer is None:
                self._writer = _PackWriter(self._folder / f"{uuid.uuid4().hex}.npy", self._shape)
            self._writer.add(content, array)
            if len(self._writer.contents) * self._array_bytes >= PACK_BYTES:
                self._close_writer()

    def flush(self) -> None:
        """Puts what was added in its place.

        Raises:
          BadInput: where the folder cannot be written.
        """
        with self._lock, self._user_errors():
            self._close_writer()

    def discard(self) -> None:
        """Gives up what was added since the last pack was closed."""
        with self._lock:
            if self._writer is not None:
                self._writer.abort()
                self._writer = None

    def stored(self, contents: Sequence[str]) -> StoredArrays:
        """The arrays of these contents, each of which was found by `load` or added and flushed.

        Raises:
          BadInput: where another run has removed one of them since.
        """
        places = [self._places[content] for content in contents]
        with self._user_errors():
            for pack in {pack for pack, _ in places}:
                pack.open()
        return StoredArrays(places, self._shape)

    def open_packs(self) -> set[Path]:
        """The files that this run reads from."""
        return {pack.path for pack, _ in self._places.values() if pack.is_open}

    def _read_index(self, index: Path) -> None:
        path = index.with_suffix(".npy")
        try:
            record = json.loads(index.read_bytes())
            pack = _Pack(path, record["contents"], record["crc32"], self._array_bytes)
        except FileNotFoundError:
            pass  # Another run has removed it since the folder was listed.
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
                f"cache folder {self._folder}: {error.strerror or error}; name one that can be written with cache_dir"
            ) from error


class _PackWriter:
    """A pack in the making, under a temporary name."""

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
        """Writes the index and gives the pack its name, which it returns."""
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
    """Removes the packs of all kinds that were used least recently, until the rest fits the limit.

    The packs in use stay, so one run's images may exceed the limit. What killed runs left behind goes too.
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
            # The index goes first: without it the pack does not count.
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink()
            total -= size


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _rename_damaged(path: Path) -> None:
    """Sets a damaged pack aside, so that no later run reads it."""
    for suffix in (".json", ".npy"):
        with contextlib.suppress(OSError):
            os.replace(path.with_suffix(suffix), path.with_suffix(f"{suffix}.damaged"))
