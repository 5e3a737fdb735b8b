"""What is odd about a file is found in its bytes, under a fixed phrase that says what becomes of it."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from resjax.data.findings import KINDS, examine, find
from resjax.data.sources.opening import Catalogue


def picture(mode: str = "RGB", size: tuple[int, int] = (40, 48)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_of(width: int, height: int, *, depth: int = 8) -> bytes:
    """A PNG of colours that says what size it has, with hardly any pixels behind it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    rows = zlib.compress(bytes((1 + 3 * depth // 8 * width) * min(height, 64)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


FILES = {
    "unreadable": ("text.jpg", b"no image at all"),
    "truncated": ("half.jpg", encoded(picture(), "JPEG")[:700]),
    "enormous": ("bomb.png", png_of(30_000, 30_000)),
    "wrongly named": ("really.jpg", encoded(picture(), "WEBP")),
    "animated": ("moves.gif", encoded(picture(), "GIF", save_all=True, append_images=[picture("L")])),
    "CMYK": ("print.jpg", encoded(picture("CMYK"), "JPEG")),
    "more than 8 bits": ("deep.png", encoded(Image.fromarray(np.full((40, 40), 999, np.uint16)), "PNG")),
    "transparent": ("glass.png", encoded(picture("RGBA"), "PNG")),
    "turned by EXIF": ("phone.jpg", encoded(picture(), "JPEG", exif=exif(6))),
    "tiny": ("dot.png", encoded(picture(size=(31, 200)), "PNG")),
}


def kinds(name: str, data: bytes) -> list[str]:
    return [kind for kind, _ in examine(data, name, whole=True)]


@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_and_no_other(kind):
    assert kinds(*FILES[kind]) == [kind]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jpg", encoded(picture(), "JPEG")),
        ("a.JPEG", encoded(picture("L"), "JPEG", exif=exif(1))),
        ("a.png", encoded(picture("P"), "PNG")),
        ("without_suffix", encoded(picture(), "PNG")),
        ("a.tif", encoded(picture(), "TIFF")),
        ("preview.jpg", encoded(picture(), "MPO", save_all=True, append_images=[picture()])),
    ],
)
def test_a_sound_file_has_no_finding(name, data):
    assert kinds(name, data) == []


def test_sixteen_bits_of_colour_and_an_empty_file_are_told():
    assert kinds("deep.png", png_of(40, 40, depth=16)) == ["more than 8 bits"]
    assert examine(b"", "a.png", whole=False) == [("unreadable", "an empty file")]


def test_a_postscript_file_is_not_run():
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\n(x) run\n%%EOF\n"
    assert kinds("a.eps", program) == ["unreadable"]


def test_findings_come_in_the_order_of_the_catalogue_with_what_cannot_be_opened():
    files = {name: data for name, data in FILES.values()}

    def read(image: int) -> bytes:
        if image == 0:
            raise PermissionError(13, "Permission denied")
        return files[ids[image]]

    ids = ("", *sorted(files))
    catalogue = Catalogue("made", ("x", "y"), ids, np.zeros(len(ids), np.int32), read)
    found = find(catalogue, {"half.jpg"}, workers=2)
    assert [finding.id for finding in found] == list(ids)
    assert found[0].reason == "unreadable" and found[0].detail == "Permission denied"
    assert {finding.reason for finding in found} == set(KINDS)
    # Only what the decoder left out is decoded again.
    assert "half.jpg" not in {finding.id for finding in find(catalogue, set(), workers=2)}
