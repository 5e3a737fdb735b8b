"""The labels of named images: from the folders that they lie in, or from a csv."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resjax.data.sources.csv_source import place_files
from resjax.data.sources.csv_table import read_table
from resjax.data.sources.file_matching import FileMatcher
from resjax.data.sources.files import FoundFiles, composed, find_files
from resjax.errors import BadInput, closest
from resjax.records import Listed

if TYPE_CHECKING:
    # It imports jax, which --help does not need.
    from resjax.predict.predicting import NamedImage

AUTO, FOLDER, NONE, CSV = "auto", "folder", "none", "csv:"
"""The values of --labels; a path stands behind the last one."""
NO_CLASS, NO_FOLDER = "label that is no class of the comparison", "file outside a class folder"


@dataclass(frozen=True)
class Labels:
    """What is known of the classes of named images."""

    of: dict[str, int]
    """The number of the class, by the image's name."""
    left_out: list[Listed]
    """Images and rows without a label that can be used."""
    notes: tuple[str, ...] = ()
    """Lines for the user: how a csv was understood."""


def csv_path(asked: str) -> Path | None:
    """The csv of `csv:FILE`; None for another value of --labels."""
    return Path(asked.removeprefix(CSV)).expanduser() if asked.startswith(CSV) else None


def labels_of(asked: str, words: Sequence[str], images: "Sequence[NamedImage]", classes: Sequence[str]) -> Labels | str:
    """The labels of the images that a command names, or a line for the user where there are none (may be empty).

    Args:
      asked: `auto` for labels if every folder in the named folders is named like a class; `folder` if some may have
        other names; `csv:FILE` for the rows of a csv that name files of the one named folder; `none`.
      words: the files and folders that were named.

    Raises:
      BadInput: if no image has a label that was asked for, or the csv cannot be understood.
    """
    if asked == NONE:
        return ""
    if path := csv_path(asked):
        return _from_csv(path, words, images, classes)
    known = {composed(name): label for label, name in enumerate(classes)}
    folders = list(dict.fromkeys(image.inside.split("/")[0] for image in images if "/" in image.inside))
    others = [name for name in folders if name not in known]
    expected = f"expected folders named like the classes: {', '.join(classes)}"
    if asked == FOLDER and len(others) == len(folders):
        near = closest(others[0], classes) if others else []
        hint = f", such as {others[0]!r} (did you mean {near[0]!r}?)" if near else ""
        raise BadInput(f"--labels=folder: no folder in {' or '.join(words)} is named like a class{hint}; {expected}")
    if asked == AUTO and (others or not folders):
        if len(others) == len(folders):
            return ""
        return (
            f"not scored: {', '.join(others[:3])} {'are' if len(others) > 1 else 'is'} no class of the comparison; "
            "--labels=folder scores the images in the other folders"
        )
    found, left_out = {}, []
    for image in images:
        folder, slash, _ = image.inside.partition("/")
        if slash and folder in known:
            found[image.name] = known[folder]
        elif image.problem is None:
            reason, detail = (NO_CLASS, folder) if slash else (NO_FOLDER, "")
            left_out.append(Listed(id=image.name, reason=reason, detail=detail))
    return Labels(found, left_out)


def _from_csv(path: Path, words: Sequence[str], images: "Sequence[NamedImage]", classes: Sequence[str]) -> Labels:
    flag = f"--labels={CSV}{path}"
    folder = Path(os.path.expanduser(words[0]))
    if len(words) > 1 or not folder.is_dir():
        raise BadInput(f"{flag}: expected one folder of images after the flags, found {' '.join(words)}")
    if not path.is_file():
        raise BadInput(f"{flag}: no such file; expected a csv with the columns filename and label")
    found = find_files(folder)
    found = FoundFiles({name: file for name, file in found.paths.items() if file != path}, found.unusable)
    matcher = FileMatcher(found, folder)
    table = read_table(f"{CSV}{path}", path, lambda cell: matcher.match(cell).file is not None)
    placed = place_files(table.rows, {}, found, matcher)
    known = {composed(name): label for label, name in enumerate(classes)}
    name_of = {image.inside: image.name for image in images}
    labels, unknown = {}, []
    for inside, place in placed.files.items():
        if place.label in known and inside in name_of:
            labels[name_of[inside]] = known[place.label]
        else:
            unknown.append(Listed(id=inside, reason=NO_CLASS, detail=place.label))
    if not labels:
        detail = f", such as {unknown[0].detail!r}" if unknown else ""
        raise BadInput(
            f"{flag}: no row gives a file of {folder} a class of the comparison{detail}; expected {', '.join(classes)}"
        )
    left_out = [Listed(id=each.id, reason=each.reason, detail=each.detail) for each in placed.exclusions]
    return Labels(labels, left_out + unknown, (*table.notes, *placed.notes))
