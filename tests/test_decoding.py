"""Images of every kind become the right pixels, damage is reported, and the cache gives back what was decoded."""

import io
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from resjax.data import cache, decoding
from resjax.data.decoding import THUMBNAIL_SIZE, decode, decode_image
from resjax.data.sources import Catalogue, open_catalogue
from resjax.types import BadInput, Dataset

SIZE = 12


def photograph(seed: int = 0, height: int = 40, width: int = 52) -> np.ndarray:
    """Smooth colours that differ from corner to corner, so that a turned or mirrored image shows."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC))


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def plain_resize(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def catalogue_of(*files: bytes, labels: list[int] | None = None) -> Catalogue:
    return Catalogue(
        name="files",
        classes=("x", "y"),
        ids=tuple(f"{index:02}.jpg" for index in range(len(files))),
        labels=np.array(labels or [index % 2 for index in range(len(files))], np.int32),
        read=lambda image: files[image],
        has_near_copies=False,
    )


def pixels_of(dataset: Dataset) -> np.ndarray:
    return dataset.images[np.arange(len(dataset.images))]


def pngs(count: int) -> list[bytes]:
    return [saved(Image.fromarray(photograph(seed)), "PNG") for seed in range(count)]


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
    monkeypatch.setattr(decoding, "DRAFT_PIXELS", 1000)
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
    monkeypatch.setattr(decoding, "MAX_PIXELS", 2000)
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


@pytest.mark.parametrize("workers", [1, 8])
def test_the_number_of_workers_and_packs_changes_nothing(workers, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "PACK_BYTES", 5 * 3 * SIZE**2)
    files = pngs(12)
    files += files[:6]
    for _ in range(2):
        dataset = decode(catalogue_of(*files), SIZE, cache_dir=tmp_path, workers=workers)
        np.testing.assert_array_equal(pixels_of(dataset), [decode_image(data, SIZE) for data in files])
    assert len(list(tmp_path.rglob("*.npy"))) == 3 and not list(tmp_path.rglob("*.tmp"))


def test_the_second_run_decodes_nothing_and_a_later_one_only_what_is_new(tmp_path):
    files = pngs(5)
    first = decode(catalogue_of(*files[:3]), SIZE, cache_dir=tmp_path)
    second = decode(catalogue_of(*files[:3]), SIZE, cache_dir=tmp_path)
    assert second.details == {"decoded": 0, "cached": 3}
    np.testing.assert_array_equal(pixels_of(first), pixels_of(second))
    third = decode(catalogue_of(*reversed(files)), SIZE, cache_dir=tmp_path)
    assert third.details == {"decoded": 2, "cached": 3}
    np.testing.assert_array_equal(pixels_of(third)[::-1][:3], pixels_of(first))


def test_each_size_has_a_cache_of_its_own(tmp_path):
    files = pngs(2)
    decode(catalogue_of(*files), SIZE, cache_dir=tmp_path)
    larger = decode(catalogue_of(*files), SIZE + 1, cache_dir=tmp_path)
    assert larger.details["decoded"] == 2 and larger.images.shape == (2, SIZE + 1, SIZE + 1, 3)


def test_a_source_that_names_its_contents_is_not_read_where_the_cache_has_them(tmp_path):
    first = decode(open_catalogue("synthetic:10", image_size=SIZE), SIZE, cache_dir=tmp_path)
    catalogue = open_catalogue("synthetic:10", image_size=SIZE)

    def read(image: int) -> bytes:
        raise AssertionError("drawn again")

    second = decode(Catalogue(**{**vars(catalogue), "read": read}), SIZE, cache_dir=tmp_path)
    np.testing.assert_array_equal(pixels_of(first), pixels_of(second))
    assert first.contents == second.contents and second.details["decoded"] == 0


def damage_pixels(pack: Path) -> None:
    data = bytearray(pack.read_bytes())
    data[-5] ^= 1
    pack.write_bytes(data)


DAMAGE = {
    "a flipped bit": damage_pixels,
    "a truncated array": lambda pack: os.truncate(pack, pack.stat().st_size // 2),
    "an empty array": lambda pack: os.truncate(pack, 0),
    "a missing array": Path.unlink,
    "an index of another kind": lambda pack: pack.with_suffix(".json").write_text("[1, 2]"),
    "an index cut off": lambda pack: pack.with_suffix(".json").write_text('{"contents": ["a'),
    "an index of two lengths": lambda pack: pack.with_suffix(".json").write_text('{"contents": ["a"], "crc32": []}'),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_pack_is_set_aside_and_decoded_again(kind, tmp_path):
    files = pngs(3)
    before = pixels_of(decode(catalogue_of(*files), SIZE, cache_dir=tmp_path))
    (pack,) = tmp_path.rglob("*.npy")
    DAMAGE[kind](pack)
    again = decode(catalogue_of(*files), SIZE, cache_dir=tmp_path)
    np.testing.assert_array_equal(pixels_of(again), before)
    assert again.details["decoded"] >= 1 and list(tmp_path.rglob("*.json.damaged"))
    for _ in range(2):
        sound = decode(catalogue_of(*files), SIZE, cache_dir=tmp_path)
        np.testing.assert_array_equal(pixels_of(sound), before)
    assert sound.details["decoded"] == 0


def test_a_pack_that_is_damaged_while_in_use_is_named(tmp_path):
    dataset = decode(catalogue_of(*pngs(3)), SIZE, cache_dir=tmp_path)
    (pack,) = tmp_path.rglob("*.npy")
    damage_pixels(pack)
    with pytest.raises(BadInput, match="damaged while in use"):
        pixels_of(dataset)


def test_sound_images_of_a_damaged_pack_stay_readable_to_the_run_that_found_it(tmp_path):
    files = pngs(3)
    decode(catalogue_of(*files), SIZE, cache_dir=tmp_path, workers=1)
    (pack,) = tmp_path.rglob("*.npy")
    # The last image of the pack: the others are found sound before.
    damage_pixels(pack)
    dataset = decode(catalogue_of(*files), SIZE, cache_dir=tmp_path, workers=1)
    np.testing.assert_array_equal(pixels_of(dataset), [decode_image(data, SIZE) for data in files])
    assert dataset.details == {"decoded": 1, "cached": 2}


def test_an_interrupted_run_keeps_what_it_has_decoded(tmp_path):
    files = pngs(6)
    catalogue = catalogue_of(*files)

    def read(image: int) -> bytes:
        if image == 4:
            raise KeyboardInterrupt
        return files[image]

    with pytest.raises(KeyboardInterrupt):
        decode(Catalogue(**{**vars(catalogue), "read": read}), SIZE, cache_dir=tmp_path, workers=1)
    assert decode(catalogue, SIZE, cache_dir=tmp_path).details["decoded"] <= 2
    assert not list(tmp_path.rglob("*.tmp"))


def test_thumbnails_come_from_the_same_decoding_and_do_not_depend_on_the_image_size(tmp_path):
    files = pngs(3)
    catalogue = Catalogue(**{**vars(catalogue_of(*files)), "has_near_copies": True})
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
    decode_sizes = decoding.decode_sizes

    def counted(data, sizes):
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        pixels = decode_sizes(data, sizes)
        with lock:
            held -= 1
        return pixels

    monkeypatch.setattr(decoding, "decode_sizes", counted)
    monkeypatch.setattr(decoding, "WINDOW", 5)
    dataset = decode(catalogue_of(*pngs(17)), SIZE, cache_dir=tmp_path, workers=3)
    assert len(dataset.ids) == 17 and 1 <= most <= 3


def test_the_cache_keeps_to_its_limit_by_what_was_used_least_recently(tmp_path):
    def packs() -> int:
        return len(list(tmp_path.rglob("*.npy")))

    files = pngs(9)
    one_pack = 3 * 3 * SIZE**2 + 128
    for start in (0, 3, 6):
        decode(catalogue_of(*files[start : start + 3]), SIZE, cache_dir=tmp_path)
    for path in tmp_path.rglob("*.npy"):
        os.utime(path, (0, 0))
    decode(catalogue_of(*files[3:6]), SIZE, cache_dir=tmp_path)  # Used again: the last to go.
    assert packs() == 3
    decode(catalogue_of(*files[:3]), SIZE + 1, cache_dir=tmp_path, cache_bytes=2 * one_pack + 500)
    assert packs() == 2
    assert decode(catalogue_of(*files[3:6]), SIZE, cache_dir=tmp_path).details["decoded"] == 0
    assert decode(catalogue_of(*files[:3], *files[6:]), SIZE, cache_dir=tmp_path).details["decoded"] == 6


def test_images_in_use_stay_readable_whatever_the_limit_and_whoever_removes_them(tmp_path):
    files = pngs(6)
    dataset = decode(catalogue_of(*files[:3]), SIZE, cache_dir=tmp_path, cache_bytes=0)
    assert len(list(tmp_path.rglob("*.npy"))) == 1
    decode(catalogue_of(*files[3:]), SIZE, cache_dir=tmp_path, cache_bytes=0)
    assert len(list(tmp_path.rglob("*.npy"))) == 1
    np.testing.assert_array_equal(pixels_of(dataset), [decode_image(data, SIZE) for data in files[:3]])


def test_what_killed_runs_left_behind_is_removed_in_time(tmp_path):
    decode(catalogue_of(*pngs(2)), SIZE, cache_dir=tmp_path)
    (pack,) = tmp_path.rglob("*.npy")
    old, young, damaged = (pack.parent / name for name in (".a.npy.tmp", ".b.npy.tmp", "c.npy.damaged"))
    for path in (old, young, damaged):
        path.touch()
    for path in (old, damaged):
        os.utime(path, (0, 0))
    decode(catalogue_of(*pngs(2)), SIZE, cache_dir=tmp_path)
    assert not old.exists() and young.exists() and not damaged.exists() and pack.exists()


def test_an_array_without_its_index_does_not_count(tmp_path):
    files = pngs(2)
    decode(catalogue_of(*files), SIZE, cache_dir=tmp_path)
    (index,) = tmp_path.rglob("*.json")
    index.unlink()
    assert decode(catalogue_of(*files), SIZE, cache_dir=tmp_path).details["decoded"] == 2


def test_a_pack_is_an_array_that_numpy_maps_and_an_index_of_hashes(tmp_path):
    dataset = decode(catalogue_of(*pngs(3)), SIZE, cache_dir=tmp_path)
    (pack,) = tmp_path.rglob("*.npy")
    assert pack.parent == tmp_path / "decoded" / f"{decoding.FORMAT}-{SIZE}-bilinear"
    np.testing.assert_array_equal(np.sort(np.load(pack, mmap_mode="r"), 0), np.sort(pixels_of(dataset), 0))
    assert sorted(json.loads(pack.with_suffix(".json").read_text())["contents"]) == sorted(dataset.contents)


def test_two_runs_at_once_do_no_harm(tmp_path):
    files, results = pngs(6), []

    def run() -> None:
        results.append(pixels_of(decode(catalogue_of(*files), SIZE, cache_dir=tmp_path)))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.append(pixels_of(decode(catalogue_of(*files), SIZE, cache_dir=tmp_path)))
    for images in results:
        np.testing.assert_array_equal(images, results[0])
    assert len(results) == 3


def test_a_cache_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cache folder .*file.* cache_dir") as refused:
        decode(catalogue_of(*pngs(2)), SIZE, cache_dir=tmp_path / "file")
    assert "\n" not in str(refused.value)


def test_a_cache_that_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(BadInput, match="No space left on device"):
        decode(catalogue_of(*pngs(2)), SIZE, cache_dir=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_default_cache_lies_in_the_users_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    decode(catalogue_of(*pngs(2)), SIZE)
    assert list((tmp_path / "resjax" / "decoded").iterdir())
