"""Images that are an array already: given from Python, or in an npz file."""

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from resjax.data.sources.catalogue import SIDE_NAMES, Catalogue, usable
from resjax.errors import BadInput

KEYS = ("images", "labels", "class_names", *dict.fromkeys(SIDE_NAMES.values()))


def open_npz(spec: str, path: Path) -> Catalogue:
    """The images of an npz file.

    It holds `images`, (image, height, width, 3), (image, height, width, 1) or (image, height, width), uint8; `labels`,
    (image,), classes from 0; where classes have names, `class_names`; and where there is a split, `train`, `val` and
    `test`, each the numbers of its images or a mask of booleans. Pickled objects are not read.

    Raises:
      BadInput: if the file is missing or no npz, lacks an array or has an unknown one, or as `open_arrays`.
    """
    try:
        # A file that is opened here is closed, whatever np.load makes of it.
        with path.open("rb") as file:
            stored = np.load(file, allow_pickle=False)
            if not isinstance(stored, np.lib.npyio.NpzFile):
                raise BadInput(f"dataset {spec!r}: one array; expected an npz with images and labels")
            if unknown := sorted(set(stored.files) - set(KEYS)):
                raise BadInput(f"dataset {spec!r}: {unknown[0]!r} is unknown; expected {', '.join(KEYS)}")
            arrays = {name: stored[name] for name in stored.files}
    except OSError as error:
        raise BadInput(f"dataset {spec!r}: cannot be read ({error.strerror or error}); expected an npz file") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"dataset {spec!r}: no npz of numbers and texts ({error}); pickles are not read") from error
    for name in ("images", "labels"):
        if name not in arrays:
            raise BadInput(f"dataset {spec!r}: no array {name!r}; found {', '.join(arrays) or 'nothing'}")
    sides = {side: arrays[side] for side in dict.fromkeys(SIDE_NAMES.values()) if side in arrays}
    names = arrays.get("class_names")
    return open_arrays(
        spec,
        arrays["images"],
        arrays["labels"],
        None if names is None else [str(name) for name in names.ravel()],
        sides,
    )


def open_arrays(
    spec: str,
    images: UInt8[np.ndarray, "image height width channel"],
    labels: Int[np.ndarray, " image"],
    class_names: Sequence[str] | None = None,
    sides: Mapping[str, np.ndarray] | None = None,
) -> Catalogue:
    """The catalogue of an array of images. The id of an image is its number.

    Args:
      spec: the name of the data set.
      images: pixels from 0 to 255, with 3 channels, or 1, or without an axis of channels.
      labels: the class of each image, from 0.
      class_names: of the classes; by default their numbers.
      sides: `train`, and `val` or `test`, each the numbers of its images or a mask. Images of no side are refused.

    Raises:
      BadInput: for arrays of other types, shapes or lengths, labels out of range, or sides that overlap.
    """
    place = f"dataset {spec!r}"
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype != np.uint8:
        raise BadInput(f"{place}: images of {images.dtype}; expected uint8, 0 to 255, not standardized")
    shaped = images[..., None] if images.ndim == 3 else images
    if shaped.ndim != 4 or shaped.shape[3] not in (1, 3) or 0 in shaped.shape:
        raise BadInput(f"{place}: images of shape {images.shape}; expected (image, height, width, 3), or 1 channel")
    flat = labels.reshape(-1) if labels.shape == (len(images), 1) else labels
    if flat.dtype.kind not in "iu" or flat.shape != (len(images),):
        raise BadInput(
            f"{place}: labels of {labels.dtype} and shape {labels.shape}; expected integers of shape ({len(images)},)"
        )
    classes = [str(number) for number in range(int(flat.max()) + 1)] if class_names is None else list(class_names)
    if flat.min() < 0 or flat.max() >= len(classes):
        raise BadInput(f"{place}: labels from {flat.min()} to {flat.max()}; expected 0 to {len(classes) - 1}")
    if len(set(classes)) < len(classes):
        raise BadInput(f"{place}: class_names: expected different names")
    width = len(str(len(images) - 1))
    return usable(
        Catalogue(
            name=spec,
            classes=tuple(classes),
            ids=tuple(f"{number:0{width}}" for number in range(len(images))),
            labels=flat.astype(np.int32),
            read=lambda image: _png(shaped[image]),
            content=lambda image: hashlib.sha256(
                str(shaped[image].shape).encode() + shaped[image].tobytes()
            ).hexdigest(),
            sides=_sides(place, sides, len(images)) if sides else None,
        )
    )


def _png(pixels: UInt8[np.ndarray, "height width channel"]) -> bytes:
    # Decoding gives the same pixels again; a stronger compression would only take time.
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "png", compress_level=1)
    return file.getvalue()


def _sides(place: str, sides: Mapping[str, np.ndarray], images: int) -> tuple[str, ...]:
    side_of = np.full(images, "", object)
    for side, chosen in sides.items():
        chosen = np.asarray(chosen)
        if chosen.dtype == bool and chosen.shape == (images,):
            chosen = np.flatnonzero(chosen)
        if (
            chosen.ndim != 1
            or chosen.dtype.kind not in "iu"
            or (chosen.size and not 0 <= chosen.min() <= chosen.max() < images)
        ):
            raise BadInput(f"{place}: {side}: expected numbers of images from 0 to {images - 1}, or a mask")
        if len(np.unique(chosen)) < len(chosen) or (side_of[chosen] != "").any():
            raise BadInput(f"{place}: {side}: expected every image once, and in one side")
        side_of[chosen] = side
    if "train" not in sides or (side_of == "").any():
        missing = "no train" if "train" not in sides else f"{int((side_of == '').sum())} images in no side"
        raise BadInput(f"{place}: {missing}; expected train, val and test to hold every image, or none of them")
    return tuple(side_of.tolist())
