"""Decoded images on disk, found again by the SHA-256 of the file that each came from.

They lie in packs: `NAME.npy` holds the pixels of some images, `NAME.json` says which images they are. A pack is never
changed, and its index is written last, so that a pack counts when it is whole. Runs at the same time write packs of
their own; an image that two of them hold does no harm.
"""

import contextlib
import json
import os
import threading
import uuid
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import UInt8

from resjax.types import BadInput

FORMAT = "v1"
"""To be changed with anything that changes the pixels or the packs."""


class _Place(NamedTuple):
    pack: Path
    before_end: int
    """Bytes from the image's first one to the end of the pack's array."""
    checksum: int


def default_cache_dir() -> Path:
    """The folder `resjax` in the user's cache folder, which `XDG_CACHE_HOME` can name."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "resjax"


class PixelCache:
    """The decoded images of one size. Safe to read from many threads; `add` is for one thread at a time.

    Raises:
      BadInput: where the folder cannot be made, read or written.
    """

    def __init__(self, folder: Path, image_size: int):
        self._folder = folder / "decoded" / f"{FORMAT}-{image_size}-bilinear"
        self._shape = (image_size, image_size, 3)
        self._image_bytes = 3 * image_size**2
        self._places: dict[str, _Place] = {}
        self._lock = threading.Lock()
        with self._user_errors():
            self._folder.mkdir(parents=True, exist_ok=True)
            indices = [self._folder / name for name in os.listdir(self._folder) if name.endswith(".json")]
        for index in indices:
            self._read_index(index)

    def load(self, content: str) -> UInt8[np.ndarray, "height width 3"] | None:
        """The pixels of the image with this SHA-256, or None where they are not here, or no longer sound."""
        place = self._places.get(content)
        if place is None:
            return None
        data = b""
        with contextlib.suppress(OSError), open(place.pack, "rb") as file:
            file.seek(-place.before_end, os.SEEK_END)
            data = file.read(self._image_bytes)
        if len(data) != self._image_bytes or zlib.crc32(data) != place.checksum:
            self._set_aside(place.pack)
            return None
        return np.frombuffer(data, np.uint8).reshape(self._shape)

    def add(self, contents: Sequence[str], pixels: UInt8[np.ndarray, "image height width 3"]) -> None:
        """Writes the images with these SHA-256 as one pack.

        Raises:
          BadInput: where the folder cannot be written.
        """
        pack = self._folder / f"{uuid.uuid4().hex}.npy"
        checksums = [zlib.crc32(image.tobytes()) for image in pixels]
        with self._user_errors():
            with _atomic(pack) as file:
                np.save(file, pixels)
            with _atomic(pack.with_suffix(".json")) as file:
                file.write(json.dumps({"contents": list(contents), "crc32": checksums}).encode())
        self._remember(pack, contents, checksums)

    def _read_index(self, index: Path) -> None:
        pack = index.with_suffix(".npy")
        try:
            record = json.loads(index.read_bytes())
            self._remember(pack, record["contents"], record["crc32"])
        except (OSError, ValueError, KeyError, TypeError):
            self._set_aside(pack)

    def _remember(self, pack: Path, contents: Sequence[str], checksums: Sequence[int]) -> None:
        for row, (content, checksum) in enumerate(zip(contents, checksums, strict=True)):
            self._places[content] = _Place(pack, (len(contents) - row) * self._image_bytes, checksum)

    def _set_aside(self, pack: Path) -> None:
        """Forgets a damaged pack, and renames it so that no later run reads it."""
        with self._lock:
            self._places = {content: place for content, place in self._places.items() if place.pack != pack}
        for suffix in (".json", ".npy"):
            with contextlib.suppress(OSError):
                os.replace(pack.with_suffix(suffix), pack.with_suffix(f"{suffix}.damaged"))

    @contextlib.contextmanager
    def _user_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BadInput(
                f"cache folder {self._folder}: {error.strerror or error}; name one that can be written with cache_dir"
            ) from error


@contextlib.contextmanager
def _atomic(path: Path) -> Iterator[BinaryIO]:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
