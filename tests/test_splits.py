"""Splits keep copies together and classes in proportion, depend on contents alone, and come back from their record."""

import json
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from resjax.data.splits import METHODS, Split, leaked_images, make_split, split_from_record, split_record
from resjax.types import BadInput, Dataset


def dataset_of(groups: list[list[int]]) -> Dataset:
    """A class for every list, with copies of distinct pictures in the given numbers."""
    pictures = [
        (label, group) for label, sizes in enumerate(groups) for group, size in enumerate(sizes) for _ in range(size)
    ]
    contents = tuple(sha256(str(picture).encode()).hexdigest() for picture in pictures)
    return Dataset(
        name="made",
        classes=tuple("abcdefgh"[: len(groups)]),
        ids=tuple(f"{image:04}.png" for image in range(len(pictures))),
        labels=np.array([label for label, _ in pictures], np.int32),
        images=np.zeros((len(pictures), 1, 1, 3), np.uint8),
        contents=contents,
        groups=np.unique(contents, return_inverse=True)[1].astype(np.int32),
    )


def take(dataset: Dataset, images: np.ndarray, ids: tuple[str, ...] | None = None) -> Dataset:
    """Some images of a data set, in another order, renamed if `ids` are given."""
    return replace(
        dataset,
        ids=ids or tuple(dataset.ids[image] for image in images),
        labels=dataset.labels[images],
        images=dataset.images[images],
        contents=tuple(dataset.contents[image] for image in images),
        groups=dataset.groups[images],
    )


def random_sizes(seed: int, classes: int = 4, pictures: int = 60) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.geometric(0.6, rng.integers(pictures // 2, pictures)).tolist() for _ in range(classes)]


def side_of_content(dataset: Dataset, split: Split) -> dict[str, str]:
    return {dataset.contents[image]: side for side, images in split.sides.items() for image in images}


def class_counts(dataset: Dataset, split: Split, side: str) -> np.ndarray:
    return np.bincount(dataset.labels[split.sides[side]], minlength=len(dataset.classes))


@pytest.mark.parametrize("method", ["grouped", "random"])
def test_every_image_is_on_one_side(method):
    dataset = dataset_of(random_sizes(0))
    split = make_split(dataset, method=method, test_fraction=0.1)
    assert set(split.sides) == {"train", "val", "test"}
    together = np.concatenate(list(split.sides.values()))
    assert sorted(together) == list(range(len(dataset.ids)))
    for images in split.sides.values():
        assert images.dtype == np.int32 and (np.diff(images) > 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_grouped_parts_no_group_and_keeps_proportions_to_within_one(seed):
    sizes = random_sizes(seed)
    dataset = dataset_of(sizes)
    split = make_split(dataset, seed=seed, val_fraction=0.2, test_fraction=0.15)
    assert leaked_images(split, dataset.groups) == 0
    for side, fraction in {"val": 0.2, "test": 0.15, "train": 0.65}.items():
        for count, of_class in zip(class_counts(dataset, split, side), sizes, strict=True):
            assert abs(count - fraction * sum(of_class)) <= max(of_class)


@pytest.mark.parametrize("method", ["grouped", "random"])
def test_proportions_are_exact_without_copies(method):
    dataset = dataset_of([[1] * 50, [1] * 100])
    split = make_split(dataset, method=method, val_fraction=0.2, test_fraction=0.1)
    assert class_counts(dataset, split, "val").tolist() == [10, 20]
    assert class_counts(dataset, split, "test").tolist() == [5, 10]


def test_names_and_order_do_not_change_a_grouped_split():
    dataset = dataset_of(random_sizes(1))
    order = np.random.default_rng(0).permutation(len(dataset.ids))
    renamed = take(dataset, order, tuple(f"new{image}.jpg" for image in range(len(order))))
    renamed = replace(renamed, groups=np.unique(renamed.groups.max() - renamed.groups, return_inverse=True)[1])
    before = side_of_content(dataset, make_split(dataset, seed=3))
    assert side_of_content(renamed, make_split(renamed, seed=3)) == before


@pytest.mark.parametrize("seed", range(5))
def test_one_picture_more_moves_at_most_one_group_a_side(seed):
    sizes = random_sizes(seed, classes=2)
    smaller = dataset_of(sizes)
    larger = dataset_of([[*sizes[0], 1], sizes[1]])
    before = side_of_content(smaller, make_split(smaller, seed=seed, test_fraction=0.1))
    after = side_of_content(larger, make_split(larger, seed=seed, test_fraction=0.1))
    assert sum(after[content] != side for content, side in before.items()) <= 2


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_decides(method):
    dataset = dataset_of(random_sizes(2))
    one, again, other = (make_split(dataset, method=method, seed=seed) for seed in (0, 0, 1))
    assert one.sides["val"].tolist() == again.sides["val"].tolist() != other.sides["val"].tolist()


def test_a_grouped_split_is_the_same_on_every_machine_and_release():
    dataset = dataset_of([[1, 2, 1, 1, 3, 1], [2, 1, 1, 1, 1, 2]])
    split = make_split(dataset, seed=0, val_fraction=0.3)
    assert split.sides["val"].tolist() == [0, 3, 8, 11, 14]


def test_a_class_of_few_and_unequal_groups_still_reaches_every_side():
    for seed in range(10):
        dataset = dataset_of([[100, 1, 1], [50, 50, 2], [1, 1, 1]])
        split = make_split(dataset, seed=seed, val_fraction=0.1, test_fraction=0.05)
        for side in ("train", "val", "test"):
            assert (class_counts(dataset, split, side) > 0).all()
        assert leaked_images(split, dataset.groups) == 0


def test_a_group_with_two_labels_goes_with_the_more_common_one():
    dataset = dataset_of([[3, 1, 1, 1], [1] * 6])
    labels = dataset.labels.copy()
    labels[0] = 1
    dataset = replace(dataset, labels=labels)
    split = make_split(dataset, val_fraction=0.4)
    assert leaked_images(split, dataset.groups) == 0


def test_random_and_overlapping_leak_and_the_leak_is_counted():
    dataset = dataset_of([[2] * 50, [2] * 50])
    split = make_split(dataset, method="random")
    by_hand = sum(
        any(dataset.contents[image] == dataset.contents[other] for other in split.sides["train"])
        for image in split.sides["val"]
    )
    assert leaked_images(split, dataset.groups) == by_hand > 20
    assert leaked_images(make_split(dataset, method="overlapping"), dataset.groups) > by_hand


def test_leaks_between_val_and_test_count_on_both_sides():
    groups = np.array([0, 1, 1, 2, 3, 0])
    sides = {"train": np.array([0, 4]), "val": np.array([1, 3]), "test": np.array([2, 5])}
    assert leaked_images(Split("random", 0, sides), groups) == 3


def test_overlapping_draws_its_sides_apart_as_the_first_exercise_did():
    dataset = dataset_of([[1] * 500, [1] * 500])
    split = make_split(dataset, method="overlapping", val_fraction=0.2)
    train, val = (set(split.sides[side].tolist()) for side in ("train", "val"))
    assert (len(train), len(val)) == (800, 200)
    # 160 are expected, with a standard deviation of 5.1 (hypergeometric).
    assert 140 <= len(train & val) <= 180 and leaked_images(split, dataset.groups) == len(train & val)


@pytest.mark.parametrize(("fraction", "needed"), [(0.0, "at least 2"), (0.2, "at least 3")])
@pytest.mark.parametrize("method", ["grouped", "random"])
def test_a_class_that_cannot_be_on_every_side_is_refused(method, fraction, needed):
    dataset = dataset_of([[1] * 9, [1] * (2 if fraction else 1)])
    with pytest.raises(BadInput, match=f"class 'b' has too few .*images for val.*, train: ., {needed}"):
        make_split(dataset, method=method, test_fraction=fraction)


def test_copies_are_not_distinct_images():
    with pytest.raises(BadInput, match="class 'b' has too few distinct images for val, train: 1,"):
        make_split(dataset_of([[1] * 9, [5]]))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"val_fraction": 0.0}, "val_fraction 0 "),
        ({"val_fraction": 1.5}, "val_fraction 1.5"),
        ({"test_fraction": -0.1}, "test_fraction -0.1"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, "together below 1"),
        ({"val_fraction": float("nan")}, "nan"),
        ({"method": "group"}, "grouped, random, overlapping"),
    ],
)
def test_impossible_splits_are_refused_in_one_line(arguments, named):
    with pytest.raises(BadInput) as refused:
        make_split(dataset_of([[1] * 9] * 2), **arguments)
    assert named in str(refused.value) and "\n" not in str(refused.value)


@pytest.fixture
def recorded() -> tuple[Dataset, dict]:
    dataset = dataset_of([[2, 1, 1, 3, 1, 1], [1, 1, 2, 1, 1, 1]])
    return dataset, split_record(dataset, make_split(dataset, seed=5, val_fraction=0.3, test_fraction=0.2))


@pytest.mark.parametrize("method", METHODS)
def test_a_split_comes_back_from_its_record(method):
    dataset = dataset_of(random_sizes(3))
    split = make_split(dataset, method=method, seed=4, test_fraction=0.1)
    record = json.loads(json.dumps(split_record(dataset, split)))
    order = np.random.default_rng(1).permutation(len(dataset.ids))
    shuffled = take(dataset, order)
    back = split_from_record(record, shuffled)
    assert (back.method, back.seed) == (method, 4)
    for side, images in split.sides.items():
        assert {shuffled.ids[image] for image in back.sides[side]} == {dataset.ids[image] for image in images}


def test_the_record_says_all_of_every_image(recorded):
    dataset, record = recorded
    assert record["schema_version"] == 1 and record["method"] == "grouped" and record["seed"] == 5
    assert sum(record["fractions"].values()) == pytest.approx(1)
    assert len(record["images"]) == len(dataset.ids)
    for entry in record["images"]:
        image = dataset.ids.index(entry["id"])
        assert entry["label"] == dataset.classes[dataset.labels[image]]
        assert entry["content"] == dataset.contents[image] and entry["content"].startswith(entry["group"])
        assert len(entry["group"]) == 12 and entry["side"] in ("train", "val", "test")


def test_a_record_that_does_not_fit_the_data_is_refused_with_names_and_count(recorded):
    dataset, record = recorded
    count = len(dataset.ids)
    fewer = take(dataset, np.arange(5, count))
    with pytest.raises(BadInput, match="images that the data lacks .*: 5 .0000.png, 0001.png, 0002.png and 2 more"):
        split_from_record(record, fewer)
    with pytest.raises(BadInput, match="images that the data lacks or has changed: 1 .0003.png"):
        split_from_record(record, replace(dataset, contents=(*dataset.contents[:3], "0" * 64, *dataset.contents[4:])))
    with pytest.raises(BadInput, match=f"images that the data lacks or has changed: {count} "):
        split_from_record(record, replace(dataset, classes=("b", "a")))
    with pytest.raises(BadInput, match="on no side: 1 .0000.png"):
        split_from_record(record | {"images": [row for row in record["images"] if row["id"] != "0000.png"]}, dataset)


def test_a_grouped_record_that_leaks_is_refused(recorded):
    dataset, record = recorded
    sides = {"0000.png": "train", "0001.png": "val"}
    moved = [row | {"side": sides.get(row["id"], row["side"])} for row in record["images"]]
    with pytest.raises(BadInput, match="images with a copy on another side: 1 .0001.png"):
        split_from_record(record | {"images": moved}, dataset)
    assert (
        leaked_images(split_from_record(record | {"images": moved, "method": "random"}, dataset), dataset.groups) == 1
    )


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"method": "stratified"},
        {"seed": "first"},
        {"images": None},
        {"images": [{"id": "0000.png"}]},
        {"images": [1]},
        {"images": []},
    ],
    ids=str,
)
def test_a_record_of_another_kind_is_refused_in_one_line(change, recorded):
    dataset, record = recorded
    with pytest.raises(BadInput, match="^split file: ") as refused:
        split_from_record(record | change, dataset)
    assert "\n" not in str(refused.value)


def test_an_unknown_side_and_an_empty_one_are_refused(recorded):
    dataset, record = recorded
    with pytest.raises(BadInput, match="unknown side"):
        split_from_record(record | {"images": [row | {"side": "valid"} for row in record["images"]]}, dataset)
    with pytest.raises(BadInput, match="none in val"):
        split_from_record(record | {"images": [row | {"side": "train"} for row in record["images"]]}, dataset)
    with pytest.raises(BadInput, match="not a record"):
        split_from_record([1, 2], dataset)
