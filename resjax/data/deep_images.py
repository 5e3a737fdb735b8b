"""Images with more than 8 bits a channel: their values, the range that a set of them uses, and 8 bits made of it.

Pillow would clip such values or keep their high byte, whatever range they use. Here one range counts for all deep
images of a set, so that equal values stay equal: the smallest usual one that holds all values. Integers and
floating-point numbers have a range each.

So a set is measured first and decoded second. The range is part of the cache's key, of the data's fingerprint and of
the records.
"""

import sys
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile

from resjax.data.dataset import ValueRanges
from resjax.data.image_content import bits_per_channel, in_planes, open_image

INTEGER_BITS = (8, 10, 12, 14, 16)
"""Bits of the usual ranges of integers: from 0 to 2^bits - 1."""
USUAL_FLOATS = (1.0, *(2.0**bits - 1 for bits in INTEGER_BITS))
"""Upper ends of the usual ranges of floating-point numbers; the lower end is 0."""
LEAST_USED = 1 / 8
"""A usual range of which less is used does not count as the meant one."""
SLACK = 1e-6
"""How far floating-point numbers may leave a usual range, as a share of it: rounding errors."""
NATIVE = "16L" if sys.byteorder == "little" else "16B"
OTHER_BYTE = {"16B": "16L", "16L": "16B"}


class UsedRange(NamedTuple):
    """The least and the greatest value of an image."""

    is_float: bool
    low: float
    high: float

    def to_bytes(self) -> UInt8[np.ndarray, "24"]:
        """The range as an array for the cache."""
        return np.array(self, np.float64).view(np.uint8)

    @staticmethod
    def of_bytes(array: UInt8[np.ndarray, "24"]) -> "UsedRange":
        """The range that `to_bytes` wrote."""
        is_float, low, high = array.view(np.float64).tolist()
        return UsedRange(bool(is_float), low, high)


def has_full_values(image: Image.Image, data: bytes) -> bool:
    """Whether `deep_values` gives the values of this image, which must not be loaded yet."""
    return image.mode[0] in "IF" or (bits_per_channel(image, data) == 16 and _low_byte_tiles(image) is not None)


def deep_values(image: Image.Image, data: bytes) -> np.ndarray | None:
    """The full values of an image with more than 8 bits a channel, (height, width) or (height, width, channel).

    None for other images, and for kinds whose low byte Pillow does not read (16-bit grey with alpha, 16-bit CMYK).
    """
    if not has_full_values(image, data):
        return None
    if image.mode[0] in "IF":
        return np.asarray(image)
    # Pillow reads one byte of each 16-bit channel, which byte by the raw mode: read both.
    with open_image(data) as other:
        assert isinstance(other, ImageFile.ImageFile)
        other.tile = _low_byte_tiles(other) or []
        low_bytes = np.asarray(other)
    return np.asarray(image).astype(np.uint16) << 8 | low_bytes


def _low_byte_tiles(image: Image.Image) -> list[ImageFile._Tile] | None:
    """What Pillow is to read of an image with 16 bits a channel, with the low bytes in place of the high ones."""
    if image.mode not in ("RGB", "RGBA") or not isinstance(image, ImageFile.ImageFile) or in_planes(image):
        return None
    tiles = []
    for tile in image.tile:
        raw, *rest = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        mode, _, depth = str(raw).partition(";")
        low = OTHER_BYTE.get(NATIVE if depth == "16N" else depth)
        if mode != image.mode or low is None:
            return None
        raw = f"{mode};{low}"
        tiles.append(tile._replace(args=(raw, *rest) if isinstance(tile.args, tuple) else raw))
    return tiles


def used_range(values: np.ndarray) -> UsedRange:
    """The range of an image's finite values; alpha, a fourth channel, does not count.

    Raises:
      ValueError: if no value is finite.
    """
    colours = values[..., :3] if values.ndim == 3 else values
    is_float = colours.dtype.kind == "f"
    if is_float:
        colours = colours[np.isfinite(colours)]
    if not colours.size:
        raise ValueError("all values are NaN or infinite")
    return UsedRange(is_float, float(colours.min()), float(colours.max()))


def common_ranges(used: Iterable[UsedRange]) -> ValueRanges:
    """The ranges that count for all deep images of a set.

    Each is the smallest usual range that holds all values of its kind of number. If there is none, or less than an
    eighth of it is used, it goes from the least to the greatest value.
    """
    ends: dict[bool, tuple[float, float]] = {}
    for is_float, low, high in used:
        lowest, highest = ends.get(is_float, (low, high))
        ends[is_float] = min(low, lowest), max(high, highest)
    chosen = {is_float: _usual(is_float, low, high) or (low, high) for is_float, (low, high) in ends.items()}
    return ValueRanges(integers=chosen.get(False), floats=chosen.get(True))


def _usual(is_float: bool, low: float, high: float) -> tuple[float, float] | None:
    for end in USUAL_FLOATS if is_float else USUAL_FLOATS[1:]:
        slack = SLACK * end if is_float else 0
        if -slack <= low and high <= end + slack:
            return (0.0, end) if high >= LEAST_USED * end else None
    return None


def to_eight_bits(values: np.ndarray, ranges: ValueRanges) -> Image.Image:
    """The values as an image of 8 bits a channel: the low end of the range is 0, the high end 255.

    Integers in a usual range keep their highest 8 bits, as Pillow does for 16-bit colours. Other values are scaled and
    rounded. Values outside the range take its ends, NaN the low end. Without a range for this kind of number it is that
    of the image itself. Of alpha the high byte is kept.
    """
    low, high = range_for(values, ranges)
    colours = values[..., :3] if values.ndim == 3 else values
    bits = [bits for bits in INTEGER_BITS if (low, high) == (0, 2**bits - 1)]
    if colours.dtype.kind != "f" and bits:
        eight = (colours.clip(0, int(high)) >> (bits[0] - 8)).astype(np.uint8)
    else:
        # float32 is exact for integers of 16 bits, and enough for floating-point numbers.
        exact = np.float64 if colours.dtype.kind != "f" and colours.dtype.itemsize > 2 else np.float32
        scaled = np.nan_to_num(colours.astype(exact), copy=False, nan=low, posinf=high, neginf=low)
        scaled -= low
        scaled *= 255 / (high - low) if high > low else 0
        eight = np.rint(scaled).clip(0, 255).astype(np.uint8)
    if values.ndim == 3 and values.shape[2] == 4:
        eight = np.concatenate([eight, (values[..., 3:] >> 8).astype(np.uint8)], axis=2)
    return Image.fromarray(eight)


def range_for(values: np.ndarray, ranges: ValueRanges) -> tuple[float, float]:
    """The range that counts for these values: that of their kind of number, or else that of the image itself."""
    known = ranges.floats if values.dtype.kind == "f" else ranges.integers
    if known is not None:
        return known
    own = common_ranges([used_range(values)])
    found = own.floats if values.dtype.kind == "f" else own.integers
    assert found is not None
    return found


def described_ranges(ranges: ValueRanges) -> str:
    """The ranges in words, such as `integers from 0 to 4,095`; empty if there are none."""
    words = []
    for kind, ends in (("integers", ranges.integers), ("floating-point numbers", ranges.floats)):
        if ends is None:
            continue
        low, high = (f"{end:,.0f}" if end == round(end) else f"{end:.6g}" for end in ends)
        is_usual = ends[0] == 0 and ends[1] in (USUAL_FLOATS if kind != "integers" else USUAL_FLOATS[1:])
        words.append(f"{kind} from {low} to {high}" + ("" if is_usual else " (the least and the greatest in the set)"))
    return " and ".join(words)


def cache_key(content: str, used: UsedRange, ranges: ValueRanges) -> str:
    """The name of a deep image's pixels in the cache, which depend on the range."""
    ends = ranges.floats if used.is_float else ranges.integers
    assert ends is not None
    return f"{content}-{ends[0]!r}-{ends[1]!r}"
