"""Images in one folder per class, or in `train/`, `val/` and `test/` with such folders.

Folders are sides if all folders with images have such names, in any case. `train` beside other names is a class if
images lie directly in it, and refused if folders do: a guess there would train on the wrong classes. A class folder
without images is refused, because a person made it.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from resjax.data.dataset import Exclusion
from resjax.data.sources.catalogue import SIDE_NAMES, Catalogue, usable
from resjax.data.sources.files import OWN_FOLDER, absent, composed, find_files, is_hidden, is_workdir, text_of
from resjax.errors import BadInput

OUTSIDE = "file outside a class folder"


def open_folder(spec: str, path: Path) -> Catalogue:
    """The images of one folder per class, at any depth below it, or of sides that hold one folder per class.

    Sides are kept as they are; `train` must be there, in any spelling of `SIDE_NAMES`. The id of an image is its path
    relative to `path`, with the side.

    Raises:
      BadInput: if the folder is missing or unreadable, mixes sides and classes, has a class without images, or has
        fewer than two classes.
    """
    if path.is_file():
        raise BadInput(f"dataset {spec!r}: a file; expected a folder, an archive unpacked")
    if not path.is_dir():
        missing = absent(path, "folder")
        raise BadInput(f"dataset {spec!r}: {missing}; expected a folder with one folder of images per class")
    found = find_files(path)
    if is_workdir(path):
        raise BadInput(
            f"dataset {spec!r}: the workdir of a comparison; expected a folder with one folder of images per class"
        )
    visible = [name for name in sorted(found.paths) if not is_hidden(name)]
    exclusions = [Exclusion(name, "hidden file") for name in sorted(found.paths) if is_hidden(name)]
    exclusions += [Exclusion(name, reason) for name, reason in sorted(found.unusable.items())]
    side_of = _side_folders(spec, visible)
    label_of = {}
    for name in visible:
        *folders, _ = name.split("/")
        folders = folders[1:] if side_of else folders
        if folders:
            label_of[name] = folders[0]
        else:
            exclusions.append(Exclusion(name, OUTSIDE))
    classes = sorted(set(label_of.values()))
    if not classes and (outside := sum(exclusion.reason == OUTSIDE for exclusion in exclusions)):
        raise BadInput(
            f"dataset {spec!r}: no images in class folders ({outside} {OUTSIDE}); expected one folder of images per "
            "class"
        )
    if len(classes) == 1 and not side_of and _holds_classes(label_of):
        raise BadInput(
            f"dataset {spec!r}: {classes[0]!r} is the only class with images, and holds folders itself (did you mean "
            f"{spec.rstrip('/')}/{classes[0]}?); expected at least two classes"
        )
    known = {*classes, *(name.split("/")[-1] for name in found.unusable)}
    # A folder of workdirs, such as runs/, is no class either.
    known |= {name.split("/")[bool(side_of)] for name, reason in found.unusable.items() if reason == OWN_FOLDER}
    for parent in [path / side for side in side_of] or [path]:
        if classes and (empty := sorted(_folders_in(parent) - known)):
            raise BadInput(f"dataset {spec!r}: no image in the folder of class {empty[0]!r}; add some or remove it")
    ids = tuple(label_of)
    number = {name: label for label, name in enumerate(classes)}
    catalogue = Catalogue(
        name=spec,
        classes=tuple(classes),
        ids=ids,
        labels=np.array([number[label] for label in label_of.values()], np.int32),
        read=lambda image: found.paths[ids[image]].read_bytes(),
        exclusions=tuple(exclusions),
        sides=tuple(side_of[name.split("/")[0]] for name in ids) if side_of else None,
    )
    return usable(catalogue)


def _side_folders(spec: str, names: Iterable[str]) -> dict[str, str]:
    """The side of each folder if the folders are the sides of a split; empty if they are classes.

    A class can be called `train`, too. Then other classes lie beside it, and it holds images directly.
    """
    holds_images: dict[str, bool] = {}
    for name in names:
        folder, *inside = name.split("/")
        if inside:
            holds_images[folder] = holds_images.get(folder, False) or len(inside) == 1
    side_of = {folder: SIDE_NAMES[folder.lower()] for folder in holds_images if folder.lower() in SIDE_NAMES}
    others = sorted(holds_images.keys() - side_of.keys())
    if not side_of or (others and all(holds_images[folder] for folder in side_of)):
        return {}
    listed = " and ".join(sorted(side_of))
    if others:
        raise BadInput(
            f"dataset {spec!r}: {listed} hold folders beside {others[0]!r}; expected either the sides of a split, with "
            "train, or one folder per class: move one kind elsewhere"
        )
    sides = list(side_of.values())
    if "train" not in sides or len(set(sides)) < len(sides):
        raise BadInput(
            f"dataset {spec!r}: {listed} look like the sides of a split; expected train with at most one val and one "
            "test, or one folder per class"
        )
    return side_of


def _holds_classes(names: Iterable[str]) -> bool:
    """Whether all images lie one folder deeper, in at least two folders."""
    inside = [name.split("/")[1:-1] for name in names]
    return all(inside) and len({folders[0] for folders in inside}) > 1


def _folders_in(path: Path) -> set[str]:
    folders = (entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return {composed(text_of(name)) for name in folders}
