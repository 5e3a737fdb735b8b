"""The files in a folder and below it, by names that can be written down and compared."""

import os
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from resjax.types import BadInput


@dataclass(frozen=True)
class FoundFiles:
    """Files by their path relative to a folder, with slashes and in Unicode's composed form (NFC).

    Some systems write an accented letter as two characters and some as one, and archives carry that from one to the
    other: a name is the same name in both forms. Where two files differ in nothing else, each keeps its own.
    """

    paths: dict[str, Path]
    unusable: dict[str, str]
    """What lies there and is no file that could be read, with the reason."""

    def name(self, text: str) -> str:
        """The name under which a file is found that someone else calls `text`."""
        return text if text in self.paths else composed(text)


def find_files(folder: Path) -> FoundFiles:
    """All files in a folder and the folders in it.

    Links are followed wherever they lead, as whoever keeps a folder put them there: a class is often a link to a
    folder elsewhere, an image one to a store of files. Only a link back to a folder that it lies in is not.

    Raises:
      BadInput: where a folder cannot be read.
    """
    paths: dict[str, Path] = {}
    unusable: dict[str, str] = {}

    def walk(parent: Path, above: frozenset[tuple[int, int]]) -> None:
        try:
            status = parent.stat()
            entries = list(os.scandir(parent))
        except OSError as error:
            raise BadInput(f"{parent}: {error.strerror}; a folder that can be read is accepted") from error
        here = (status.st_dev, status.st_ino)
        if here in above:
            unusable[text_of(parent.relative_to(folder).as_posix())] = "link in a circle"
            return
        for entry in entries:
            path = parent / entry.name
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError:  # A link that leads to itself.
                is_folder = is_file = False
            if is_folder:
                walk(path, above | {here})
            elif is_file:
                paths[text_of(path.relative_to(folder).as_posix())] = path
            else:
                # A pipe would be waited for without end.
                reason = "broken link" if entry.is_symlink() else "neither file nor folder"
                unusable[text_of(path.relative_to(folder).as_posix())] = reason

    walk(folder, frozenset())
    alike = Counter(map(composed, paths))
    named = {composed(name) if alike[composed(name)] == 1 else name: path for name, path in paths.items()}
    return FoundFiles(named, {composed(name): reason for name, reason in unusable.items()})


def composed(text: str) -> str:
    """The text in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", text)


def text_of(name: str) -> str:
    """A file name as text that can be written to JSON, whatever its bytes are."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder that it lies in, has a name that begins with a dot."""
    return any(part.startswith(".") for part in name.split("/"))
