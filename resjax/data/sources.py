"""Where images come from: every source becomes one Catalogue of names, labels and bytes."""

import difflib
from pathlib import Path

import numpy as np

from resjax.data import synthetic
from resjax.data.catalogue import Catalogue
from resjax.data.csv_source import open_csv
from resjax.data.folder_source import open_folder
from resjax.types import BadInput

__all__ = ["ACCEPTED", "SYNTHETIC_COUNT", "Catalogue", "open_catalogue"]

ACCEPTED = "synthetic, synthetic:COUNT, csv:PATH or folder:PATH"
SYNTHETIC_COUNT = 600


def open_catalogue(spec: str, *, image_dir: Path | None = None, image_size: int) -> Catalogue:
    """The catalogue of `synthetic`, `synthetic:COUNT`, `csv:PATH` or `folder:PATH`.

    Args:
      image_dir: the folder of a csv's images; by default the one beside the csv, named like its stem.
      image_size: height and width in pixels at which `synthetic` is drawn.

    Raises:
      BadInput: for an unknown source, one that is not there or cannot be understood, and one with fewer than two
        classes.
    """
    kind, _, value = spec.partition(":")
    if image_dir is not None and kind != "csv":
        raise BadInput(f"image_dir {str(image_dir)!r}: goes with csv:PATH alone, not with {spec!r}; leave it out")
    if kind == "synthetic":
        return _open_synthetic(spec, value, image_size)
    if kind == "csv":
        return open_csv(spec, Path(value).expanduser(), image_dir)
    if kind == "folder":
        return open_folder(spec, Path(value).expanduser())
    near = difflib.get_close_matches(kind, ["synthetic", "csv", "folder"], n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise BadInput(f"dataset {spec!r}: {ACCEPTED} are accepted{hint}")


def _open_synthetic(spec: str, count: str, image_size: int) -> Catalogue:
    if count and not (count.isdecimal() and int(count) >= 2 * len(synthetic.CLASSES)):
        raise BadInput(f"dataset {spec!r}: a count of images from {2 * len(synthetic.CLASSES)} is accepted")
    drawings = sorted(synthetic.plan(int(count or SYNTHETIC_COUNT), seed=0), key=lambda drawing: drawing.id)
    return Catalogue(
        name=spec,
        classes=synthetic.CLASSES,
        ids=tuple(drawing.id for drawing in drawings),
        labels=np.array([drawing.label for drawing in drawings], np.int32),
        read=lambda image: synthetic.png_bytes(drawings[image], image_size),
        content=lambda image: synthetic.content(drawings[image]),
        has_near_copies=False,
    )
