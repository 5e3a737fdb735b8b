"""What the finished seeds of a network answer for single images, and how many of these are different pictures."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from resjax.evaluation.comparison.statistics.intervals import equal_groups, group_sums


class Answers(NamedTuple):
    """The answers of several seeds for the images of the reported side."""

    seeds: Sequence[int]
    predicted: Int[np.ndarray, "seed image"]
    labels: Int[np.ndarray, " image"]
    groups: Int[np.ndarray, " image"]
    """Images with equal numbers are copies of one picture."""

    def of_seeds(self, seeds: Sequence[int]) -> "Answers":
        """The answers of these seeds, in this order."""
        return self._replace(seeds=seeds, predicted=self.predicted[[self.seeds.index(seed) for seed in seeds]])

    def right(self, label: int) -> Bool[np.ndarray, "seed image"]:
        """Which images of a class each seed has right."""
        return self.predicted[:, self.labels == label] == label

    def pictures(self, classes: int) -> Float[np.ndarray, " class"]:
        """For each class, how many images without copies would say as much as its images (see `equal_groups`)."""
        return np.array([distinct_pictures(self.groups[self.labels == label]) for label in range(classes)])


def distinct_pictures(groups: Int[np.ndarray, " image"]) -> float:
    """How many images without copies would say as much as these, of which those of one group are copies.

    >>> distinct_pictures(np.array([0, 0, 1, 1, 2, 2]))
    3.0
    """
    if not len(groups):
        return 0.0
    _, sizes = group_sums(np.zeros((1, len(groups))), groups)
    return equal_groups(sizes)
