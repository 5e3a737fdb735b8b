"""What is no image that can be read is named by its bytes, in the same words by everything that reads images."""

import base64
import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageFile, UnidentifiedImageError

from resjax.data.decoding import decode, decode_files
from resjax.data.findings import examine
from resjax.data.image_content import name_content, open_image
from resjax.data.one_image import decode_image
from tests.made_files import SIZE, catalogue_of, pngs

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
HEIC = b"\x00\x00\x00\x1cftypheic\x00\x00\x00\x00mif1heicmiaf" + bytes(40)
CONTENTS = {
    "HEIC": HEIC,
    "HEIC ": b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic" + bytes(40),
    "AVIF": b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avifmiaf" + bytes(40),
    "SVG": b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg xmlns="http://www.w3.org/2000/svg"></svg>',
    "HTML": b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>",
    "HTML ": b"<HTML><BODY>Access denied <svg/></BODY></HTML>",
    "Git LFS": POINTER,
    "git-annex": b"/annex/objects/SHA256E-s1024--4d7a.jpg\n",
    "empty": b"",
    "zero bytes": bytes(3000),
    "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj",
    "video": b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + bytes(40),
    "video ": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01",
    "video  ": b"RIFF\x00\x10\x00\x00AVI LIST" + bytes(40),
    "video   ": b"\x00\x00\x01\xba\x44\x00\x04\x00" + bytes(40),
    "JPEG XL": b"\xff\x0a\xfa\x1f\x41\x91",
    "ZIP": b"PK\x03\x04\x14\x00\x00\x00\x08\x00",
    "text": "no image, só words".encode(),
    "known": b"\x07\x01\xfe\xfd\x80\x81 nothing that anybody knows",
}
# A TIFF of 3 x 2 pixels with 16 bits a channel, each channel in a plane of its own.
PLANES = (
    "SUkqAAgAAAANAAABBAABAAAAAwAAAAEBBAABAAAAAgAAAAIBAwADAAAAqgAAAAMBAwABAAAAAQAAAAYBAwABAAAAAgAAABEBBAADAAAAsAAA"
    "ABUBAwABAAAAAwAAABYBBAABAAAAAgAAABcBAwADAAAAvAAAABoBBQABAAAAwgAAABsBBQABAAAAygAAABwBAwABAAAAAgAAACgBAwABAAAA"
    "AQAAAAAAAAAQABAAEADgAAAA7AAAAPgAAAAMAAwADAABAAAAAQAAAAEAAAABAAAAAAAAAAAAAAAAAAAAAAAAALgLcBcoI+AumDpQRghSwF14"
    "aTB16ICgjFiYEKTIr4C7OMc="
)


@pytest.mark.parametrize("kind", CONTENTS)
def test_what_is_no_image_is_named_in_the_same_words_by_audit_comparison_and_prediction(kind, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    good = pngs(2)
    (audited,) = examine(CONTENTS[kind], "photo.jpg", whole=True)
    dataset = decode(catalogue_of(*good, CONTENTS[kind]), SIZE, cache_dir=tmp_path)
    (tmp_path / "photo.jpg").write_bytes(CONTENTS[kind])
    (predicted,) = decode_files([tmp_path / "photo.jpg"], SIZE)
    assert kind.strip() in predicted
    assert audited == ("unreadable", predicted) and dataset.exclusions[0].detail == predicted


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF"])
def test_a_damaged_image_is_not_called_text(kind):
    file = io.BytesIO()
    Image.new("RGB", (9, 9)).save(file, kind)
    assert name_content(file.getvalue()[:12]) != "a text file"


def test_a_text_that_is_cut_within_a_letter_is_a_text():
    assert name_content(("a" * 1023 + "é" * 10).encode()) == "a text file"


def test_heic_is_read_through_pillow_heif(monkeypatch):
    class Stub(ImageFile.ImageFile):
        format = "HEIF"

        def _open(self):
            assert self.fp.read() == HEIC
            self._size, self._mode = (20, 10), "RGB"

        def load(self):
            self.im = Image.new("RGB", self.size, (9, 99, 199)).im
            return super(ImageFile.ImageFile, self).load()

    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(HeifImageFile=Stub))
    assert (decode_image(HEIC, SIZE) == (9, 99, 199)).all()
    # The suffix of a phone's file is no finding, that of another format is.
    assert examine(HEIC, "photo.heic", whole=True) == [("tiny", "20 x 10 pixels")]
    assert [kind for kind, _ in examine(HEIC, "photo.jpg", whole=True)] == ["wrongly named", "tiny"]


def test_a_real_heic_has_the_right_pixels():
    pillow_heif = pytest.importorskip("pillow_heif")
    image = Image.new("RGB", (64, 48), (200, 30, 60))
    file = io.BytesIO()
    try:
        pillow_heif.from_pillow(image).save(file, quality=90)
    except RuntimeError:
        pytest.skip("this pillow-heif does not write")
    assert np.abs(decode_image(file.getvalue(), SIZE).astype(int) - (200, 30, 60)).max() < 8


def test_16_bit_planes_that_pillow_would_mix_up_are_refused():
    with pytest.raises(UnidentifiedImageError, match="planes"):
        open_image(base64.b64decode(PLANES))
