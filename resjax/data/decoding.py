"""From a catalogue of files to pixels: decoded in parallel, resized, and cached by content."""

import hashlib
import io
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, UnidentifiedImageError
from tqdm import tqdm

from resjax.data.cache import PixelCache, default_cache_dir
from resjax.data.sources import Catalogue
from resjax.types import BadInput, Dataset, Exclusion

MAX_PIXELS = 178_000_000
"""A larger image counts as unreadable: it would need more than half a gigabyte, and may be a decompression bomb."""
DRAFT_PIXELS = 24_000_000
"""A larger JPEG is decoded at a half, a quarter or an eighth of its size, as far as that is no loss."""
PACK_BYTES = 2**26
"""A pack is written when so much is decoded: what an interrupted run loses, and what is held twice in memory."""
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to what turns the image upright; the table of the TIFF 6.0 specification, page 36."""


class _Outcome(NamedTuple):
    content: str
    problem: str | None = None
    decoded: bool = False


def decode(
    catalogue: Catalogue,
    image_size: int,
    *,
    cache_dir: Path | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> Dataset:
    """The catalogue's images as RGB pixels of `image_size` x `image_size`; only those that the cache lacks are decoded.

    Images that cannot be read are left out as exclusions with the reason `unreadable`. Files with the same bytes make
    one group.

    Args:
      cache_dir: the folder of decoded images; by default `resjax` in the user's cache folder.
      workers: threads, each with one whole image in memory; by default one a processor.
      progress: show a bar, if stderr is a terminal.

    Raises:
      BadInput: where the cache cannot be written, and where a class has no readable image.
    """
    cache = PixelCache(cache_dir or default_cache_dir(), image_size)
    images = np.empty((len(catalogue.ids), image_size, image_size, 3), np.uint8)
    outcomes, originals = _fill(images, catalogue, cache, workers or os.cpu_count() or 1, progress)

    problem_of = {outcome.content: outcome.problem for outcome in outcomes if outcome.problem}
    exclusions, kept = [], []
    for row, (name, outcome) in enumerate(zip(catalogue.ids, outcomes, strict=True)):
        if problem := outcome.problem or problem_of.get(outcome.content):
            exclusions.append(Exclusion(name, "unreadable", problem))
        else:
            kept.append(row)
            images[row] = images[originals[outcome.content]]
    _require_every_class(catalogue, kept, exclusions)
    # Closing the gaps in place needs no second copy of all the pixels.
    for new, old in enumerate(kept):
        if new != old:
            images[new] = images[old]

    contents = tuple(outcomes[row].content for row in kept)
    decoded = sum(outcome.decoded for outcome in outcomes)
    return Dataset(
        name=catalogue.name,
        classes=catalogue.classes,
        ids=tuple(catalogue.ids[row] for row in kept),
        labels=catalogue.labels[kept],
        images=images[: len(kept)],
        contents=contents,
        groups=np.unique(contents, return_inverse=True)[1].astype(np.int32),
        exclusions=(*catalogue.exclusions, *exclusions),
        details={"decoded": decoded, "cached": len(set(contents)) - decoded},
    )


def _fill(
    images: UInt8[np.ndarray, "image height width 3"],
    catalogue: Catalogue,
    cache: PixelCache,
    workers: int,
    progress: bool,
) -> tuple[list[_Outcome], dict[str, int]]:
    """Writes every distinct image into one row of `images`; returns what became of each row, and each content's row."""
    image_size = images.shape[1]
    originals: dict[str, int] = {}

    def fill(row: int) -> _Outcome:
        try:
            if catalogue.content is None:
                data = catalogue.read(row)
                content = hashlib.sha256(data).hexdigest()
            else:
                data, content = None, catalogue.content(row)
        except OSError as error:
            return _Outcome("", error.strerror or str(error))
        # Of the threads that hold the same content, the first one decodes it.
        if originals.setdefault(content, row) != row:
            return _Outcome(content)
        pixels = cache.load(content)
        if decoded := pixels is None:
            try:
                pixels = decode_image(catalogue.read(row) if data is None else data, image_size)
            except UnidentifiedImageError:
                return _Outcome(content, "no image format that is known")
            except Exception as error:  # Pillow's decoders raise anything on damaged files.
                return _Outcome(content, " ".join(str(error).split()) or type(error).__name__)
        images[row] = pixels
        return _Outcome(content, decoded=decoded)

    outcomes: list[_Outcome] = []
    fresh: list[int] = []

    def store() -> None:
        cache.add([outcomes[row].content for row in fresh], images[fresh])
        fresh.clear()

    # Filters of warnings belong to the process, not to a thread: they are set here, around all workers.
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.filterwarnings("ignore", module="PIL")
        bar = tqdm(total=len(images), desc="reading images", unit="image", disable=None if progress else True)
        try:
            for row, outcome in enumerate(pool.map(fill, range(len(images)))):
                outcomes.append(outcome)
                bar.update()
                if outcome.decoded:
                    fresh.append(row)
                if len(fresh) * images[0].nbytes >= PACK_BYTES:
                    store()
            if fresh:
                store()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            bar.close()
    return outcomes, originals


def _require_every_class(catalogue: Catalogue, kept: list[int], unreadable: list[Exclusion]) -> None:
    counts = np.bincount(catalogue.labels[kept], minlength=len(catalogue.classes))
    if counts.all():
        return
    label = int(np.argmin(counts))
    of_class = {name for name, other in zip(catalogue.ids, catalogue.labels, strict=True) if other == label}
    problem = next(exclusion for exclusion in unreadable if exclusion.id in of_class)
    raise BadInput(
        f"class {catalogue.classes[label]!r}: none of its {len(of_class)} images can be read, such as {problem.id} "
        f"({problem.detail}); repair them or leave the class out"
    )


def decode_image(data: bytes, image_size: int) -> UInt8[np.ndarray, "height width 3"]:
    """An image file as RGB pixels, upright, by plain bilinear resize to `image_size` x `image_size`.

    The format is read from the bytes. Transparent parts become white; of an animation the first image counts. The
    resize is Pillow's, with antialiasing, which is torchvision's `Resize` for Pillow images.

    Raises:
      Exception: of any kind that Pillow raises, where the bytes are no image, or a damaged one; ValueError for more
        than `MAX_PIXELS`.
    """
    with Image.open(io.BytesIO(data)) as image:
        pixels = image.width * image.height
        if pixels > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels, at most {MAX_PIXELS:,} are accepted")
        if image.format == "EPS":
            raise ValueError("an EPS file is a program, and is not run")
        if pixels > DRAFT_PIXELS:
            image.draft(None, (4 * image_size, 4 * image_size))
        upright = _upright(image)
        resized = _to_rgb(upright).resize((image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Damaged metadata says nothing about the pixels.
        orientation = None
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16 bits of grey: Pillow would clip them to 255. The high byte is what it keeps of 16-bit colours.
        image = Image.fromarray((np.asarray(image).clip(0, 2**16 - 1) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")
