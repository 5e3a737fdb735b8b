"""A source's own split is kept as it is; what it lacks is taken out of its training images."""

from dataclasses import replace

import numpy as np
import pytest

from resjax.data.dataset import Dataset
from resjax.data.splits import find_leaks, leaked_images, make_folds, make_split
from resjax.errors import BadInput
from tests.made_dataset import dataset_of, random_sizes


def given(sizes: list[list[int]], sides: tuple[str, ...], seed: int = 0) -> Dataset:
    """A data set whose source deals its images to sides in turn, copies and all."""
    dataset = dataset_of(sizes)
    order = np.random.default_rng(seed).permutation(len(dataset.ids))
    return replace(dataset, sides=tuple(sides[place % len(sides)] for place in order))


def images_of(dataset: Dataset, side: str) -> list[int]:
    return [image for image, of in enumerate(dataset.sides) if of == side]


def test_a_given_split_is_kept_and_its_leaks_are_counted():
    dataset = given([[2] * 20, [1] * 40], ("train", "train", "val", "test"))
    split = make_split(dataset)
    assert split.method == split.label == "given"
    assert {side: images.tolist() for side, images in split.sides.items()} == {
        side: images_of(dataset, side) for side in ("train", "val", "test")
    }
    assert leaked_images(split, dataset.groups) > 0


@pytest.mark.parametrize("seed", range(5))
def test_a_missing_val_is_taken_out_of_train_and_parts_no_group_of_it(seed):
    dataset = given(random_sizes(seed), ("train", "train", "train", "test"), seed)
    split = make_split(dataset, seed=seed)
    assert split.sides["test"].tolist() == images_of(dataset, "test")
    train, val = (set(split.sides[side].tolist()) for side in ("train", "val"))
    assert sorted(train | val) == images_of(dataset, "train") and not train & val
    assert not {dataset.groups[i] for i in train} & {dataset.groups[i] for i in val}
    assert len(val) == pytest.approx(0.2 * len(train | val), rel=0.15)


def test_pictures_of_test_that_lie_in_train_too_are_leaks_of_test():
    dataset = given([[2] * 20, [2] * 20], ("train", "test"))
    split = make_split(dataset)
    shared = [i for i in images_of(dataset, "test") if dataset.groups[i] in dataset.groups[images_of(dataset, "train")]]
    assert find_leaks(split, dataset.groups)["test"].tolist() == shared != []


def test_a_named_method_divides_all_images_anew():
    dataset = given([[2] * 20, [2] * 20], ("train", "test"))
    split = make_split(dataset, method="grouped", test_fraction=0.2)
    assert leaked_images(split, dataset.groups) == 0
    assert split.sides["test"].tolist() != images_of(dataset, "test")
    assert make_split(replace(dataset, sides=None)).method == "grouped"


def test_folds_of_a_given_split_share_out_its_train_and_keep_its_test():
    dataset = given([[1] * 30, [1] * 30], ("train", "train", "test"))
    splits = make_folds(dataset, 3)
    for split in splits:
        assert split.method == "given" and split.sides["test"].tolist() == images_of(dataset, "test")
    assert sorted(np.concatenate([split.sides["val"] for split in splits])) == images_of(dataset, "train")


@pytest.mark.parametrize(
    ("sides", "arguments", "named"),
    [
        (("train", "val"), {"val_fraction": 0.2}, "val_fraction 0.2"),
        (("train", "test"), {"test_fraction": 0.2}, "test_fraction 0.2"),
        (("val", "test"), {}, "train"),
    ],
)
def test_what_the_source_has_settled_is_not_asked_for_again(sides, arguments, named):
    dataset = given([[1] * 10, [1] * 10], sides)
    with pytest.raises(BadInput) as refused:
        make_split(dataset, **arguments)
    assert named in str(refused.value) and "\n" not in str(refused.value)


def test_folds_are_refused_where_the_source_has_its_own_val():
    with pytest.raises(BadInput, match="^folds"):
        make_folds(given([[1] * 10, [1] * 10], ("train", "val")), 3)


def test_a_class_without_an_image_in_train_is_refused_and_one_in_train_alone_stays():
    dataset = given([[1] * 10, [1] * 10, [1] * 3], ("train", "val"))
    sides = {side: replace(dataset, sides=(*dataset.sides[:20], *[side] * 3)) for side in ("train", "val")}
    with pytest.raises(BadInput, match=r"class 'c' .* 3 elsewhere \(0020.png, 0021.png, 0022.png"):
        make_split(sides["val"])
    assert {20, 21, 22} <= set(make_split(sides["train"]).sides["train"].tolist())
