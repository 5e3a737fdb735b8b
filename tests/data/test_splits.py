"""Splits keep copies together and classes in proportion, and depend on contents alone."""

from dataclasses import replace

import numpy as np
import pytest

from resjax.data.splits import METHODS, Split, find_leaks, leaked_images, make_split
from resjax.errors import BadInput
from tests.made_dataset import class_counts, dataset_of, random_sizes, side_of_content, sides_of_contents, take

MADE = [method for method in METHODS if method != "given"]


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


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("method", MADE)
def test_names_and_order_and_numbers_of_groups_do_not_change_where_pictures_go(method, seed):
    dataset = dataset_of(random_sizes(seed))
    order = np.random.default_rng(seed).permutation(len(dataset.ids))
    renamed = take(dataset, order, tuple(f"new{image}.jpg" for image in range(len(order))))
    renamed = replace(renamed, groups=np.unique(renamed.groups.max() - renamed.groups, return_inverse=True)[1])
    before, after = (make_split(data, method=method, seed=seed) for data in (dataset, renamed))
    assert sides_of_contents(renamed, after) == sides_of_contents(dataset, before)


@pytest.mark.parametrize("seed", range(10))
def test_one_image_more_moves_at_most_one_group_a_border(seed):
    sizes = random_sizes(seed, classes=2)
    new_picture = [[*sizes[0], 1], sizes[1]]
    new_copy = [[sizes[0][0] + 1, *sizes[0][1:]], sizes[1]]
    smaller = dataset_of(sizes)
    before = side_of_content(smaller, make_split(smaller, seed=seed, test_fraction=0.1))
    for larger in (dataset_of(new_picture), dataset_of(new_copy)):
        after = side_of_content(larger, make_split(larger, seed=seed, test_fraction=0.1))
        # Between test, val and train there are two borders.
        assert sum(after[content] != side for content, side in before.items()) <= 2


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("method", ["random", "overlapping"])
def test_one_image_more_moves_hardly_any_image_of_a_leaking_split_either(method, seed):
    sizes = random_sizes(seed, classes=2)
    smaller, larger = dataset_of(sizes), dataset_of([[*sizes[0], 1], sizes[1]])
    before, after = (
        sides_of_contents(data, make_split(data, method=method, seed=seed, test_fraction=0.1))
        for data in (smaller, larger)
    )
    # An overlapping split has three shuffles, from each of which one image may fall.
    assert (before - after).total() <= (2 if method == "random" else 3)


@pytest.mark.parametrize("seed", range(5))
def test_the_test_side_stays_whatever_becomes_of_the_rest(seed):
    dataset = dataset_of(random_sizes(seed))
    tests = [
        make_split(dataset, seed=seed, val_fraction=fraction, test_fraction=0.15).sides["test"].tolist()
        for fraction in (0.1, 0.2, 0.5)
    ]
    assert tests[0] == tests[1] == tests[2]


@pytest.mark.parametrize("method", MADE)
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


def test_images_with_the_label_of_another_classs_copies_are_named_where_a_class_gets_too_small():
    dataset = dataset_of([[2] * 6, [1] * 3])
    # Class b is made of copies of a's pictures.
    contents = (*dataset.contents[:12], *dataset.contents[0:6:2])
    dataset = replace(dataset, contents=contents, groups=np.unique(contents, return_inverse=True)[1])
    with pytest.raises(BadInput, match=r"class 'b' .*3 of its images \(0012.png, 0013.png, 0014.png\) .*class 'a'"):
        make_split(dataset)


def test_leaks_are_found_on_each_side():
    groups = np.array([0, 1, 1, 2, 3, 0])
    sides = {"train": np.array([0, 4]), "val": np.array([1, 3]), "test": np.array([2, 5])}
    found = find_leaks(Split("random", 0, sides), groups)
    assert {side: images.tolist() for side, images in found.items()} == {"val": [1], "test": [2, 5]}


def test_faulty_methods_say_so():
    dataset = dataset_of([[1] * 9, [1] * 9])
    labels = {method: make_split(dataset, method=method).label for method in MADE}
    assert labels["grouped"] == "grouped"
    assert labels["random"].startswith("random (faulty: ") and labels["overlapping"].startswith("overlapping (faulty: ")


def test_random_and_overlapping_leak_and_the_leak_is_counted():
    dataset = dataset_of([[2] * 50, [2] * 50])
    split = make_split(dataset, method="random")
    by_hand = sum(
        any(dataset.contents[image] == dataset.contents[other] for other in split.sides["train"])
        for image in split.sides["val"]
    )
    assert leaked_images(split, dataset.groups) == by_hand > 20
    assert leaked_images(make_split(dataset, method="overlapping"), dataset.groups) > by_hand


def test_overlapping_draws_its_sides_apart_as_the_first_exercise_did():
    dataset = dataset_of([[1] * 500, [1] * 500])
    split = make_split(dataset, method="overlapping", val_fraction=0.2)
    train, val = (set(split.sides[side].tolist()) for side in ("train", "val"))
    assert (len(train), len(val)) == (800, 200)
    # 160 are expected, with a standard deviation of 5.1 (hypergeometric).
    assert 140 <= len(train & val) <= 180 and leaked_images(split, dataset.groups) == len(train & val)


@pytest.mark.parametrize(("fraction", "needed"), [(0.0, 2), (0.2, 3)])
@pytest.mark.parametrize("method", ["grouped", "random"])
def test_a_class_that_cannot_be_on_every_side_is_refused(method, fraction, needed):
    dataset = dataset_of([[1] * 9, [1] * (2 if fraction else 1)])
    with pytest.raises(BadInput, match=f"class 'b' .*val, train: {needed - 1}, expected at least {needed}"):
        make_split(dataset, method=method, test_fraction=fraction)


def test_copies_are_not_distinct_images():
    with pytest.raises(BadInput, match="class 'b' .*distinct images for val, train: 1,"):
        make_split(dataset_of([[1] * 9, [5]]))


def test_near_copies_that_leave_too_few_pictures_name_the_flag_that_does_without_them():
    dataset = dataset_of([[1] * 9, [1] * 5])
    near = replace(dataset, groups=np.array([*range(9), *[9] * 5], np.int32), thumbnails=dataset.images)
    with pytest.raises(BadInput, match="--nonear_copies"):
        make_split(near)
    with pytest.raises(BadInput) as exact_copies:
        make_split(replace(dataset_of([[1] * 9, [5]]), thumbnails=np.zeros((14, 1, 1, 3), np.uint8)))
    assert "--nonear_copies" not in str(exact_copies.value)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"val_fraction": 0.0}, "val_fraction 0 "),
        ({"val_fraction": 1.5}, "val_fraction 1.5"),
        ({"test_fraction": -0.1}, "test_fraction -0.1"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, "val_fraction 0.5 with test_fraction 0.5"),
        ({"val_fraction": float("nan")}, "nan"),
        ({"method": "group"}, "grouped, random, overlapping, given"),
        ({"method": "given"}, "'given'"),
    ],
)
def test_impossible_splits_are_refused_in_one_line(arguments, named):
    with pytest.raises(BadInput) as refused:
        make_split(dataset_of([[1] * 9] * 2), **arguments)
    assert named in str(refused.value) and "\n" not in str(refused.value)
