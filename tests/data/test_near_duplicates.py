"""Every way that copies come about is recognized, and different pictures are kept apart however alike they look."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from experiments.studies.near_duplicates import CHANGES, captioned, framed, plain_pictures, thumbnails
from resjax.data.duplicates import near_duplicates
from resjax.data.duplicates.near_duplicates import (
    cached_near_duplicate_groups,
    hash_distances,
    near_duplicate_groups,
    perceptual_hashes,
)
from resjax.data.synthetic import source as synthetic
from resjax.errors import BadInput

LOOKED_FOR = [name for name in CHANGES if "more than is looked for" not in name]


@pytest.fixture(scope="module")
def dishes() -> list[Image.Image]:
    """Eight drawn photographs of two kinds of dish."""
    return [Image.fromarray(synthetic.draw_dish(seed % 2, seed=seed, size=128)) for seed in range(8)]


def groups_of(images: list[Image.Image]) -> list[int]:
    return near_duplicate_groups(thumbnails(images), [f"{index:04}" for index in range(len(images))]).tolist()


@pytest.mark.parametrize("name", LOOKED_FOR)
def test_a_made_copy_is_found_and_nothing_else(name, dishes):
    rng = np.random.default_rng(1)
    copies = [CHANGES[name](dish, rng) for dish in dishes]
    assert groups_of(dishes + copies) == [*range(8), *range(8)]


def test_a_copy_of_a_copy_is_a_copy(dishes):
    rng = np.random.default_rng(0)
    half = CHANGES["scaled by 0.5"](dishes[0], rng)
    quarter = CHANGES["mirrored"](CHANGES["scaled by 0.5"](half, rng), rng)
    assert groups_of([dishes[0], quarter, dishes[1], half]) == [0, 0, 1, 0]


def test_different_drawings_of_one_dish_are_kept_apart():
    drawings = [Image.fromarray(synthetic.draw_dish(0, seed=seed, size=64)) for seed in range(40)]
    assert groups_of(drawings) == list(range(40))


@pytest.mark.parametrize("alike", [framed, captioned])
def test_one_frame_or_caption_makes_no_copies(alike, dishes):
    assert groups_of([alike(dish) for dish in dishes]) == list(range(8))


def test_plain_pictures_are_no_copies():
    flat = [Image.new("RGB", (64, 64), (level, level, level)) for level in (0, 100, 101, 255)]
    plain = plain_pictures(40)
    assert groups_of(plain + flat) == list(range(44))


def test_equal_bytes_are_one_picture_whatever_is_seen(dishes):
    seen = thumbnails([dishes[0], dishes[1], dishes[2]])
    assert near_duplicate_groups(seen, ["b", "a", "b"]).tolist() == [1, 0, 1]


def test_order_and_names_change_nothing(dishes):
    rng = np.random.default_rng(0)
    images = dishes + [CHANGES["JPEG quality 30"](dish, rng) for dish in dishes[:5]]
    seen, contents = thumbnails(images), np.array([f"{hash_:08x}" for hash_ in rng.permutation(13)])
    before = near_duplicate_groups(seen, contents)
    order = rng.permutation(13)
    assert np.array_equal(near_duplicate_groups(seen[order], contents[order]), before[order])
    # A group's number is the rank of its smallest content.
    smallest = [min(contents[before == group]) for group in range(before.max() + 1)]
    assert smallest == sorted(smallest)


def test_one_more_picture_parts_no_copies(dishes):
    rng = np.random.default_rng(0)
    images = dishes[:4] + [CHANGES["mirrored"](dish, rng) for dish in dishes[:4]]
    fewer, more = groups_of(images), groups_of([*images, dishes[5]])
    assert more[:-1] == fewer and more[-1] not in fewer


def test_groups_are_kept_for_the_same_contents_in_any_order(dishes, tmp_path, monkeypatch):
    seen = thumbnails([*dishes[:4], dishes[2].transpose(Image.Transpose.FLIP_LEFT_RIGHT)])
    contents = ["c", "a", "d", "b", "e"]
    first = cached_near_duplicate_groups(seen, contents, cache_dir=tmp_path)
    assert first.tolist() == near_duplicate_groups(seen, contents).tolist() and first[2] == first[4]
    monkeypatch.setattr(near_duplicates, "near_duplicate_groups", lambda *_, **__: pytest.fail("looked for again"))
    order = np.array([4, 2, 0, 1, 3, 2])
    again = cached_near_duplicate_groups(seen[order], [contents[image] for image in order], cache_dir=tmp_path)
    assert again.tolist() == first[order].tolist()


def test_without_imagehash_the_line_names_both_ways_out(dishes, monkeypatch):
    monkeypatch.setattr(near_duplicates, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="pip install imagehash.*--nonear_copies"):
        groups_of(dishes[:2])


def test_no_images_have_no_groups():
    assert near_duplicate_groups(np.empty((0, 64, 64, 3), np.uint8), []).shape == (0,)


def test_the_hash_is_that_of_imagehash_for_the_picture_and_its_mirror_image(dishes):
    import imagehash

    seen = thumbnails(dishes[:2])
    hashes = perceptual_hashes(seen)
    for image, both in zip(seen, hashes, strict=True):
        for view, found in zip((image, np.ascontiguousarray(image[:, ::-1])), both, strict=True):
            expected = np.packbits(imagehash.phash(Image.fromarray(view)).hash).view(np.uint64)[0]
            assert found == expected
    expected = imagehash.phash(Image.fromarray(seen[0])) - imagehash.phash(Image.fromarray(seen[1]))
    assert hash_distances(hashes, hashes)[0, 1] <= expected and hash_distances(hashes, hashes)[0, 0] == 0


def test_memory_grows_with_the_number_of_pictures_and_not_with_its_square(monkeypatch):
    monkeypatch.setattr(near_duplicates, "PAIRS_AT_ONCE", 2**14)
    monkeypatch.setattr(near_duplicates, "ROWS_AT_ONCE", 16)
    rng = np.random.default_rng(0)
    monkeypatch.setattr(
        near_duplicates, "perceptual_hashes", lambda images: rng.integers(0, 2**63, (len(images), 2), dtype=np.uint64)
    )

    def peak(count: int) -> int:
        seen = np.zeros((count, 8, 8, 3), np.uint8)
        contents = [f"{index:06}" for index in range(count)]
        tracemalloc.start()
        near_duplicate_groups(seen, contents)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)
    assert peak(1024) < 4.5 * peak(256)
