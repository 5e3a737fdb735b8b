"""Finds near-duplicates: pictures that were re-encoded, rescaled, cropped a little, mirrored or recoloured.

Three comparisons of small thumbnails decide. The first is cheap and loose: a perceptual hash by imagehash (pHash: C.
Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010, section 3.2.1) selects the pairs that
are worth the second. The second is the correlation of the fine detail alone, under each of the expected crops:
different photographs of the same kind of thing agree in their large shapes; only copies agree in their detail. The
third asks whether the pair is more alike than chance makes pictures of this set (`verification`). `python -m
experiments.studies.near_duplicates` measures them.
"""

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float16, Float32, Int, Int32, UInt8, UInt64

from resjax.data.cache import ArrayCache, default_cache_dir
from resjax.data.dataset import Pixels
from resjax.data.duplicates.background import LEAST_PICTURES, MOST_COPIES
from resjax.data.duplicates.detail import GREY, WINDOWS, blurred, resampling
from resjax.data.duplicates.verification import links_that_stand_out
from resjax.errors import BadInput
from resjax.terminal import track

VERSION = "pictures-v2"
"""Part of the cache's key; change it with anything that changes the groups."""

HASH_DISTANCE = 20
"""The most bits, of 64, in which the hashes of a picture and its copy differ. A crop of 5 % at one corner changes 12 to
20 bits; unrelated photographs differ in 32 on average."""
DETAIL = 0.75
"""The least correlation of detail between copies; different photographs stay below it."""
LONGEST_CHAIN = 2
"""Links between the picture of a group that has the most of them, and any other picture of the group."""

COMPARED_SIZE = 32
"""Pixels of height and width at which details are compared."""
BLUR = 2.0
"""Standard deviation in pixels of the Gaussian blur. Detail is what the blur removes, divided by its own local
strength, so that a frame or a dark object on a bright ground counts by its area alone."""
NOISE = 4.0
"""Grey levels, of 255: regions with fainter detail count less."""
FAINT = 0.1
"""The share of the pixels that must have detail: plain pictures are duplicates only if their bytes are equal."""
MARGIN = 3
"""Pixels along the border that are not compared: the blur sees only one side of them, and frames lie there."""
COMPARED_PIXELS = (COMPARED_SIZE - 2 * MARGIN) ** 2

PAIRS_AT_ONCE = 2**23
"""Pairs of hashes in memory at a time, 8 bytes each; this keeps memory linear in the number of pictures."""
ROWS_AT_ONCE = 256


class Fingerprints(NamedTuple):
    """What pictures are compared by, 1.4 kB per picture."""

    hashes: UInt64[np.ndarray, "image 2"]
    """The perceptual hash of the picture, and of its mirror image."""
    details: Float16[np.ndarray, "image pixel"]
    """The fine detail of the whole picture, with mean 0 and norm 1."""


def cached_near_duplicate_groups(
    thumbnails: Pixels, contents: Sequence[str], *, cache_dir: Path | None = None
) -> Int32[np.ndarray, " image"]:
    """`near_duplicate_groups`, cached beside the decoded images for the next run on the same contents.

    Args:
      thumbnails, contents: as for `near_duplicate_groups`.
      cache_dir: the folder of the cache; by default `resjax` in the user's cache folder.

    Raises:
      BadInput: if the cache cannot be written, or imagehash is not installed.
    """
    names, content_of = np.unique(np.asarray(contents), return_inverse=True)
    # One array with four bytes per content: the group numbers, contents in ascending order.
    cache = ArrayCache(cache_dir or default_cache_dir(), f"{VERSION}-{len(names)}", (4 * len(names),))
    key = hashlib.sha256("\n".join(names).encode()).hexdigest()
    stored = cache.load(key)
    if stored is not None:
        return stored.view(np.int32)[content_of.reshape(-1)]
    groups = near_duplicate_groups(thumbnails, contents)
    of_names = np.empty(len(names), np.int32)
    of_names[content_of.reshape(-1)] = groups
    cache.add(key, of_names.view(np.uint8))
    cache.flush()
    return groups


def near_duplicate_groups(thumbnails: Pixels, contents: Sequence[str]) -> Int32[np.ndarray, " image"]:
    """The duplicate group of each image: images with the same number are copies or near-duplicates of each other.

    A copy of a copy is in the same group; longer chains are parted. Groups are numbered by their contents in ascending
    order, so names and order of files have no influence. Time is quadratic in the number of distinct contents (one XOR
    per pair), memory linear.

    Args:
      thumbnails: (image, height, width, 3), uint8: whole pictures, each resized to the same square of about 64 pixels;
        read a few at a time.
      contents: equal for images with equal bytes, which are one picture whatever their thumbnails show.

    Raises:
      BadInput: if imagehash is not installed.
    """
    if find_spec("imagehash") is None:
        raise BadInput(
            "the search for near-duplicates needs imagehash, which is not installed: pip install imagehash, or use "
            "--nonear_copies to group only files with the same bytes"
        )
    _, distinct, content_of = np.unique(np.asarray(contents), return_index=True, return_inverse=True)
    prints = fingerprint(thumbnails, distinct)
    links = [np.empty((0, 2), np.int64)]
    step = int(np.clip(PAIRS_AT_ONCE // max(1, len(distinct)), 1, ROWS_AT_ONCE))
    starts = range(0, len(distinct), step)
    for start in track(starts, "comparing pictures"):
        rows = np.arange(start, min(start + step, len(distinct)))
        candidates = hash_distances(prints.hashes[rows], prints.hashes) <= HASH_DISTANCE
        candidates[np.arange(len(rows)), rows] = False
        links.append(_confirmed(thumbnails, distinct, prints, rows, candidates))
    pairs = np.unique(np.sort(np.concatenate(links), axis=1), axis=0)
    if len(distinct) >= LEAST_PICTURES:
        pairs = links_that_stand_out(thumbnails, distinct, pairs, DETAIL)
    return _in_order_of_appearance(connected(len(distinct), pairs))[content_of.reshape(-1)]


def fingerprint(thumbnails: Pixels, rows: Int[np.ndarray, " image"]) -> Fingerprints:
    """The hashes and details of the thumbnails with these numbers."""
    prints = Fingerprints(np.empty((len(rows), 2), np.uint64), np.empty((len(rows), COMPARED_PIXELS), np.float16))
    starts = range(0, len(rows), ROWS_AT_ONCE)
    for start in track(starts, "hashing pictures"):
        chunk = slice(start, start + ROWS_AT_ONCE)
        images = thumbnails[rows[chunk]]
        prints.hashes[chunk] = perceptual_hashes(images)
        whole = resampling(images.shape[1], WINDOWS[0], COMPARED_SIZE)
        prints.details[chunk] = _detail(whole @ (images @ GREY) @ whole.T)
    return prints


def perceptual_hashes(images: UInt8[np.ndarray, "image height width 3"]) -> UInt64[np.ndarray, "image 2"]:
    """The 64-bit pHash of each image and of its mirror image."""
    import imagehash
    from PIL import Image

    bits = [
        imagehash.phash(Image.fromarray(np.ascontiguousarray(view))).hash.reshape(64)
        for image in images
        for view in (image, image[:, ::-1])
    ]
    return np.packbits(np.array(bits, bool).reshape(-1, 64), axis=1).view(np.uint64).reshape(-1, 2)


def hash_distances(
    some: UInt64[np.ndarray, "some 2"], others: UInt64[np.ndarray, "other 2"]
) -> UInt8[np.ndarray, "some other"]:
    """The bits in which two pictures' hashes differ, with the second as it is or mirrored, whichever is less."""
    straight, mirrored = (np.bitwise_count(some[:, 0, None] ^ others[None, :, side]) for side in (0, 1))
    return np.minimum(straight, mirrored, out=straight)


def detail_under_crops(
    images: UInt8[np.ndarray, "image height width 3"],
) -> Float32[np.ndarray, "image view pixel"]:
    """The detail of each image under each of the expected crops, and of their mirror images."""
    windows = np.stack([resampling(images.shape[1], window, COMPARED_SIZE) for window in WINDOWS])
    rows = windows @ (images @ GREY)[:, None]
    crops = rows[:, :, None] @ windows.transpose(0, 2, 1)
    details = _detail(crops.reshape(len(images), len(WINDOWS) ** 2, COMPARED_SIZE, COMPARED_SIZE))
    inner = COMPARED_SIZE - 2 * MARGIN
    mirrored = details.reshape(*details.shape[:-1], inner, inner)[..., ::-1].reshape(details.shape)
    return np.concatenate([details, mirrored], axis=1)


def resemblance(
    some: UInt8[np.ndarray, "some height width 3"], others: UInt8[np.ndarray, "other height width 3"]
) -> tuple[UInt8[np.ndarray, "2 some other"], Float32[np.ndarray, "2 some other"]]:
    """The distance of hashes and the correlation of detail, of all pairs.

    The first axis is the direction: crops of `some` against whole `others`, then crops of `others` against whole
    `some`. A pair that passes both thresholds in either direction is a pair of copies.
    """
    first, second = (fingerprint(images, np.arange(len(images))) for images in (some, others))
    distances = hash_distances(first.hashes, second.hashes), hash_distances(second.hashes, first.hashes).T
    details = _best_views(some, second), _best_views(others, first).T
    return np.stack(distances), np.stack(details)


def _best_views(
    images: UInt8[np.ndarray, "some height width 3"], others: Fingerprints
) -> Float32[np.ndarray, "some other"]:
    details = others.details.astype(np.float32).T
    chunks = (images[start : start + ROWS_AT_ONCE] for start in range(0, len(images), ROWS_AT_ONCE))
    return np.stack([(views @ details).max(axis=0) for chunk in chunks for views in detail_under_crops(chunk)])


def _confirmed(
    thumbnails: Pixels,
    distinct: Int[np.ndarray, " picture"],
    prints: Fingerprints,
    rows: Int[np.ndarray, " row"],
    candidates: Bool[np.ndarray, "row picture"],
) -> Int[np.ndarray, "link 2"]:
    """The pairs of candidates whose detail agrees; of each row the most alike, up to `MOST_COPIES`.

    Every pair is compared in both directions: as a crop of the first picture, and in the row of the second picture as a
    crop of that one.
    """
    rows_with_some = np.flatnonzero(candidates.any(axis=1))
    links = [np.empty((0, 2), np.int64)]
    for row, views in zip(rows_with_some, detail_under_crops(thumbnails[distinct[rows[rows_with_some]]]), strict=True):
        others = np.flatnonzero(candidates[row])
        agreement = (views @ prints.details[others].astype(np.float32).T).max(axis=0)
        best = np.argsort(-agreement, kind="stable")[:MOST_COPIES]
        copies = others[best[agreement[best] >= DETAIL]]
        links.append(np.stack([np.full_like(copies, rows[row]), copies], axis=1))
    return np.concatenate(links)


def connected(count: int, links: Int[np.ndarray, "link 2"]) -> Int32[np.ndarray, " image"]:
    """The group of each picture: pictures within `LONGEST_CHAIN` links of the one that has the most."""
    partners: dict[int, set[int]] = {}
    for first, second in links.tolist():
        partners.setdefault(first, set()).add(second)
        partners.setdefault(second, set()).add(first)
    groups = np.arange(count, dtype=np.int32)
    free = set(partners)
    for centre in sorted(partners, key=lambda picture: (-len(partners[picture]), picture)):
        if centre in free:
            reached = {centre}
            for _ in range(LONGEST_CHAIN):
                reached |= free & set().union(*(partners[picture] for picture in reached))
            groups[list(reached)] = centre
            free -= reached
    return groups


def _in_order_of_appearance(numbers: Int32[np.ndarray, " image"]) -> Int32[np.ndarray, " image"]:
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first)).astype(np.int32)[inverse]


def _detail(images: Float32[np.ndarray, "... size size"]) -> Float32[np.ndarray, "... pixel"]:
    """The detail of grey images, with mean 0 and norm 1, or a smaller norm where there is hardly any detail."""
    detail = images - blurred(images, BLUR)
    detail /= np.sqrt(blurred(detail**2, BLUR) + NOISE**2)
    inner = detail[..., MARGIN:-MARGIN, MARGIN:-MARGIN].reshape(*images.shape[:-2], COMPARED_PIXELS)
    inner = inner - inner.mean(axis=-1, keepdims=True)
    return inner / np.sqrt((inner**2).sum(axis=-1, keepdims=True) + FAINT**2 * COMPARED_PIXELS)
