"""Decodes the files of a catalogue to pixels: in parallel, resized, cached by content."""

import contextlib
import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import UInt8

from resjax.data.cache import FOLDER, ArrayCache, default_cache_dir, trim
from resjax.data.dataset import OWN_RANGE, Dataset, Exclusion, ValueRanges
from resjax.data.deep_images import (
    UsedRange,
    cache_key,
    common_ranges,
    described_ranges,
)
from resjax.data.one_image import decode_or_measure, decode_sizes
from resjax.data.sources.opening import Catalogue
from resjax.errors import BadInput
from resjax.terminal import activity

T = TypeVar("T")
THUMBNAIL_SIZE = 64
"""Height and width in pixels of `Dataset.thumbnails`."""
FORMAT = "v3"
"""Part of the cache's key; change it with anything that changes the pixels."""
CACHE_BYTES = 20 * 10**9
ONE_COLOUR = 16
"""An image whose values differ by less than this in every channel, of 255, shows one colour or nearly so."""
MOST_OF_ONE_COLOUR = 0.5
"""The largest share of such images in a set that is used."""
WINDOW = 1024
"""Files handed to the workers at a time, which bounds the queue for sets of millions of files."""


def cache_name(size: int) -> str:
    """The name of the cache of images that are so many pixels high and wide."""
    return f"{FORMAT}-{size}-bilinear"


class _Outcome(NamedTuple):
    content: str
    problem: str | None = None
    decoded: bool = False
    used: UsedRange | None = None
    """Of an image with more than 8 bits a channel."""
    is_one_colour: bool = False
    is_copy: bool = False
    """Another file with the same content was looked at."""


def decode(
    catalogue: Catalogue,
    image_size: int,
    *,
    cache_dir: Path | None = None,
    cache_bytes: int = CACHE_BYTES,
    workers: int | None = None,
) -> Dataset:
    """The images of a catalogue as RGB pixels of `image_size` x `image_size`; only images not in the cache are decoded.

    The pixels stay in the cache on disk and are read from there. Images that cannot be read become exclusions with the
    reason `unreadable`. Files with the same bytes are one duplicate group. Images with more than 8 bits a channel are
    all scaled by the same range of values (`resjax.data.deep_images`).

    Args:
      image_size: height and width in pixels.
      cache_dir: the folder of decoded images; by default `resjax` in the user's cache folder.
      cache_bytes: limit of the whole cache; the least recently used images are removed first. The images of this
        catalogue always stay.
      workers: number of threads, each with one whole image in memory; by default one per processor.

    Raises:
      BadInput: if the cache cannot be written, a class has no readable image, or most images show one colour or nearly
        so.
    """
    folder = cache_dir or default_cache_dir()
    sizes = {image_size, THUMBNAIL_SIZE} if catalogue.has_near_duplicates else {image_size}
    caches = {size: ArrayCache(folder, cache_name(size), (size, size, 3)) for size in sizes}
    used_ranges = ArrayCache(folder, f"{FORMAT}-ranges", (UsedRange(False, 0, 0).to_bytes().size,))
    outcomes, ranges = _fill(caches, used_ranges, catalogue, workers or os.cpu_count() or 1)

    known = {outcome.content: outcome for outcome in outcomes if not outcome.is_copy}
    exclusions, kept = [], []
    for row, (name, outcome) in enumerate(zip(catalogue.ids, outcomes, strict=True)):
        if problem := outcome.problem or known[outcome.content].problem:
            exclusions.append(Exclusion(name, "unreadable", problem))
        else:
            kept.append(row)
    _require_every_class(catalogue, kept, exclusions)
    ids, contents = tuple(catalogue.ids[row] for row in kept), tuple(outcomes[row].content for row in kept)
    one_colour = tuple(name for name, content in zip(ids, contents, strict=True) if known[content].is_one_colour)
    # Drawn images are known to show something.
    if catalogue.has_near_duplicates:
        _require_pictures(catalogue.name, ids, one_colour, ranges)

    keys = [cache_key(content, used, ranges) if (used := known[content].used) else content for content in contents]
    stored = {size: cache.stored(keys) for size, cache in caches.items()}
    trim(folder, cache_bytes, set().union(*(cache.open_packs() for cache in (*caches.values(), used_ranges))))
    decoded = sum(outcome.decoded for outcome in outcomes)
    return Dataset(
        name=catalogue.name,
        classes=catalogue.classes,
        ids=ids,
        labels=catalogue.labels[kept],
        images=stored[image_size],
        contents=contents,
        groups=np.unique(contents, return_inverse=True)[1].astype(np.int32),
        thumbnails=stored.get(THUMBNAIL_SIZE) if catalogue.has_near_duplicates else None,
        sides=None if catalogue.sides is None else tuple(catalogue.sides[row] for row in kept),
        exclusions=(*catalogue.exclusions, *exclusions),
        ranges=ranges,
        one_colour=one_colour,
        details={"decoded": decoded, "cached": len(set(contents)) - decoded},
    )


def _fill(
    caches: Mapping[int, ArrayCache], used_ranges: ArrayCache, catalogue: Catalogue, workers: int
) -> tuple[list[_Outcome], ValueRanges]:
    """Puts every distinct image into the cache of each size; returns the outcome of each image, and the ranges.

    Images with more than 8 bits a channel come last, because all of them together decide how they are scaled.
    """
    originals: dict[str, int] = {}
    # Of one size, so that whether an image shows one colour does not depend on the size that is trained at.
    seen_size = THUMBNAIL_SIZE if THUMBNAIL_SIZE in caches else next(iter(caches))

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
            return _Outcome(content, is_copy=True)
        if (used := used_ranges.load(content)) is not None:
            return _Outcome(content, used=UsedRange.of_bytes(used))
        outcome = store(
            content,
            content,
            lambda lacking: decode_or_measure(catalogue.read(row) if data is None else data, lacking),
        )
        if outcome.used is not None:
            used_ranges.add(content, outcome.used.to_bytes())
        return outcome

    def store(
        content: str, key: str, decoded: Callable[[list[int]], "list[UInt8[np.ndarray, '...']] | UsedRange"]
    ) -> _Outcome:
        """Takes the pixels of one image from the caches, or decodes and adds them."""
        pixels = {size: array for size, cache in caches.items() if (array := cache.load(key)) is not None}
        lacking = [size for size in caches if size not in pixels]
        if lacking:
            found = _or_problem(lambda: decoded(lacking))
            if isinstance(found, str):
                return _Outcome(content, found)
            if isinstance(found, UsedRange):
                return _Outcome(content, used=found)
            for size, array in zip(lacking, found, strict=True):
                caches[size].add(key, array)
                pixels[size] = array
        return _Outcome(content, decoded=bool(lacking), is_one_colour=_is_one_colour(pixels[seen_size]))

    every_cache = (*caches.values(), used_ranges)
    outcomes = list(_in_threads(fill, range(len(catalogue.ids)), every_cache, workers))
    deep = [row for row, outcome in enumerate(outcomes) if outcome.used is not None]
    ranges = common_ranges(outcome.used for outcome in outcomes if outcome.used is not None)

    def fill_deep(row: int) -> _Outcome:
        content, used = outcomes[row].content, outcomes[row].used
        assert used is not None
        outcome = store(
            content,
            cache_key(content, used, ranges),
            lambda lacking: decode_sizes(catalogue.read(row), lacking, ranges),
        )
        return outcome._replace(used=used)

    for row, outcome in zip(deep, _in_threads(fill_deep, deep, every_cache, workers), strict=True):
        outcomes[row] = outcome
    return outcomes, ranges


def _in_threads(
    fill: Callable[[int], _Outcome], rows: Sequence[int], caches: Sequence[ArrayCache], workers: int
) -> Iterator[_Outcome]:
    """The outcome of each row, in order; the caches are written when all are there."""
    with _without_warnings(), ThreadPoolExecutor(workers) as pool, activity("reading images", len(rows)) as reading:
        try:
            for start in range(0, len(rows), WINDOW):
                for outcome in pool.map(fill, rows[start : start + WINDOW]):
                    yield outcome
                    reading.advance()
        except BadInput:
            # The cache cannot be written (disk full, for example): give up what is not written yet.
            pool.shutdown(cancel_futures=True)
            for cache in caches:
                cache.discard()
            raise
        except BaseException:
            # Interrupted: keep what is decoded for the next run, if possible.
            pool.shutdown(cancel_futures=True)
            for cache in caches:
                with contextlib.suppress(BadInput):
                    cache.flush()
            raise
    for cache in caches:
        cache.flush()


def _is_one_colour(pixels: UInt8[np.ndarray, "height width 3"]) -> bool:
    return int(np.ptp(pixels, axis=(0, 1)).max()) < ONE_COLOUR


def _require_pictures(name: str, ids: Sequence[str], one_colour: Sequence[str], ranges: ValueRanges) -> None:
    if len(one_colour) <= MOST_OF_ONE_COLOUR * len(ids):
        return
    scaled = f"; those with more than 8 bits were scaled to {described_ranges(ranges)}" if ranges else ""
    raise BadInput(
        f"dataset {name!r}: {len(one_colour):,} of {len(ids):,} images show one colour or nearly so, such as "
        f"{one_colour[0]}{scaled}; expected pictures"
    )


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


class Fingerprint(NamedTuple):
    """What a file is told from copies of it by."""

    content: str
    """The SHA-256 of its bytes in hexadecimal."""
    thumbnail: UInt8[np.ndarray, "height width 3"]
    """The image at `THUMBNAIL_SIZE`."""


def decode_files(
    paths: Sequence[Path],
    image_size: int,
    ranges: ValueRanges = OWN_RANGE,
    *,
    workers: int | None = None,
    on_own_range: Callable[[Path], None] | None = None,
    on_fingerprint: Callable[[Path, Fingerprint], None] | None = None,
) -> list[UInt8[np.ndarray, "height width 3"] | str]:
    """For each file the pixels that `decode_image` gives, or a text that says what is wrong; nothing is cached.

    Args:
      image_size: height and width in pixels.
      ranges: of the values of images with more than 8 bits a channel.
      workers: number of threads, each with one whole image in memory; by default one per processor.
      on_own_range: called, from any thread, for each such image that is scaled by its own range, for want of one.
      on_fingerprint: called, from any thread, for each image.
    """
    sizes = [image_size] if on_fingerprint is None else [image_size, THUMBNAIL_SIZE]

    def decoded(path: Path) -> UInt8[np.ndarray, "height width 3"]:
        data = path.read_bytes()
        found = decode_or_measure(data, sizes)
        if isinstance(found, UsedRange):
            if on_own_range is not None and (ranges.floats if found.is_float else ranges.integers) is None:
                on_own_range(path)
            found = decode_sizes(data, sizes, ranges)
        if on_fingerprint is not None:
            on_fingerprint(path, Fingerprint(hashlib.sha256(data).hexdigest(), found[1]))
        return found[0]

    with _without_warnings(), ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        return list(pool.map(lambda path: _or_problem(lambda: decoded(path)), paths))


def _or_problem(decoded: Callable[[], T]) -> T | str:
    """What `decoded` returns, or a line that says why it cannot."""
    try:
        return decoded()
    except Exception as error:  # Pillow's decoders raise errors of any type on damaged files.
        reason = error.strerror if isinstance(error, OSError) else None
        return reason or " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Suppresses Pillow's warnings. Filters belong to the process, not to a thread: use this around all workers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def cached_thumbnails(
    contents: Iterable[str], cache_dir: Path | None = None
) -> dict[str, UInt8[np.ndarray, "height width 3"]]:
    """The thumbnails that an earlier run decoded, by content; nothing is decoded here, and no folder is made.

    Images with more than 8 bits a channel are not found, because their pixels depend on their set.
    """
    folder = cache_dir or default_cache_dir()
    if not (folder / FOLDER / cache_name(THUMBNAIL_SIZE)).is_dir():
        return {}
    cache = ArrayCache(folder, cache_name(THUMBNAIL_SIZE), (THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3))
    found = {content: cache.load(content) for content in contents}
    return {content: thumbnail for content, thumbnail in found.items() if thumbnail is not None}
