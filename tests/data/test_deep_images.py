"""Images with more than 8 bits a channel become the picture that they show, all of a set by one range."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resjax.data import decoding
from resjax.data.dataset import ValueRanges
from resjax.data.decoding import decode, decode_files
from resjax.data.deep_images import common_ranges, deep_values, described_ranges, to_eight_bits, used_range
from resjax.data.one_image import decode_image
from resjax.data.sources.opening import Catalogue
from resjax.errors import BadInput
from tests.made_files import SIZE, catalogue_of, photograph, pixels_of, pngs, saved


def grey(seed: int = 0) -> np.ndarray:
    """A picture of 8 bits that uses all of them: at `SIZE`, so that nothing is resized."""
    values = np.asarray(Image.fromarray(photograph(seed, SIZE, SIZE)).convert("L")).astype(int)
    return np.rint(255 * (values - values.min()) / np.ptp(values)).astype(np.uint8)


def colour_png(values: np.ndarray) -> bytes:
    """A PNG of colours with 16 bits a channel, without or with alpha, which Pillow does not write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.tobytes() for row in values.astype(">u2"))
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def big_endian_tiff(values: np.ndarray) -> bytes:
    """As Pillow reads it in the mode I;16B."""
    file = io.BytesIO()
    Image.frombytes("I;16B", values.shape[::-1], values.astype(">u2").tobytes()).save(file, "TIFF")
    return file.getvalue()


# What people have: the values of an 8-bit picture in a deeper file, in parts of a wider range, and the same in colour.
KINDS = {
    "float TIFF from 0 to 1": lambda a: saved(Image.fromarray((a / 255).astype(np.float32)), "TIFF"),
    "float TIFF from 0 to 255": lambda a: saved(Image.fromarray(a.astype(np.float32)), "TIFF"),
    "float TIFF from 0 to 65535": lambda a: saved(Image.fromarray(257 * a.astype(np.float32)), "TIFF"),
    "8 bits in a 16-bit PNG": lambda a: saved(Image.fromarray(a.astype(np.uint16)), "PNG"),
    "12 bits in a 16-bit PNG": lambda a: saved(Image.fromarray(a.astype(np.uint16) << 4 | 15), "PNG"),
    "16 bits in a PNG": lambda a: saved(Image.fromarray(a.astype(np.uint16) << 8 | a), "PNG"),
    "10 bits in a TIFF": lambda a: saved(Image.fromarray(a.astype(np.uint16) << 2), "TIFF"),
    "big-endian TIFF": lambda a: big_endian_tiff(a.astype(np.uint16) << 6),
    "int32 TIFF from 0 to 255": lambda a: saved(Image.fromarray(a.astype(np.int32)), "TIFF"),
    "int32 TIFF from -1000 on": lambda a: saved(Image.fromarray(10 * a.astype(np.int32) - 1000), "TIFF"),
    "int32 TIFF far above 16 bits": lambda a: saved(Image.fromarray(10**6 * a.astype(np.int32)), "TIFF"),
    "12 bits of colour in a 16-bit PNG": lambda a: colour_png(np.stack([a.astype(np.uint16) << 4 | 15] * 3, -1)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_deep_image_becomes_the_same_pixels_as_its_8_bit_form(kind, tmp_path):
    pictures = [grey(seed) for seed in range(3)]
    dataset = decode(catalogue_of(*map(KINDS[kind], pictures)), SIZE, cache_dir=tmp_path)
    np.testing.assert_array_equal(pixels_of(dataset)[..., 0], pictures)
    assert dataset.ranges and not dataset.one_colour


def test_one_range_counts_for_the_whole_set_so_that_equal_values_stay_equal(tmp_path):
    bright, dark = grey().astype(np.uint16) << 4, grey().astype(np.uint16)
    dark[0, 0] = 255
    files = [saved(Image.fromarray(values), "PNG") for values in (bright, dark)]
    dataset = decode(catalogue_of(*files), SIZE, cache_dir=tmp_path)
    assert dataset.ranges == ValueRanges(integers=(0, 4095))
    np.testing.assert_array_equal(pixels_of(dataset)[..., 0], np.stack([bright, dark]) >> 4)
    assert "4,095" in described_ranges(dataset.ranges)


def test_integers_and_floating_point_numbers_of_a_set_have_a_range_each(tmp_path):
    files = [KINDS["float TIFF from 0 to 1"](grey(0)), KINDS["12 bits in a 16-bit PNG"](grey(1))]
    dataset = decode(catalogue_of(*files), SIZE, cache_dir=tmp_path)
    assert dataset.ranges == ValueRanges(integers=(0, 4095), floats=(0, 1))
    np.testing.assert_array_equal(pixels_of(dataset)[..., 0], [grey(0), grey(1)])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 200], np.uint16), (0, 255)),
        (np.array([0, 256], np.uint16), (0, 1023)),
        (np.array([0, 4095], np.int32), (0, 4095)),
        (np.array([5, 4096], np.uint16), (0, 2**14 - 1)),
        (np.array([0, 2**16 - 1], np.uint16), (0, 2**16 - 1)),
        (np.array([0, 1], np.uint16), (0, 1)),  # A mask.
        (np.array([0, 12], np.int32), (0, 12)),
        (np.array([-1024, 3071], np.int32), (-1024, 3071)),
        (np.array([0, 10**6], np.int32), (0, 10**6)),
        (np.array([0.1, 0.9], np.float32), (0, 1)),
        (np.array([-1e-8, 1 + 1e-7], np.float32), (0, 1)),
        (np.array([-0.5, 0.5], np.float32), (-0.5, 0.5)),
        (np.array([np.nan, 0, 250, np.inf], np.float32), (0, 255)),
    ],
)
def test_the_range_is_the_smallest_usual_one_and_otherwise_what_is_used(values, expected):
    ranges = common_ranges([used_range(values)])
    assert (ranges.floats if values.dtype.kind == "f" else ranges.integers) == expected


def test_values_outside_the_range_take_its_ends_and_nan_the_low_one():
    values = np.array([[-1, 0, 0.5, 1, 2, np.nan, np.inf, -np.inf]], np.float32)
    pixels = np.asarray(to_eight_bits(values, ValueRanges(floats=(0, 1))))
    np.testing.assert_array_equal(pixels, [[0, 0, 128, 255, 255, 0, 255, 0]])
    with pytest.raises(ValueError):
        used_range(np.full((2, 2), np.nan, np.float32))


@pytest.mark.parametrize("channels", [3, 4])
def test_both_bytes_of_16_bit_colours_are_read(channels):
    values = np.random.default_rng(0).integers(0, 2**16, (5, 7, channels)).astype(np.uint16)
    data = colour_png(values)
    np.testing.assert_array_equal(deep_values(Image.open(io.BytesIO(data)), data), values)


def test_alpha_of_16_bits_does_not_count_for_the_range_and_is_drawn_on_white():
    values = np.full((SIZE, SIZE, 4), 4095, np.uint16)
    values[:, : SIZE // 2, 3] = 0
    values[:, SIZE // 2 :] = (0, 0, 4095, 2**16 - 1)
    pixels = decode_image(colour_png(values), SIZE)
    assert (pixels[:, : SIZE // 2] == 255).all() and (pixels[:, SIZE // 2 :] == (0, 0, 255)).all()


def test_images_of_8_bits_beside_deep_ones_stay_bit_for_bit(tmp_path):
    files = pngs(3)
    dataset = decode(catalogue_of(*files, KINDS["float TIFF from 0 to 1"](grey())), SIZE, cache_dir=tmp_path)
    np.testing.assert_array_equal(pixels_of(dataset)[:3], [decode_image(data, SIZE) for data in files])
    assert not decode(catalogue_of(*files), SIZE, cache_dir=tmp_path).ranges


def test_the_cache_knows_the_range_and_decodes_nothing_twice(tmp_path, monkeypatch):
    low, high = (KINDS[kind](grey(seed)) for seed, kind in enumerate(("8 bits in a 16-bit PNG", "16 bits in a PNG")))
    plain = pngs(1)[0]
    alone = decode(catalogue_of(low, plain), SIZE, cache_dir=tmp_path)
    # With another image the range is another one, and so are the pixels.
    both = decode(catalogue_of(low, high), SIZE, cache_dir=tmp_path)
    assert (pixels_of(both)[0] != pixels_of(alone)[0]).any()
    monkeypatch.setattr(decoding, "decode_sizes", lambda *_: pytest.fail("decoded again"))
    monkeypatch.setattr(decoding, "decode_or_measure", lambda *_: pytest.fail("decoded again"))
    again = decode(catalogue_of(low, plain), SIZE, cache_dir=tmp_path)
    np.testing.assert_array_equal(pixels_of(again), pixels_of(alone))
    assert again.ranges == alone.ranges and again.details == {"decoded": 0, "cached": 2}


def test_a_file_outside_of_the_set_is_scaled_by_the_given_range_or_says_that_it_has_its_own(tmp_path):
    path = Path(tmp_path / "a.png")
    path.write_bytes(saved(Image.fromarray(grey().astype(np.uint16)), "PNG"))
    told: list[Path] = []
    (scaled,) = decode_files([path], SIZE, ValueRanges(integers=(0, 1023)), on_own_range=told.append)
    np.testing.assert_array_equal(scaled[..., 0], grey() >> 2)
    assert not told
    (own,) = decode_files([path], SIZE, ValueRanges(floats=(0, 1)), on_own_range=told.append)
    np.testing.assert_array_equal(own[..., 0], grey())
    assert told == [path]


def searched(*files: bytes) -> Catalogue:
    return Catalogue(**{**vars(catalogue_of(*files)), "has_near_duplicates": True})


def flat(level: int) -> bytes:
    """A picture of nearly one colour."""
    noise = np.random.default_rng(level).integers(0, 6, (20, 20, 3))
    return saved(Image.fromarray((level + noise).astype(np.uint8)), "PNG")


def test_pictures_of_nearly_one_colour_are_listed_and_a_set_of_them_is_refused(tmp_path):
    dataset = decode(searched(*pngs(2), flat(0), flat(200)), SIZE, cache_dir=tmp_path)
    assert dataset.one_colour == ("02.jpg", "03.jpg") and len(dataset.ids) == 4
    # From the cache as when they were decoded.
    assert decode(searched(*pngs(2), flat(0), flat(200)), SIZE, cache_dir=tmp_path).one_colour == dataset.one_colour
    with pytest.raises(BadInput, match="3 of 5") as refused:
        decode(searched(*pngs(2), flat(0), flat(200), flat(90)), SIZE, cache_dir=tmp_path)
    assert "\n" not in str(refused.value)


def test_a_set_that_one_bright_value_turns_black_is_refused_with_its_range(tmp_path):
    # Values of 8 bits, with one of 16.
    values = [grey(seed).astype(np.uint16) for seed in range(4)]
    values[0][0, 0] = 2**16 - 1
    with pytest.raises(BadInput, match="65,535"):
        decode(searched(*(saved(Image.fromarray(each), "PNG") for each in values)), SIZE, cache_dir=tmp_path)
