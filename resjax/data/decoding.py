"""Decodes the files of a catalogue to pixels: in parallel, resized, cached by content."""

import contextlib
import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, UnidentifiedImageError
from tqdm import tqdm

from resjax.data.cache import ArrayCache, default_cache_dir, trim
from resjax.data.dataset import Dataset, Exclusion
from resjax.data.sources.opening import Catalogue
from resjax.errors import BadInput

THUMBNAIL_SIZE = 64
"""Height and width in pixels of `Dataset.thumbnails`."""
MAX_PIXELS = 178_000_000
"""A larger image is unreadable: it needs more than half a gigabyte, and may be a decompression bomb."""
DRAFT_PIXELS = 24_000_000
"""A larger JPEG is decoded at a half, a quarter or an eighth of its size, as far as that loses no detail."""
DRAFT_SIDE = 1536
"""The least height and width of such a reduced JPEG, or 4 x the image size if that is larger."""
FORMAT = "v2"
"""Part of the cache's key; change it with anything that changes the pixels."""
CACHE_BYTES = 20 * 10**9
WINDOW = 1024
"""Files handed to the workers at a time, which bounds the queue for sets of millions of files."""
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that turns an image upright, by its EXIF orientation (TIFF 6.0 specification, page 36)."""


class _Outcome(NamedTuple):
    content: str
    problem: str | None = None
    decoded: bool = False


def decode(
    catalogue: Catalogue,
    image_size: int,
    *,
    cache_dir: Path | None = None,
    cache_bytes: int = CACHE_BYTES,
    workers: int | None = None,
    progress: bool = False,
) -> Dataset:
    """The images of a catalogue as RGB pixels of `image_size` x `image_size`; only images not in the cache are decoded.

    The pixels stay in the cache on disk and are read from there. Images that cannot be read become exclusions with the
    reason `unreadable`. Files with the same bytes are one duplicate group.

    Args:
      image_size: height and width in pixels.
      cache_dir: the folder of decoded images; by default `resjax` in the user's cache folder.
      cache_bytes: limit of the whole cache; the least recently used images are removed first. The images of this
        catalogue always stay.
      workers: number of threads, each with one whole image in memory; by default one per processor.
      progress: show a progress bar, if stderr is a terminal.

    Raises:
      BadInput: if the cache cannot be written, or a class has no readable image.
    """
    folder = cache_dir or default_cache_dir()
    sizes = {image_size, THUMBNAIL_SIZE} if catalogue.has_near_duplicates else {image_size}
    caches = {size: ArrayCache(folder, f"{FORMAT}-{size}-bilinear", (size, size, 3)) for size in sizes}
    outcomes = _fill(caches, catalogue, workers or os.cpu_count() or 1, progress)

    problem_of = {outcome.content: outcome.problem for outcome in outcomes if outcome.problem}
    exclusions, kept = [], []
    for row, (name, outcome) in enumerate(zip(catalogue.ids, outcomes, strict=True)):
        if problem := outcome.problem or problem_of.get(outcome.content):
            exclusions.append(Exclusion(name, "unreadable", problem))
        else:
            kept.append(row)
    _require_every_class(catalogue, kept, exclusions)

    contents = tuple(outcomes[row].content for row in kept)
    stored = {size: cache.stored(contents) for size, cache in caches.items()}
    trim(folder, cache_bytes, set().union(*(cache.open_packs() for cache in caches.values())))
    decoded = sum(outcome.decoded for outcome in outcomes)
    return Dataset(
        name=catalogue.name,
        classes=catalogue.classes,
        ids=tuple(catalogue.ids[row] for row in kept),
        labels=catalogue.labels[kept],
        images=stored[image_size],
        contents=contents,
        groups=np.unique(contents, return_inverse=True)[1].astype(np.int32),
        thumbnails=stored.get(THUMBNAIL_SIZE) if catalogue.has_near_duplicates else None,
        sides=None if catalogue.sides is None else tuple(catalogue.sides[row] for row in kept),
        exclusions=(*catalogue.exclusions, *exclusions),
        details={"decoded": decoded, "cached": len(set(contents)) - decoded},
    )


def _fill(caches: Mapping[int, ArrayCache], catalogue: Catalogue, workers: int, progress: bool) -> list[_Outcome]:
    """Puts every distinct image into the cache of each size; returns the outcome of each image."""
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
        # If several threads hold the same content, only the first decodes it.
        if originals.setdefault(content, row) != row:
            return _Outcome(content)
        lacking = [size for size, cache in caches.items() if cache.load(content) is None]
        if not lacking:
            return _Outcome(content)
        pixels = _pixels_or_problem(lambda: catalogue.read(row) if data is None else data, lacking)
        if isinstance(pixels, str):
            return _Outcome(content, pixels)
        for size, array in zip(lacking, pixels, strict=True):
            caches[size].add(content, array)
        return _Outcome(content, decoded=True)

    outcomes: list[_Outcome] = []
    images = len(catalogue.ids)
    with _without_warnings(), ThreadPoolExecutor(workers) as pool:
        bar = tqdm(total=images, desc="reading images", unit="image", disable=None if progress else True)
        try:
            for start in range(0, images, WINDOW):
                for outcome in pool.map(fill, range(start, min(start + WINDOW, images))):
                    outcomes.append(outcome)
                    bar.update()
        except BadInput:
            # The cache cannot be written (disk full, for example): give up what is not written yet.
            pool.shutdown(cancel_futures=True)
            for cache in caches.values():
                cache.discard()
            raise
        except BaseException:
            # Interrupted: keep what is decoded for the next run, if possible.
            pool.shutdown(cancel_futures=True)
            for cache in caches.values():
                with contextlib.suppress(BadInput):
                    cache.flush()
            raise
        finally:
            bar.close()
    for cache in caches.values():
        cache.flush()
    return outcomes


def _require_every_class(catalogue: Catalogue, kept: list[int], unreadable: list[Exclusion]) -> None:
    counts = np.bincount(catalogue.labels[kept], minlength=len(catalogue.classes))
    if counts.all():
        return
    label = int(np.argmin(counts))
    of_class = {name for name, other in zip(catalogue.ids, catalogue.labels, strict=True) if other == label}
    problem = next(exclusion for exclusion in unreadable if exclusion.id in of_class)
    raise BadInput(
        f"class {catalogue.classes[label]!r}: none of its {len(of_class)} images can be read, such as {problem.id} "
        f"({problem.detail}); expected at least one readable image, or no such class"
    )


def decode_files(
    paths: Sequence[Path], image_size: int, *, workers: int | None = None
) -> list[UInt8[np.ndarray, "height width 3"] | str]:
    """For each file the pixels that `decode_image` gives, or a text that says what is wrong; nothing is cached.

    Args:
      image_size: height and width in pixels.
      workers: number of threads, each with one whole image in memory; by default one per processor.
    """

    def decoded(path: Path) -> UInt8[np.ndarray, "height width 3"] | str:
        pixels = _pixels_or_problem(path.read_bytes, [image_size])
        return pixels if isinstance(pixels, str) else pixels[0]

    with _without_warnings(), ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        return list(pool.map(decoded, paths))


def _pixels_or_problem(
    read: Callable[[], bytes], sizes: Sequence[int]
) -> list[UInt8[np.ndarray, "height width 3"]] | str:
    try:
        return decode_sizes(read(), sizes)
    except UnidentifiedImageError:
        return "not a known image format"
    except Exception as error:  # Pillow's decoders raise errors of any type on damaged files.
        reason = error.strerror if isinstance(error, OSError) else None
        return reason or " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Suppresses Pillow's warnings. Filters belong to the process, not to a thread: use this around all workers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def decode_image(data: bytes, image_size: int) -> UInt8[np.ndarray, "height width 3"]:
    """An image file as upright RGB pixels, resized to `image_size` x `image_size` whatever its aspect.

    The format is read from the bytes. Transparent parts become white; only the first image of an animation is used. The
    resize is Pillow's bilinear one with antialiasing, as in torchvision's `Resize` of Pillow images.

    Raises:
      Exception: any type that Pillow raises, if the bytes are no image or a damaged one; ValueError for an image of
        more than `MAX_PIXELS`.
    """
    return decode_sizes(data, [image_size])[0]


def decode_sizes(data: bytes, sizes: Sequence[int]) -> list[UInt8[np.ndarray, "height width 3"]]:
    """The pixels that `decode_image` gives, for each of the sizes, with the file decoded once."""
    with Image.open(io.BytesIO(data)) as image:
        pixels = image.width * image.height
        if pixels > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels, expected at most {MAX_PIXELS:,}")
        if image.format == "EPS":
            raise ValueError("an EPS file is a program and is not run")
        if pixels > DRAFT_PIXELS:
            side = max(DRAFT_SIDE, 4 * max(sizes))
            image.draft(None, (side, side))
        rgb = _to_rgb(_upright(image))
        return [np.asarray(rgb.resize((size, size), Image.Resampling.BILINEAR)) for size in sizes]


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Damaged metadata do not matter for the pixels.
        orientation = None
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16-bit grey: Pillow would clip it to 255. It keeps the high byte of 16-bit colours, so do the same here.
        image = Image.fromarray((np.asarray(image).clip(0, 2**16 - 1) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")
