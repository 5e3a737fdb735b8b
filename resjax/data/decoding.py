"""From a catalogue of files to pixels: decoded in parallel, resized, and cached by content."""

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
from resjax.types import BadInput

THUMBNAIL_SIZE = 64
"""Height and width in pixels of `Dataset.thumbnails`."""
MAX_PIXELS = 178_000_000
"""A larger image counts as unreadable: it would need more than half a gigabyte, and may be a decompression bomb."""
DRAFT_PIXELS = 24_000_000
"""A larger JPEG is decoded at a half, a quarter or an eighth of its size, as far as that is no loss."""
DRAFT_SIDE = 1536
"""The least height and width that such a reduced JPEG keeps; more for an image size above a quarter of it."""
FORMAT = "v2"
"""To be changed with anything that changes the pixels, so that no cache serves the old ones."""
CACHE_BYTES = 20 * 10**9
WINDOW = 1024
"""Files that are handed to the workers at a time: what is known of each is small, but there may be millions."""
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
    cache_bytes: int = CACHE_BYTES,
    workers: int | None = None,
    progress: bool = False,
) -> Dataset:
    """The catalogue's images as RGB pixels of `image_size` x `image_size`; only those that the cache lacks are decoded.

    The pixels stay in the cache on disk and are read from there. Images that cannot be read are left out as exclusions
    with the reason `unreadable`. Files with the same bytes make one group.

    Args:
      cache_dir: the folder of decoded images; by default `resjax` in the user's cache folder.
      cache_bytes: what the cache may hold in all; what was used least recently goes first. The images of this catalogue
        stay in any case.
      workers: threads, each with one whole image in memory; by default one a processor.
      progress: show a bar, if stderr is a terminal.

    Raises:
      BadInput: where the cache cannot be written, and where a class has no readable image.
    """
    folder = cache_dir or default_cache_dir()
    sizes = {image_size, THUMBNAIL_SIZE} if catalogue.has_near_copies else {image_size}
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
        thumbnails=stored.get(THUMBNAIL_SIZE) if catalogue.has_near_copies else None,
        sides=None if catalogue.sides is None else tuple(catalogue.sides[row] for row in kept),
        exclusions=(*catalogue.exclusions, *exclusions),
        details={"decoded": decoded, "cached": len(set(contents)) - decoded},
    )


def _fill(caches: Mapping[int, ArrayCache], catalogue: Catalogue, workers: int, progress: bool) -> list[_Outcome]:
    """Puts every distinct image into the caches, each by its size; returns what became of each image."""
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
            # The disk is full, or the like: what is not in its place yet cannot be put there.
            pool.shutdown(cancel_futures=True)
            for cache in caches.values():
                cache.discard()
            raise
        except BaseException:
            # Stopped: what has been decoded is kept for the next run, if it can be.
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
        f"({problem.detail}); repair them or leave the class out"
    )


def decode_files(
    paths: Sequence[Path], image_size: int, *, workers: int | None = None
) -> list[UInt8[np.ndarray, "height width 3"] | str]:
    """Each file as `decode_image` gives it, or in its place what is wrong with it; nothing is cached.

    Args:
      workers: threads, each with one whole image in memory; by default one a processor.
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
        return "no image format that is known"
    except Exception as error:  # Pillow's decoders raise anything on damaged files.
        reason = error.strerror if isinstance(error, OSError) else None
        return reason or " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Leaves Pillow's warnings out. Filters belong to the process, not to a thread: this goes around all workers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def decode_image(data: bytes, image_size: int) -> UInt8[np.ndarray, "height width 3"]:
    """An image file as RGB pixels, upright, by plain bilinear resize to `image_size` x `image_size`.

    The format is read from the bytes. Transparent parts become white; of an animation the first image counts. The
    resize is Pillow's, with antialiasing, which is torchvision's `Resize` for Pillow images.

    Raises:
      Exception: of any kind that Pillow raises, where the bytes are no image, or a damaged one; ValueError for more
        than `MAX_PIXELS`.
    """
    return decode_sizes(data, [image_size])[0]


def decode_sizes(data: bytes, sizes: Sequence[int]) -> list[UInt8[np.ndarray, "height width 3"]]:
    """What `decode_image` gives for each of the sizes, from decoding the file once."""
    with Image.open(io.BytesIO(data)) as image:
        pixels = image.width * image.height
        if pixels > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels, at most {MAX_PIXELS:,} are accepted")
        if image.format == "EPS":
            raise ValueError("an EPS file is a program, and is not run")
        if pixels > DRAFT_PIXELS:
            side = max(DRAFT_SIDE, 4 * max(sizes))
            image.draft(None, (side, side))
        rgb = _to_rgb(_upright(image))
        return [np.asarray(rgb.resize((size, size), Image.Resampling.BILINEAR)) for size in sizes]


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
