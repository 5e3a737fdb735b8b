"""Images of every kind become the right pixels, and damage is reported."""

import io
import threading

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from resjax.data import decoding, one_image
from resjax.data.decoding import THUMBNAIL_SIZE, decode
from resjax.data.one_image import decode_image
from resjax.data.sources.opening import Catalogue
from resjax.errors import BadInput
from tests.made_files import SIZE, catalogue_of, photograph, pixels_of, pngs, saved


def plain_resize(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_the_format_is_read_from_the_bytes(kind):
    data = saved(Image.fromarray(photograph()), kind)
    np.testing.assert_array_equal(decode_image(data, SIZE), plain_resize(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("orientation", range(0, 10))
def test_an_image_is_turned_upright_as_its_exif_says(orientation):
    image = Image.fromarray(photograph())
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = saved(image, "PNG", exif=exif)
    expected = plain_resize(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(decode_image(data, SIZE), expected)
    assert np.array_equal(expected, plain_resize(image)) == (orientation not in range(2, 9))


def test_damaged_exif_does_not_spoil_sound_pixels():
    image = Image.fromarray(photograph())
    data = saved(image, "PNG", exif=b"Exif\x00\x00no TIFF header at all")
    np.testing.assert_array_equal(decode_image(data, SIZE), plain_resize(image))


def test_grey_becomes_equal_channels():
    image = Image.fromarray(photograph()).convert("L")
    pixels = decode_image(saved(image, "PNG"), SIZE)
    assert pixels.shape == (SIZE, SIZE, 3) and (np.ptp(pixels, axis=2) == 0).all()
    np.testing.assert_array_equal(pixels, plain_resize(image))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey_keep_their_range(kind):
    values = np.linspace(0, 2**16 - 1, SIZE * SIZE).astype(np.uint16).reshape(SIZE, SIZE)
    pixels = decode_image(saved(Image.fromarray(values), kind), SIZE)
    np.testing.assert_array_equal(pixels[..., 0], values >> 8)


def test_cmyk_becomes_rgb():
    data = saved(Image.fromarray(photograph()).convert("CMYK"), "JPEG")
    np.testing.assert_array_equal(decode_image(data, SIZE), plain_resize(Image.open(io.BytesIO(data))))
    assert np.abs(decode_image(data, SIZE).astype(int) - plain_resize(Image.fromarray(photograph()))).mean() < 8


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_become_white(mode):
    image = Image.fromarray(photograph()).convert(mode)
    image.putalpha(0)
    assert (decode_image(saved(image, "PNG"), SIZE) == 255).all()
    image.putalpha(255)
    np.testing.assert_array_equal(decode_image(saved(image, "PNG"), SIZE), plain_resize(image))


def test_half_transparent_is_half_way_to_white():
    image = Image.new("RGBA", (SIZE, SIZE), (0, 100, 200, 128))
    # 255 - 128 / 255 * (255 - colour)
    np.testing.assert_allclose(decode_image(saved(image, "PNG"), SIZE)[0, 0], [127, 177, 227], atol=1)


def test_the_transparent_colour_of_a_palette_becomes_white():
    image = Image.new("P", (SIZE, SIZE), 1)
    image.putpalette([9, 9, 9, 200, 30, 60])
    image.paste(0, (0, 0, SIZE // 2, SIZE))
    pixels = decode_image(saved(image, "PNG", transparency=0), SIZE)
    assert (pixels[:, : SIZE // 2] == 255).all() and (pixels[:, SIZE // 2 :] == (200, 30, 60)).all()


def test_of_an_animation_the_first_image_counts():
    frames = [Image.new("RGB", (SIZE, SIZE), colour) for colour in ("red", "blue")]
    assert (decode_image(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]), SIZE) == (255, 0, 0)).all()


def test_a_huge_jpeg_is_reduced_while_decoding_without_visible_change(monkeypatch):
    data = saved(Image.fromarray(photograph(0, 800, 1040)), "JPEG", quality=95)
    whole = decode_image(data, SIZE).astype(int)
    monkeypatch.setattr(one_image, "DRAFT_PIXELS", 1000)
    assert np.abs(decode_image(data, SIZE) - whole).max() <= 2


def test_what_cannot_be_read_is_listed_and_the_rest_goes_on(tmp_path):
    good = pngs(2)
    jpeg = saved(Image.fromarray(photograph(7, 200, 200)), "JPEG")
    damaged = [jpeg[: len(jpeg) // 2], b"", b"just text", good[0][:60], good[0][:60]]
    dataset = decode(catalogue_of(good[0], *damaged, good[1], labels=[0] * 6 + [1]), SIZE, cache_dir=tmp_path)
    assert dataset.ids == ("00.jpg", "06.jpg") and dataset.labels.tolist() == [0, 1]
    for image, data in zip(pixels_of(dataset), good, strict=True):
        np.testing.assert_array_equal(image, decode_image(data, SIZE))
    assert [exclusion.id for exclusion in dataset.exclusions] == [f"{index:02}.jpg" for index in range(1, 6)]
    for exclusion in dataset.exclusions:
        assert exclusion.reason == "unreadable" and exclusion.detail
        assert "\n" not in exclusion.detail and "0x" not in exclusion.detail


def test_an_image_of_too_many_pixels_is_unreadable_and_pillow_does_not_warn(tmp_path, monkeypatch):
    monkeypatch.setattr(one_image, "MAX_PIXELS", 2000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1800)
    big, small = (saved(Image.fromarray(photograph(0, 40, width)), "PNG") for width in (52, 40))
    near = saved(Image.fromarray(photograph(0, 40, 48)), "PNG")
    dataset = decode(catalogue_of(big, small, near), SIZE, cache_dir=tmp_path)
    assert dataset.ids == ("01.jpg", "02.jpg") and "52 x 40" in dataset.exclusions[0].detail


def test_a_file_that_vanished_is_unreadable(tmp_path):
    def read(image: int) -> bytes:
        return (tmp_path / "gone").read_bytes() if image == 0 else files[image]

    files = pngs(3)
    catalogue = catalogue_of(*files)
    dataset = decode(Catalogue(**{**vars(catalogue), "read": read}), SIZE, cache_dir=tmp_path)
    assert dataset.ids == ("01.jpg", "02.jpg")
    assert (dataset.exclusions[0].id, dataset.exclusions[0].reason) == ("00.jpg", "unreadable")


def test_every_class_needs_a_readable_image(tmp_path):
    with pytest.raises(BadInput, match="class 'y': none of its 2 images can be read, such as 01.jpg") as refused:
        decode(catalogue_of(*pngs(1), b"", *pngs(1), b"text"), SIZE, cache_dir=tmp_path)
    assert "\n" not in str(refused.value)


def test_the_same_bytes_make_one_group_and_are_decoded_once(tmp_path):
    one, two, three = pngs(3)
    dataset = decode(catalogue_of(one, two, one, three, one), SIZE, cache_dir=tmp_path)
    assert dataset.details == {"decoded": 3, "cached": 0}
    first, second, again, third, once_more = dataset.groups.tolist()
    assert first == again == once_more and len({first, second, third}) == 3
    assert dataset.contents[0] == dataset.contents[2] != dataset.contents[1]
    first, again, third = dataset.images[np.array([0, 2, 3])]
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(third, decode_image(three, SIZE))


def test_thumbnails_come_from_the_same_decoding_and_do_not_depend_on_the_image_size(tmp_path):
    files = pngs(3)
    catalogue = Catalogue(**{**vars(catalogue_of(*files)), "has_near_duplicates": True})
    small, large = (decode(catalogue, size, cache_dir=tmp_path / str(size)) for size in (SIZE, 100))
    rows = np.arange(3)
    np.testing.assert_array_equal(small.thumbnails[rows], large.thumbnails[rows])
    np.testing.assert_array_equal(small.thumbnails[rows], [decode_image(data, THUMBNAIL_SIZE) for data in files])
    assert small.details["decoded"] == 3
    assert decode(catalogue, SIZE, cache_dir=tmp_path / str(SIZE)).details["decoded"] == 0
    assert decode(catalogue_of(*files), SIZE, cache_dir=tmp_path / str(SIZE)).thumbnails is None


def test_no_more_images_are_held_than_there_are_workers(tmp_path, monkeypatch):
    held, most = 0, 0
    lock = threading.Lock()
    decode_or_measure = decoding.decode_or_measure

    def counted(data, sizes):
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        pixels = decode_or_measure(data, sizes)
        with lock:
            held -= 1
        return pixels

    monkeypatch.setattr(decoding, "decode_or_measure", counted)
    monkeypatch.setattr(decoding, "WINDOW", 5)
    dataset = decode(catalogue_of(*pngs(17)), SIZE, cache_dir=tmp_path, workers=3)
    assert len(dataset.ids) == 17 and 1 <= most <= 3
