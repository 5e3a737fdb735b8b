"""Whether copies stand out from the background: from how alike the other pictures of the same set are.

Digits, sketches and X-rays are more alike than photographs, so no fixed correlation tells their copies. But how alike a
picture's neighbours are follows one law: if pictures vary in m ways, about exp(-m z) of them are more alike than z, the
Fisher transform of the correlation (E. Levina and P. Bickel, Maximum Likelihood Estimation of Intrinsic Dimension,
2004). So the step from one neighbour to the next, times m, is at most exponentially distributed with mean 1. A step
that chance would not make in the whole set is the one from the copies of a picture to other pictures.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64

LEAST_PICTURES = 24
"""Smaller sets have no background that could be measured; there the fixed thresholds decide alone."""
BEHIND = 20
"""Neighbours behind a step by which m is estimated."""
MOST_COPIES = 64
"""The most copies of one picture that are looked for; in sets of fewer than 512 pictures an eighth, but at least 16."""
MISSED = 3
"""Copies that may be outside of a picture's group because their links were missed: larger crops, for example."""
RARE = 1e-4
"""Pictures, of all, to which chance may make another one as alike as copies of photographs must be."""
CLOSEST = 1 - 1e-4
"""Correlations above it count as this one: rounding decides there."""


class Chance(NamedTuple):
    """How long a step must be so that chance does not make it."""

    pictures: int
    """In the set."""
    compared: int
    """Of the set, as the background of each picture."""
    errors: float
    """Pictures of the set that are expected to make such a step by chance."""

    @property
    def step(self) -> float:
        """The least step, times m. A sample's neighbours are further apart by the logarithm of what it leaves out."""
        return float(np.log(self.pictures / self.errors) + np.log(self.pictures / max(1, self.compared)))

    @property
    def most_copies(self) -> int:
        """The most copies of one picture that are looked for."""
        return min(MOST_COPIES, max(16, self.pictures // 8))


def standing_out(
    copies: Float32[np.ndarray, " copy"], others: Float32[np.ndarray, " other"], chance: Chance
) -> Bool[np.ndarray, " copy"]:
    """Which of the supposed copies of a picture come before a step, in the order of all pictures, that is long enough.

    Args:
      copies: their correlations with the picture.
      others: the correlations of all other pictures with it, or of a sample.
    """
    nearness = _nearness(copies)
    ranked = -np.sort(-np.concatenate([nearness, _nearness(others)]))
    first_behind = np.arange(1, min(chance.most_copies, len(ranked) - 3) + 1)
    steps = ranked[first_behind - 1] - ranked[first_behind]
    long = np.flatnonzero(steps >= chance.step * _spread(ranked, first_behind))
    return nearness >= ranked[long[-1]] if len(long) else np.zeros(len(copies), bool)


def out_of_reach(alike: float, outside: Float32[np.ndarray, " other"]) -> bool:
    """Whether chance makes none of the pictures outside of a picture's group so alike to it.

    Copies of copies are less and less alike without a long step between them; this finds them too.
    """
    if len(outside) < MISSED + 3:
        return False
    ranked = -np.sort(-_nearness(outside))
    step = np.log(1 / RARE) + np.log(MISSED + 1)
    return bool(np.arctanh(alike) >= ranked[MISSED] + step * _spread(ranked, np.array([MISSED]))[0])


def _nearness(alike: Float32[np.ndarray, " picture"]) -> Float64[np.ndarray, " picture"]:
    return np.arctanh(np.clip(alike.astype(np.float64), -CLOSEST, CLOSEST))


def _spread(ranked: Float64[np.ndarray, " rank"], first: np.ndarray) -> Float64[np.ndarray, " first"]:
    """The estimate of 1 / m from the neighbours at these ranks and behind: their mean less the last of them."""
    sums = np.concatenate([[0.0], np.cumsum(ranked)])
    end = np.minimum(first + BEHIND, len(ranked) - 1)
    return np.maximum((sums[end] - sums[first]) / (end - first) - ranked[end], 1e-9)
