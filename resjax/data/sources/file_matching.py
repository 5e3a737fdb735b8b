"""Finds the file that a csv names in another way: with a prefix, without its suffix, or in another case."""

import difflib
import os
import posixpath
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from resjax.data.sources.files import FoundFiles, composed, is_hidden

OUTSIDE = "path outside the image folder"
NO_FILE = "row without a file"
SEVERAL_FILES = "row that fits several files"
COMPARED = 20_000
"""Files that the nearest name is searched among, which takes about a second."""


class Match(NamedTuple):
    """What a name in a csv stands for: a file of the folder, or the reason why there is none."""

    file: str | None
    is_exact: bool = True
    problem: str = ""


class _Index(NamedTuple):
    """Visible files by their path, and by each end of their path that leaves folders out; with and without suffix."""

    whole: Mapping[str, set[str]]
    ends: Mapping[str, set[str]]


class FileMatcher:
    """Matches the names in a csv with the files of a folder; never with a file outside of it, for a csv may come from
    anyone.

    A path that is not that of a file matches if exactly one file fits. A file fits if its path is an end of the given
    one, or the other way round. The suffix may be left out. Where no file fits, case is ignored.

    Args:
      found: the files of the folder.
      folder: the folder itself, for absolute paths into it.
    """

    def __init__(self, found: FoundFiles, folder: Path):
        self._found = found
        self._folder = os.path.abspath(folder)

    def match(self, text: str) -> Match:
        """The file that a name stands for."""
        name = posixpath.normpath(text)
        if posixpath.isabs(name):
            name = os.path.relpath(name, self._folder)
        name = self._found.name(name)
        climbs = name.split("/")[0] == ".."
        if not climbs and (name in self._found.paths or name in self._found.unusable):
            return Match(name)
        # Backslashes are part of a name here, and separate folders on Windows.
        loose = posixpath.normpath(composed(text).replace("\\", "/"))
        parts = [part for part in loose.split("/") if part]
        if ".." in parts:
            return Match(None, problem=OUTSIDE)
        fits = self._fitting(parts)
        if len(fits) == 1:
            return Match(*fits, is_exact=False)
        if fits:
            return Match(None, problem=SEVERAL_FILES)
        return Match(None, problem=OUTSIDE if climbs else NO_FILE)

    def nearest(self, text: str) -> str | None:
        """The file whose name is most like a name, if one is alike at all."""
        files = {_last_part(file): file for file in islice(sorted(self._found.paths), COMPARED)}
        near = difflib.get_close_matches(_last_part(composed(text).replace("\\", "/")), files, n=1)
        return files[near[0]] if near else None

    def _fitting(self, parts: list[str]) -> set[str]:
        for fold, index in ((str, self._index), (str.casefold, self._index_without_case)):
            name = fold("/".join(parts))
            if fits := index.whole.get(name) or index.ends.get(name):
                return fits
            for start in range(1, len(parts)):
                if fits := index.whole.get(fold("/".join(parts[start:]))):
                    return fits
        return set()

    @cached_property
    def _index(self) -> _Index:
        return _indexed(self._found, str)

    @cached_property
    def _index_without_case(self) -> _Index:
        return _indexed(self._found, str.casefold)


def _last_part(name: str) -> str:
    return name.rpartition("/")[2].casefold()


def _indexed(found: FoundFiles, fold: Callable[[str], str]) -> _Index:
    images = Image.registered_extensions()
    whole, ends = defaultdict(set), defaultdict(set)
    for file in found.paths:
        if is_hidden(file):
            continue
        stem, suffix = posixpath.splitext(file)
        # Notes beside an image often have its name with another suffix.
        for name in (file, stem) if suffix.lower() in images else (file,):
            whole[fold(name)].add(file)
            parts = name.split("/")
            for start in range(1, len(parts)):
                ends[fold("/".join(parts[start:]))].add(file)
    return _Index(whole, ends)
