"""A share of the training images: copies together, classes in proportion, each share within the next."""

import numpy as np
import pytest

from resjax.data.fractions import take_train_fraction
from resjax.data.splits import find_leaks, make_split
from resjax.run.dataset import split_of_record, split_record
from resjax.types import BadInput
from tests.made_dataset import class_counts, dataset_of, random_sizes, take

SHARES = (0.1, 0.25, 0.5, 0.9, 1.0)


@pytest.mark.parametrize("seed", range(4))
def test_shares_are_nested_keep_copies_together_and_every_class_in_proportion(seed):
    dataset = dataset_of(random_sizes(seed))
    whole = make_split(dataset, seed=seed, test_fraction=0.2)
    before: set[int] = set()
    for share in SHARES:
        split = take_train_fraction(dataset, whole, share, seed=seed)
        train = set(split.sides["train"].tolist())
        assert before <= train and (before < train or share == SHARES[0])
        before = train
        taken = {int(dataset.groups[image]) for image in train}
        assert train == {image for image in whole.sides["train"].tolist() if int(dataset.groups[image]) in taken}
        half_a_group = np.bincount(dataset.groups).max() / 2
        wanted = share * class_counts(dataset, whole, "train")
        assert (abs(class_counts(dataset, split, "train") - wanted) <= np.maximum(half_a_group, 1)).all()
        assert all(np.array_equal(split.sides[side], whole.sides[side]) for side in ("val", "test"))
        assert not any(len(images) for images in find_leaks(split, dataset.groups).values())
    assert before == set(whole.sides["train"].tolist())


def test_it_depends_on_seed_and_contents_and_not_on_the_order_of_the_files():
    dataset = dataset_of(random_sizes(1))
    whole = make_split(dataset)
    taken = take_train_fraction(dataset, whole, 0.5)
    other = take_train_fraction(dataset, whole, 0.5, seed=1)
    assert set(taken.sides["train"]) != set(other.sides["train"])
    shuffled = take(dataset, np.random.default_rng(0).permutation(len(dataset.ids)))
    again = take_train_fraction(shuffled, make_split(shuffled), 0.5)
    contents = [
        sorted(data.contents[image] for image in split.sides["train"])
        for data, split in ((dataset, taken), (shuffled, again))
    ]
    assert contents[0] == contents[1]


def test_its_record_can_be_given_back_and_says_what_share_it_is():
    dataset = dataset_of(random_sizes(2))
    split = take_train_fraction(dataset, make_split(dataset), 0.25)
    assert split.label == "grouped, 25 % of the training images"
    back = split_of_record(split_record(dataset, split), dataset)
    assert back.train_fraction == 0.25 and np.array_equal(back.sides["train"], split.sides["train"])
    assert take_train_fraction(dataset, back, 1.0) is back
    with pytest.raises(BadInput, match=r"--train_fraction=0.5 of a split that holds 0.25"):
        take_train_fraction(dataset, back, 0.5)
    with pytest.raises(BadInput, match=r"--train_fraction=0: a share above 0"):
        take_train_fraction(dataset, split, 0.0)
