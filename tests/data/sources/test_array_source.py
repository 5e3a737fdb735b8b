"""Images in arrays: the pixels come back as they are, sides are kept, and what cannot be meant is refused."""

import io

import numpy as np
import pytest
from PIL import Image

from resjax.data.decoding import decode
from resjax.data.sources.array_source import open_arrays
from resjax.data.sources.opening import open_catalogue
from tests.image_files import refusal

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def opened(tmp_path, **arrays):
    np.savez(tmp_path / "mine.npz", **arrays)
    return open_catalogue(f"npz:{tmp_path}/mine.npz", image_size=8)


def test_pixels_labels_and_names_are_those_of_the_file(tmp_path):
    catalogue = opened(tmp_path, images=IMAGES, labels=LABELS, class_names=np.array(["a", "b", "c"]))
    assert catalogue.classes == ("a", "b", "c") and catalogue.labels.tolist() == LABELS.tolist()
    assert catalogue.ids == ("0", "1", "2", "3", "4", "5") and catalogue.sides is None
    dataset = decode(catalogue, 8, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(np.asarray(dataset.images[np.arange(6)]), IMAGES)


@pytest.mark.parametrize("shape", [(6, 8, 8), (6, 8, 8, 1)])
def test_images_of_one_channel_are_gray(shape, tmp_path):
    catalogue = opened(tmp_path, images=IMAGES[..., :1].reshape(shape), labels=LABELS[:, None])
    picture = Image.open(io.BytesIO(catalogue.read(4)))
    assert picture.mode == "L" and np.asarray(picture).tolist() == IMAGES[4, ..., 0].tolist()
    assert catalogue.classes == ("0", "1", "2")


def test_equal_images_are_copies_and_those_of_another_shape_are_not():
    twice = open_arrays("mine", np.stack([IMAGES[0], IMAGES[0], IMAGES[1]]), np.array([0, 1, 1]))
    assert twice.content(0) == twice.content(1) != twice.content(2)
    flat = open_arrays("mine", np.zeros((2, 2, 8, 3), np.uint8), np.array([0, 1]))
    tall = open_arrays("mine", np.zeros((2, 8, 2, 3), np.uint8), np.array([0, 1]))
    assert flat.content(0) != tall.content(0)


def test_sides_are_numbers_or_masks(tmp_path):
    sides = {"train": np.arange(3), "val": np.array([5, 3]), "test": LABELS * 0 + np.arange(6) == 4}
    catalogue = opened(tmp_path, images=IMAGES, labels=LABELS, **sides)
    assert catalogue.sides == ("train", "train", "train", "val", "test", "val")


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        (dict(labels=LABELS), "images"),
        (dict(images=IMAGES), "labels"),
        (dict(images=IMAGES / 255, labels=LABELS), "float64"),
        (dict(images=IMAGES.astype(int), labels=LABELS), "int64"),
        (dict(images=IMAGES[..., :2], labels=LABELS), "shape"),
        (dict(images=IMAGES[:0], labels=LABELS[:0]), "shape"),
        (dict(images=IMAGES, labels=LABELS[:5]), "labels"),
        (dict(images=IMAGES, labels=LABELS - 1), "-1"),
        (dict(images=IMAGES, labels=LABELS / 2), "float64"),
        (dict(images=IMAGES, labels=LABELS, class_names=["a", "b"]), "0 to 1"),
        (dict(images=IMAGES, labels=LABELS, class_names=["a", "b", "b"]), "class_names"),
        (dict(images=IMAGES, labels=LABELS, pixels=IMAGES), "pixels"),
        (dict(images=IMAGES, labels=LABELS, train=[0, 1, 2], val=[2, 3, 4, 5]), "val"),
        (dict(images=IMAGES, labels=LABELS, train=[0, 1, 2, 6]), "train"),
        (dict(images=IMAGES, labels=LABELS, train=[0, 1, 2, 3]), "2 images"),
        (dict(images=IMAGES, labels=LABELS, val=[0, 1, 2, 3, 4, 5]), "no train"),
        (dict(images=IMAGES, labels=np.zeros(6, int)), "two classes"),
        (dict(images=IMAGES, labels=np.array(["a", None] * 3, object)), "pickles"),
    ],
)
def test_other_arrays_are_refused_in_a_line(arrays, named, tmp_path):
    np.savez(tmp_path / "mine.npz", **arrays)
    assert named in refusal(f"npz:{tmp_path}/mine.npz")


def test_files_that_are_no_npz_are_refused_in_a_line(tmp_path):
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty.npz").touch()
    np.save(tmp_path / "one.npy", IMAGES)
    whole = io.BytesIO()
    np.savez(whole, images=IMAGES, labels=LABELS)
    (tmp_path / "short.npz").write_bytes(whole.getvalue()[:-40])
    for name in ("text.npz", "empty.npz", "one.npy", "short.npz", "nowhere.npz", "."):
        assert name in refusal(f"npz:{tmp_path}/{name}")
