"""Opens the bytes of an image file, or names what they are where they are no image that can be read."""

import io
import re

from PIL import Image, UnidentifiedImageError, features

HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
"""The brands of HEIF files in their `ftyp` box (ISO/IEC 23008-12, annex B); the last two are those of AVIF, too."""
AVIF_BRANDS = {b"avif", b"avis"}
PLANES = 284
"""Tag number of TIFF's PlanarConfiguration (TIFF 6.0, page 38); 2 means that each channel has a plane of its own."""
BITS_PER_SAMPLE = 258
"""Tag number (TIFF 6.0, page 29)."""
TEXT_BYTES = 1024
"""A page, a drawing or a pointer shows itself within so many bytes."""

# Pillow names what it reads. No library that we know names the rest: pointers, pages and cut files are not formats.
SIGNATURES = (
    (0, b"%PDF-", "a PDF document"),
    (0, b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (8, b"AVI ", "a video (AVI)"),
    (0, b"\x00\x00\x01\xba", "a video (MPEG)"),
    (0, b"\x00\x00\x01\xb3", "a video (MPEG)"),
    (0, b"FLV\x01", "a video (Flash)"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "a video (Windows Media)"),
    (4, b"moov", "a video (QuickTime)"),
    (4, b"mdat", "a video (QuickTime)"),
    (8, b"crx ", "a camera's raw file (CR3)"),
    (0, b"\xff\x0a", "a JPEG XL image, which Pillow does not read"),
    (4, b"JXL ", "a JPEG XL image, which Pillow does not read"),
    (4, b"ftyp", "a video (MP4 or QuickTime)"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"II*\x00", "a TIFF image with samples that Pillow does not read, or a damaged one"),
    (0, b"MM\x00*", "a TIFF image with samples that Pillow does not read, or a damaged one"),
    (0, b"\xff\xd8\xff", "a damaged JPEG image"),
    (0, b"\x89PNG", "a damaged PNG image"),
)
"""Place, bytes and name; the first that fits counts."""
TEXTS = (
    (re.compile(rb"version https://git-lfs"), "a Git LFS pointer: `git lfs pull` fetches the image"),
    (re.compile(rb"\S*/annex/objects/"), "a git-annex pointer: `git annex get` fetches the image"),
    (re.compile(rb"(?is).*?<(!doctype html|html|head|body)\b"), "an HTML page"),
    (re.compile(rb"(?is).*?<svg\b"), "an SVG drawing"),
)
"""How a text begins, and its name."""


def open_image(data: bytes) -> Image.Image:
    """The image of a file's bytes, with its header read and its pixels not yet.

    HEIC is read where pillow-heif is installed.

    Raises:
      UnidentifiedImageError: for what cannot be read; its text says what the bytes are.
      Exception: any type that Pillow raises, if the header is damaged.
    """
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        if _brands(data) & HEIF_BRANDS and not _brands(data) & AVIF_BRANDS:
            return _open_heif(data)
        raise UnidentifiedImageError(name_content(data)) from None
    if image.format == "EPS":
        raise UnidentifiedImageError("an EPS file is a program and is not run")
    if image.format == "MPEG":
        raise UnidentifiedImageError(name_content(data))
    if in_planes(image) and bits_per_channel(image, data) > 8 and image.tile[0].codec_name == "raw":
        # Pillow would take every byte for a pixel.
        raise UnidentifiedImageError("a TIFF image with planes of 16 bits, which Pillow does not read")
    return image


def bits_per_channel(image: Image.Image, data: bytes) -> int:
    """Bits of a channel. Pillow's mode tells them for grey images only; for colours the header does."""
    if image.format == "PNG":
        return data[24]
    if image.format == "TIFF":
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (8,)))  # pyright: ignore[reportAttributeAccessIssue]
    return 16 if image.mode[0] in "IF" else 8


def in_planes(image: Image.Image) -> bool:
    """Whether each channel lies in a plane of its own, as in some TIFF images."""
    return image.format == "TIFF" and image.tag_v2.get(PLANES) == 2  # pyright: ignore[reportAttributeAccessIssue]


def name_content(data: bytes) -> str:
    """What the bytes are that Pillow does not read, in a few words that are the same for all files of a kind."""
    if not data:
        return "an empty file"
    if data.count(0) == len(data):
        return "a file of zero bytes only"
    if _brands(data) & AVIF_BRANDS:
        return "a damaged AVIF image" if features.check("avif") else "an AVIF image, which needs Pillow 11.3 or newer"
    for place, signature, name in SIGNATURES:
        if data[place : place + len(signature)] == signature:
            return name
    beginning = data[:TEXT_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, name in TEXTS:
        if pattern.match(beginning):
            return name
    try:
        # A character of up to four bytes may be cut off at the end.
        text = data[:TEXT_BYTES].decode("utf-8", "strict" if len(data) <= TEXT_BYTES else "ignore")
    except UnicodeDecodeError:
        text = "\0"
    return (
        "a text file"
        if all(letter.isprintable() or letter.isspace() for letter in text)
        else "not a known image format"
    )


def _brands(data: bytes) -> set[bytes]:
    """The brands of an ISO media file (ISO/IEC 14496-12): those of HEIC, AVIF and MP4; empty for other files."""
    if data[4:8] != b"ftyp":
        return set()
    box = data[8 : min(int.from_bytes(data[:4], "big"), TEXT_BYTES)]
    # The second four bytes are a version.
    return {box[place : place + 4] for place in range(0, len(box), 4) if place != 4}


def _open_heif(data: bytes) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UnidentifiedImageError("a HEIC image, which needs pillow-heif (pip install 'resjax[heif]')") from None
    return HeifImageFile(io.BytesIO(data))
