"""Lists oddities of image files, from their bytes. Nothing here excludes a file; only the decoder does."""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

from PIL import ExifTags, Image, UnidentifiedImageError

from resjax.data.dataset import Exclusion
from resjax.data.deep_images import has_full_values
from resjax.data.image_content import bits_per_channel, open_image
from resjax.data.sources.opening import Catalogue

TINY = 32
"""Pixels; an image whose shorter side is below this holds little information."""
KINDS = {
    "unreadable": "left out: not an image, or damaged",
    "truncated": "left out: the file ends before the image does",
    "enormous": "left out: more pixels than the decoder accepts",
    "wrongly named": "read by its bytes: the suffix names another format",
    "animated": "only the first image is used",
    "CMYK": "converted to RGB without a colour profile",
    "more than 8 bits": "scaled to 8 bits, all by one range of values",
    "transparent": "drawn on white",
    "turned by EXIF": "turned upright",
    "tiny": f"one side has fewer than {TINY} pixels",
}
"""Every kind of finding, and what is done with such a file."""
MULTI_PICTURE = {"MPO": "JPEG"}
"""Formats that count as another one: a camera's JPEG with a preview behind it is a JPEG and not an animation."""


def find(catalogue: Catalogue, unreadable: set[str], workers: int | None = None) -> list[Exclusion]:
    """The findings of all files of a catalogue, in its order: id, kind (one of `KINDS`) and detail.

    Args:
      unreadable: the ids that the decoder left out; these are decoded again, to find the reason.
      workers: number of threads; by default one per processor.
    """

    def look(image: int) -> list[Exclusion]:
        name = catalogue.ids[image]
        try:
            found = examine(catalogue.read(image), name, whole=name in unreadable)
        except OSError as error:
            found = [("unreadable", error.strerror or str(error))]
        return [Exclusion(name, kind, detail) for kind, detail in found]

    # Warning filters belong to the process, not to a thread, so they are set around all workers.
    with warnings.catch_warnings(), ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        warnings.simplefilter("ignore")
        return [finding for findings in pool.map(look, range(len(catalogue.ids))) for finding in findings]


def examine(data: bytes, name: str, *, whole: bool) -> list[tuple[str, str]]:
    """The findings of one file, as (kind, detail).

    Args:
      name: the file name; its suffix is compared with the format of the bytes.
      whole: whether to decode the pixels, too: only that reveals a damaged or truncated file.
    """
    try:
        with open_image(data) as image:
            found = _of_header(image, data, name)
            if whole and not any(kind in ("unreadable", "enormous") for kind, _ in found):
                found += _of_pixels(image)
            return found
    except UnidentifiedImageError as error:
        return [("unreadable", _line(error))]
    except Image.DecompressionBombError as error:
        return [("enormous", _line(error))]
    except Exception as error:  # Pillow's decoders raise anything on damaged files.
        return [("unreadable", _line(error))]


def _of_header(image: Image.Image, data: bytes, name: str) -> list[tuple[str, str]]:
    size, found = f"{image.width} x {image.height} pixels", []
    kind = MULTI_PICTURE.get(image.format or "", image.format)
    suffix = PurePosixPath(name).suffix.lower()
    named = Image.registered_extensions().get(suffix)
    if named and MULTI_PICTURE.get(named, named) != kind:
        found.append(("wrongly named", f"{kind}, named {suffix}"))
    frames = 1 if image.format in MULTI_PICTURE else getattr(image, "n_frames", 1)
    if frames > 1:
        found.append(("animated", f"{frames} images"))
    if image.mode == "CMYK":
        found.append(("CMYK", kind or ""))
    if bits_per_channel(image, data) > 8:
        lost = "" if has_full_values(image, data) else ", of which Pillow reads the high byte alone"
        found.append(("more than 8 bits", f"{kind}, mode {image.mode}{lost}"))
    if image.has_transparency_data:
        found.append(("transparent", f"{kind}, mode {image.mode}"))
    if (turn := _orientation(image)) > 1:
        found.append(("turned by EXIF", f"orientation {turn}"))
    if min(image.size) < TINY:
        found.append(("tiny", size))
    return found


def _of_pixels(image: Image.Image) -> list[tuple[str, str]]:
    try:
        image.load()
    except Exception as error:
        return [("truncated" if "truncated" in str(error) else "unreadable", _line(error))]
    return []


def _orientation(image: Image.Image) -> int:
    try:
        turn = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Damaged metadata do not matter for the pixels.
        turn = None
    return turn if isinstance(turn, int) and turn in range(1, 9) else 1


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
