"""Every image is in val once, folds keep copies together, and an image more moves few others."""

from dataclasses import replace

import numpy as np
import pytest

from resjax.data.dataset import Dataset
from resjax.data.splits import Fold, leaked_images, make_folds, make_split
from resjax.errors import BadInput
from tests.made_dataset import class_counts, dataset_of, random_sizes, take


def fold_of_content(dataset: Dataset, **arguments) -> dict[str, int]:
    return {
        dataset.contents[image]: split.fold.number
        for split in make_folds(dataset, 5, **arguments)
        for image in split.sides["val"]
    }


@pytest.mark.parametrize("method", ["grouped", "random"])
def test_every_image_is_in_val_once_and_else_in_train(method):
    dataset = dataset_of(random_sizes(0))
    splits = make_folds(dataset, 5, method=method)
    assert [split.fold for split in splits] == [Fold(number, 5) for number in range(1, 6)]
    assert sorted(np.concatenate([split.sides["val"] for split in splits])) == list(range(len(dataset.ids)))
    for split in splits:
        assert sorted([*split.sides["train"], *split.sides["val"]]) == list(range(len(dataset.ids)))
    assert splits[1].label.startswith(f"{method}, fold 2 of 5")


@pytest.mark.parametrize("seed", range(5))
def test_folds_part_no_group_and_keep_proportions_to_within_one(seed):
    sizes = random_sizes(seed)
    dataset = dataset_of(sizes)
    for split in make_folds(dataset, 5, seed=seed, test_fraction=0.1):
        assert leaked_images(split, dataset.groups) == 0
        for count, of_class in zip(class_counts(dataset, split, "val"), sizes, strict=True):
            assert abs(count - 0.18 * sum(of_class)) <= max(of_class)


def test_test_is_the_same_for_all_folds_and_without_folds():
    dataset = dataset_of(random_sizes(1))
    tests = {tuple(split.sides["test"]) for split in make_folds(dataset, 4, seed=2, test_fraction=0.2)}
    assert tests == {tuple(make_split(dataset, seed=2, test_fraction=0.2).sides["test"])}


def test_names_and_order_do_not_change_folds():
    dataset = dataset_of(random_sizes(1))
    order = np.random.default_rng(0).permutation(len(dataset.ids))
    renamed = take(dataset, order, tuple(f"new{image}.jpg" for image in range(len(order))))
    assert fold_of_content(renamed, seed=3) == fold_of_content(dataset, seed=3)


@pytest.mark.parametrize("seed", range(5))
def test_one_image_more_moves_at_most_one_group_a_border(seed):
    sizes = random_sizes(seed)
    smaller, larger = dataset_of(sizes), dataset_of([[*sizes[0], 1], *sizes[1:]])
    before, after = fold_of_content(smaller, seed=seed), fold_of_content(larger, seed=seed)
    assert sum(after[content] != fold for content, fold in before.items()) <= 4


def test_scikit_learns_folds_are_as_even_but_one_image_more_moves_most_others():
    """Why the folds are our own; `-s` prints what experiments/results/checks cites."""
    from sklearn.model_selection import StratifiedGroupKFold

    def theirs(dataset: Dataset, seed: int) -> dict[str, int]:
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        parts = folds.split(np.zeros(len(dataset.ids)), dataset.labels, dataset.groups)
        return {dataset.contents[image]: number for number, (_, val) in enumerate(parts, start=1) for image in val}

    def ours(dataset: Dataset, seed: int) -> dict[str, int]:
        return fold_of_content(dataset, seed=seed)

    def moved(before: dict[str, int], after: dict[str, int]) -> float:
        return float(np.mean([after[content] != fold for content, fold in before.items()]))

    larger_moves, renumbered_moves = {}, {}
    for divide in (ours, theirs):
        larger_moves[divide], renumbered_moves[divide], uneven = [], [], []
        for seed in range(5):
            sizes = random_sizes(seed, classes=5, pictures=160)
            dataset, larger = dataset_of(sizes), dataset_of([[*sizes[0], 1], *sizes[1:]])
            renumbered = replace(dataset, groups=dataset.groups.max() - dataset.groups)
            before = divide(dataset, seed)
            larger_moves[divide].append(moved(before, divide(larger, seed)))
            renumbered_moves[divide].append(moved(before, divide(renumbered, seed)))
            counts = np.zeros((5, 5))
            for label, content in zip(dataset.labels, dataset.contents, strict=True):
                counts[label, before[content] - 1] += 1
            uneven.append(np.abs(counts - counts.mean(1, keepdims=True)).max())
        print(
            f"{divide.__name__}: {np.mean(larger_moves[divide]):.1%} of pictures move where one is added, "
            f"{np.mean(renumbered_moves[divide]):.1%} where groups are renumbered; a class is up to {max(uneven):.1f} "
            "images off its share in a fold"
        )
    assert np.max(larger_moves[ours]) < 0.02 and np.min(larger_moves[theirs]) > 0.5
    assert np.max(renumbered_moves[ours]) == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"folds": 1}, "folds 1"),
        ({"folds": 5, "test_fraction": 1.0}, "test_fraction 1"),
        ({"folds": 5, "method": "overlapping"}, "overlapping"),
        ({"folds": 10}, "for 10 folds: 9, expected at least 10"),
        ({"folds": 9, "test_fraction": 0.1}, "for test and 9 folds: 9, expected at least 10"),
    ],
)
def test_impossible_folds_are_refused_in_one_line(arguments, named):
    with pytest.raises(BadInput) as refused:
        make_folds(dataset_of([[1] * 9] * 2), **arguments)
    assert named in str(refused.value) and "\n" not in str(refused.value)
