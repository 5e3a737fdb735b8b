"""The cache gives back what was decoded, mends what is damaged, and keeps to its limit."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from resjax.data import cache, decoding
from resjax.data.decoding import decode
from resjax.data.one_image import decode_image
from resjax.data.sources.opening import Catalogue, open_catalogue
from resjax.errors import BadInput
from tests.made_files import SIZE, catalogue_of, pixels_of, pngs


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
    with pytest.raises(BadInput, match=pack.name):
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
