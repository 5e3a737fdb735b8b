"""Batches cover every image once, in an order that depends on the key alone."""

import jax
import numpy as np
import pytest

from resjax.data.dataset import RESIDENT_SHARE, Dataset
from resjax.data.pipeline import (
    READ_AHEAD,
    READERS,
    ResidentSide,
    StreamedSide,
    epoch_order,
    free_device_bytes,
    make_sides,
    padded_batches,
)

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize("images", [1, 7, 24, 25, 48])
def test_an_epoch_covers_every_image_once(images):
    order, rest = epoch_order(jax.random.key(0), images, 24)
    assert order.shape == (images // 24, 24) and rest.shape == (images % 24,)
    assert sorted([*np.asarray(order).ravel(), *np.asarray(rest)]) == list(range(images))


def test_the_order_depends_on_the_key_alone():
    first, second, other = (epoch_order(jax.random.key(seed), 30, 10)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, second) and not np.array_equal(first, other)


@pytest.mark.parametrize("images", [1, 127, 128, 129, 230, 1000])
def test_padded_batches_hold_all_images_in_order_with_little_padding(images):
    batches = padded_batches(images, 128)
    assert batches.shape[1] <= 128 and batches.size - images < len(batches)
    assert batches.ravel()[:images].tolist() == list(range(images))


@pytest.fixture
def dataset() -> Dataset:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50, 4, 4, 3), np.uint8)
    names = tuple(str(index) for index in range(50))
    labels = rng.integers(0, 2, 50).astype(np.int32)
    return Dataset("made", ("a", "b"), names, labels, images, names, np.arange(50, dtype=np.int32))


ROWS = np.array([3, 1, *range(10, 49)])
ORDER = [np.array([5, 0, 7]), np.array([40, 2, 2]), np.array([1])]


def as_numpy(batches) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.asarray(batch.images), np.asarray(batch.labels)) for batch in batches]


@pytest.mark.parametrize("pipeline", ["resident", "streamed"])
def test_batches_hold_the_images_of_the_order_on_the_device_as_bytes(pipeline, dataset):
    side = make_sides(dataset, {"train": ROWS}, pipeline)["train"]
    assert side.labels.tolist() == dataset.labels[ROWS].tolist()
    batches = list(side.batches(ORDER))
    assert all(isinstance(batch.images, jax.Array) and batch.images.dtype == np.uint8 for batch in batches)
    for (images, labels), numbers in zip(as_numpy(batches), ORDER, strict=True):
        assert np.array_equal(images, dataset.images[ROWS[numbers]])
        assert np.array_equal(labels, dataset.labels[ROWS[numbers]])


def test_a_stream_goes_on_from_any_batch(dataset):
    order = [np.arange(index, index + 4) for index in range(30)]
    side = StreamedSide(dataset.images, dataset.labels, ROWS)
    whole = as_numpy(side.batches(order))
    for start in (0, 1, 17, 30):
        for one, other in zip(as_numpy(side.batches(order[start:])), whole[start:], strict=True):
            assert np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])


@pytest.mark.parametrize("count", [2, 3])
def test_the_processes_shares_of_a_batch_make_up_the_batch(count, dataset):
    order = [np.arange(7), np.arange(20, 29)]
    shares = [
        as_numpy(StreamedSide(dataset.images, dataset.labels, ROWS, (number, count)).batches(order))
        for number in range(count)
    ]
    for index, numbers in enumerate(order):
        together = np.concatenate([share[index][0] for share in shares])
        assert np.array_equal(together, dataset.images[ROWS[numbers]])


def test_a_stream_stops_reading_when_it_is_left(dataset):
    class Counted:
        reads = 0

        def __getitem__(self, rows):
            self.reads += 1
            return dataset.images[rows]

    counted = Counted()
    batches = StreamedSide(counted, dataset.labels, ROWS).batches([np.arange(2)] * 1000)
    next(batches)
    batches.close()
    assert counted.reads <= 1 + READ_AHEAD + READERS


def test_images_lie_on_the_device_as_long_as_they_fit_the_stated_share(dataset, monkeypatch):
    needed = dataset.images[ROWS].nbytes
    for free, kind in ((needed / RESIDENT_SHARE, ResidentSide), (needed / RESIDENT_SHARE - 10, StreamedSide)):
        monkeypatch.setattr("resjax.data.pipeline.free_device_bytes", lambda free=free: free)
        assert isinstance(make_sides(dataset, {"train": ROWS})["train"], kind)


def test_a_side_without_images_is_left_out(dataset):
    assert list(make_sides(dataset, {"train": ROWS, "val": ROWS[:2], "test": ROWS[:0]})) == ["train", "val"]


def test_free_memory_is_known_on_this_machine():
    assert 2**20 < free_device_bytes() < 2**50
