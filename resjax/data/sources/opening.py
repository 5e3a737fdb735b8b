"""Opens any source, named as in `--dataset`, as a catalogue."""

import os
from pathlib import Path

import numpy as np

from resjax.data.sources.array_source import open_npz
from resjax.data.sources.catalogue import Catalogue
from resjax.data.sources.csv_source import open_csv
from resjax.data.sources.folder_source import open_folder
from resjax.data.sources.tfds_source import open_tfds
from resjax.data.synthetic import processes
from resjax.data.synthetic import source as synthetic
from resjax.errors import BadInput, closest

__all__ = ["SOURCES", "SYNTHETIC_COUNT", "Catalogue", "open_catalogue"]

SOURCES = "synthetic, synthetic:COUNT, csv:PATH, folder:PATH, npz:FILE or tfds:NAME"
SYNTHETIC_COUNT = 600


def open_catalogue(
    spec: str,
    *,
    image_dir: Path | None = None,
    data_dir: Path | None = None,
    image_size: int,
) -> Catalogue:
    """The catalogue of `synthetic`, `synthetic:COUNT`, `csv:PATH`, `folder:PATH`, `npz:FILE` or `tfds:NAME`.

    Args:
      image_dir: the folder of a csv's images; by default the folder beside the csv that is named like its stem.
      data_dir: the folder of data sets that TFDS has prepared; by default TFDS's own.
      image_size: height and width in pixels at which `synthetic` is drawn.

    Raises:
      BadInput: for an unknown, missing or unreadable source, and for fewer than two classes.
    """
    kind, _, value = spec.partition(":")
    for name, given, goes_with in (("image_dir", image_dir, "csv:PATH"), ("data_dir", data_dir, "tfds:NAME")):
        if given is not None and kind != goes_with.partition(":")[0]:
            raise BadInput(f"{name} {str(given)!r} with {spec!r}: expected only with {goes_with}; leave it out")
    if kind == "synthetic":
        return _open_synthetic(spec, value, image_size)
    if kind in ("csv", "folder", "npz") and not value:
        raise BadInput(f"dataset {spec!r}: the path is missing; expected {kind}:{'FILE' if kind == 'npz' else 'PATH'}")
    if kind == "csv":
        return open_csv(spec, Path(os.path.expanduser(value)), image_dir)
    if kind == "folder":
        return open_folder(spec, Path(os.path.expanduser(value)))
    if kind == "npz":
        return open_npz(spec, Path(os.path.expanduser(value)))
    if kind == "tfds":
        return open_tfds(spec, value, data_dir)
    near = closest(kind, ["synthetic", "csv", "folder", "npz", "tfds"])
    if spec and (path := Path(os.path.expanduser(spec))).exists():
        near = [f"{'folder' if path.is_dir() else 'npz' if path.suffix == '.npz' else 'csv'}:{spec}"]
    elif "://" in spec:
        raise BadInput(f"dataset {spec!r}: an address; download it first, then give its folder as folder:PATH")
    hint = f" (did you mean {near[0]}?)" if near else ""
    if not near and spec and not value:
        hint = f" (a folder is folder:{spec}, and a data set of TFDS tfds:{spec})"
    raise BadInput(f"dataset {spec!r}: expected {SOURCES}{hint}")


def _open_synthetic(spec: str, count: str, image_size: int) -> Catalogue:
    if count and not (count.isdecimal() and int(count) >= 2 * len(synthetic.CLASSES)):
        raise BadInput(f"dataset {spec!r}: expected a count of images, at least {2 * len(synthetic.CLASSES)}")
    drawings = sorted(synthetic.plan(int(count or SYNTHETIC_COUNT), seed=0), key=lambda drawing: drawing.id)
    png_bytes = synthetic.png_bytes if len(drawings) < processes.FEWEST else processes.drawn_elsewhere
    return Catalogue(
        name=spec,
        classes=synthetic.CLASSES,
        ids=tuple(drawing.id for drawing in drawings),
        labels=np.array([drawing.label for drawing in drawings], np.int32),
        read=lambda image: png_bytes(drawings[image], image_size),
        content=lambda image: synthetic.content(drawings[image]),
        has_near_duplicates=False,
    )
