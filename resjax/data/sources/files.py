"""Finds the files in a folder and below it, under names that are the same on every system."""

import os
import unicodedata
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from resjax.errors import BadInput, closest

SYSTEM_FOLDER, OWN_FOLDER = "folder of the system", "folder of resjax"
"""The reasons why a folder is not looked into."""
SYSTEM_FOLDERS = {
    # Windows
    *("$recycle.bin", "recycler", "recycled", "system volume information", "found.000"),
    # Linux and macOS
    *("lost+found", "__macosx", ".trashes", "network trash folder", "temporary items"),
    # network drives (Synology, QNAP)
    *("@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@__thumb"),
    # notebooks and Python
    *(".ipynb_checkpoints", "__pycache__"),
}
"""Folders, in lower case, that systems and programs make beside the user's files, some with small copies of images."""
WORKDIR_RECORDS = (
    {"config.flags", "summary.json"},
    {"config.flags", "splits.json"},
    {"sweep.json", "cells"},
    {"reproduction.json", "reproduction.html"},
)
"""What lies in the workdir of a comparison on one split, of one on several, of a sweep, and of a reproduction."""
AUDIT_RECORDS = {"dataset.json", "audit.html"}


@dataclass(frozen=True)
class FoundFiles:
    """Files by their path relative to a folder, with slashes and in Unicode's composed form (NFC).

    Some systems store an accented letter as two characters and some as one, and archives carry names from one system to
    the other. Both forms are treated as the same name. If two files differ only in the form, each keeps its own name.
    """

    paths: dict[str, Path]
    unusable: dict[str, str]
    """Entries that are no readable files, and folders that hold no images of the user, with the reason."""

    def name(self, text: str) -> str:
        """The key in `paths` for a name in either form of Unicode."""
        return text if text in self.paths else composed(text)


def find_files(folder: Path) -> FoundFiles:
    """All files in a folder and the folders in it.

    Links are followed wherever they lead: a class is often a link to a folder elsewhere, an image a link to a store of
    files. Only a link back to a folder that contains it is not followed. Folders that a system made, and those that
    resjax wrote, are not looked into and are listed as unusable.

    Raises:
      BadInput: if a folder cannot be read.
    """
    paths: dict[str, Path] = {}
    unusable: dict[str, str] = {}

    def walk(parent: Path, above: frozenset[tuple[int, int]]) -> None:
        try:
            status = parent.stat()
            entries = list(os.scandir(parent))
        except OSError as error:
            raise BadInput(f"{parent}: {error.strerror}; expected a readable folder") from error
        here = (status.st_dev, status.st_ino)
        if here in above:
            unusable[text_of(parent.relative_to(folder).as_posix())] = "link in a circle"
            return
        if above and (is_workdir(parent) or AUDIT_RECORDS <= {entry.name for entry in entries}):
            unusable[text_of(parent.relative_to(folder).as_posix())] = OWN_FOLDER
            return
        for entry in entries:
            path = parent / entry.name
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError:  # A link to itself.
                is_folder = is_file = False
            if is_folder and entry.name.lower() in SYSTEM_FOLDERS:
                unusable[text_of(path.relative_to(folder).as_posix())] = SYSTEM_FOLDER
            elif is_folder:
                walk(path, above | {here})
            elif is_file:
                paths[text_of(path.relative_to(folder).as_posix())] = path
            else:
                # Opening a pipe would wait forever.
                reason = "broken link" if entry.is_symlink() else "neither file nor folder"
                unusable[text_of(path.relative_to(folder).as_posix())] = reason

    walk(folder, frozenset())
    alike = Counter(map(composed, paths))
    named = {composed(name) if alike[composed(name)] == 1 else name: path for name, path in paths.items()}
    return FoundFiles(named, {composed(name): reason for name, reason in unusable.items()})


def is_workdir(folder: Path) -> bool:
    """Whether a folder holds a comparison, a sweep or a reproduction of resjax."""
    names = set(os.listdir(folder))
    return any(records <= names for records in WORKDIR_RECORDS)


def composed(text: str) -> str:
    """The text in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", text)


def text_of(name: str) -> str:
    """A file name as text that can be written to JSON; bytes that are not UTF-8 are escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def is_hidden(name: str) -> bool:
    """Whether the name of a file, or of a folder that contains it, begins with a dot."""
    return any(part.startswith(".") for part in name.split("/"))


def absent(path: Path, what: str) -> str:
    """That there is no such file or folder, with where it was looked for, and the name there that is most like it."""
    folder = path.absolute().parent
    where = "" if path.is_absolute() else f" in {Path.cwd()}"
    near = []
    with suppress(OSError):
        near = closest(path.name, [each.name for each in folder.iterdir()])
    hint = f" (did you mean {path.with_name(near[0])}?)" if near else ""
    return f"no such {what}{where}{hint}"
