"""One image file as pixels: upright, in RGB, resized."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image

from resjax.data.dataset import OWN_RANGE, ValueRanges
from resjax.data.deep_images import UsedRange, deep_values, to_eight_bits, used_range
from resjax.data.image_content import open_image

MAX_PIXELS = 178_000_000
"""A larger image is unreadable: it needs more than half a gigabyte, and may be a decompression bomb."""
DRAFT_PIXELS = 24_000_000
"""A larger JPEG is decoded at a half, a quarter or an eighth of its size, as far as that loses no detail."""
DRAFT_SIDE = 1536
"""The least height and width of such a reduced JPEG, or 4 x the image size if that is larger."""
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


def decode_image(data: bytes, image_size: int, ranges: ValueRanges = OWN_RANGE) -> UInt8[np.ndarray, "height width 3"]:
    """An image file as upright RGB pixels, resized to `image_size` x `image_size` whatever its aspect.

    The format is read from the bytes. Transparent parts become white; only the first image of an animation is used. The
    resize is Pillow's bilinear one with antialiasing, as in torchvision's `Resize` of Pillow images. More than 8 bits a
    channel are scaled to 8 by `ranges`, or by the image's own range if that has none.

    Raises:
      Exception: any type that Pillow raises, if the bytes are no image or a damaged one; ValueError for an image of
        more than `MAX_PIXELS`.
    """
    return decode_sizes(data, [image_size], ranges)[0]


def decode_sizes(
    data: bytes, sizes: Sequence[int], ranges: ValueRanges = OWN_RANGE
) -> list[UInt8[np.ndarray, "height width 3"]]:
    """The pixels that `decode_image` gives, for each of the sizes, with the file decoded once."""
    with _opened(data, sizes) as image:
        values = deep_values(image, data)
        eight = image if values is None else to_eight_bits(values, ranges)
        return _resized(eight, _orientation(image), sizes)


def decode_or_measure(data: bytes, sizes: Sequence[int]) -> list[UInt8[np.ndarray, "height width 3"]] | UsedRange:
    """The pixels as `decode_sizes`, or the used range of an image with more than 8 bits a channel."""
    with _opened(data, sizes) as image:
        values = deep_values(image, data)
        return _resized(image, _orientation(image), sizes) if values is None else used_range(values)


@contextlib.contextmanager
def _opened(data: bytes, sizes: Sequence[int]) -> Iterator[Image.Image]:
    with open_image(data) as image:
        pixels = image.width * image.height
        if pixels > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels, expected at most {MAX_PIXELS:,}")
        if pixels > DRAFT_PIXELS:
            side = max(DRAFT_SIDE, 4 * max(sizes))
            image.draft(None, (side, side))
        yield image


def _resized(image: Image.Image, orientation: int, sizes: Sequence[int]) -> list[UInt8[np.ndarray, "height width 3"]]:
    rgb = _to_rgb(image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image)
    return [np.asarray(rgb.resize((size, size), Image.Resampling.BILINEAR)) for size in sizes]


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Damaged metadata do not matter for the pixels.
        orientation = None
    return orientation if isinstance(orientation, int) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")
