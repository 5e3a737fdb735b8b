"""A share of the training images, for learning curves: copies together, class by class, each share within the next."""

from collections import defaultdict
from dataclasses import replace

import numpy as np

from resjax.data.dataset import Dataset
from resjax.data.splits import Split, group_names, hash_of
from resjax.types import BadInput


def take_train_fraction(dataset: Dataset, split: Split, fraction: float, *, seed: int = 0) -> Split:
    """The split with a share of its training images; val and test stay, the rest is on no side.

    The groups of each class are laid end to end in an order of the seed and their contents, and those whose middle lies
    before the share's end are taken, one at least. A larger share therefore holds all of a smaller one, and no class is
    further from its quota than half a group.

    Raises:
      BadInput: for a share outside of (0, 1], and for a split that has been through this already.
    """
    if not 0 < fraction <= 1:
        raise BadInput(f"--train_fraction={fraction:g}: a share above 0 and at most 1 is accepted")
    if fraction == 1:
        return split
    if split.train_fraction < 1:
        raise BadInput(
            f"--train_fraction={fraction:g} of a split that holds {split.train_fraction:g} of its training images "
            "already: 1 is accepted"
        )
    names = group_names(dataset)
    members: dict[int, list[int]] = defaultdict(list)
    for image in split.sides["train"].tolist():
        members[int(dataset.groups[image])].append(image)
    groups_of_class = defaultdict(list)
    for group in sorted(members, key=lambda group: hash_of(seed, f"train_fraction {names[group]}")):
        # A group of several labels counts where most of its images do, as in the split.
        label = int(np.argmax(np.bincount(dataset.labels[members[group]])))
        groups_of_class[label].append(members[group])
    taken: list[int] = []
    for groups in groups_of_class.values():
        sizes = np.array([len(images) for images in groups])
        middles = np.cumsum(sizes) - sizes / 2
        count = max(1, int(np.searchsorted(middles, fraction * sizes.sum(), side="right")))
        taken += [image for images in groups[:count] for image in images]
    sides = {**split.sides, "train": np.array(sorted(taken), np.int32)}
    return replace(split, sides=sides, train_fraction=fraction)
