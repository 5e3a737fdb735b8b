"""Simulated training histories of two networks: whose answers to which images are right after which epoch.

A replica's margin on an image (the logit of the label minus that of the likeliest other class) is a sum of

  the learning curve at this epoch, and the replica's ups and downs (autoregressive over epochs);
  the luck of the seed, of which both networks share a part, as a pair has the same initial numbers and batches;
  how easy the image is, the same for both networks, and how much one network likes it more than the other;
  what this replica makes of this image, partly lasting and partly autoregressive over epochs;
  how much the replica favours the label over the other class, autoregressive over epochs.

An answer is right if the margin is positive. Copies of a picture share its margin up to a little noise. Every part has
mean zero over seeds and images, so that networks with the same curve are equally good, whatever is measured.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

EPOCHS = 8
FIRST, LAST, RATE = -0.75, 0.3, 0.6
"""The learning curve: from FIRST to LAST in logits, exponentially at this rate per epoch."""
HARDNESS, LIKING, LASTING, PASSING, COPY_NOISE = 2.0, 1.0, 1.0, 1.0, 0.4
"""Standard deviations over images, in logits."""
LUCK, SHARED_LUCK = 0.25, 0.3
"""Standard deviation of a network's quality between seeds, and the share of its variance that both networks have."""
UPS_AND_DOWNS, FAVOUR = 0.25, 0.3
"""Standard deviations of a replica's quality, and of its favour for a class, from epoch to epoch."""
CORRELATION = 0.5
"""Between neighbouring epochs."""
CLASSES = 5
BALANCED = (0.2,) * CLASSES
IMBALANCED = (0.45, 0.25, 0.14, 0.08, 0.08)
FAVOUR_OF_FREQUENT = 0.5
"""How much the logit of a class grows with the logarithm of its share."""
OTHERS = -2.0
"""The logit of the remaining classes, where the likeliest wrong class has 0."""
MEAN_COPIES, MOST_COPIES = 1162 / 602, 12
"""The mean number of files per picture of the five dishes. The numbers are drawn from a geometric distribution."""


@dataclass(frozen=True)
class World:
    """The truth of a simulated comparison."""

    shift: float = 0.0
    """How much higher the candidate's learning curve is, in logits."""
    other_images: bool = False
    """Whether the networks are good at different images; otherwise they are one network with different seeds."""
    images: int = 230
    copies: bool = True
    imbalanced: bool = False
    diverging: tuple[float, float] = (0.0, 0.0)
    """The share of replicas of the baseline and of the candidate that diverge."""


class Answers(NamedTuple):
    """What a simulated comparison leaves behind, as the records of a run do."""

    labels: Int[np.ndarray, " image"]
    groups: Int[np.ndarray, " image"]
    logits: Float[np.ndarray, "network seed image class"]
    """After the epoch with the highest accuracy on these images, the earliest of equals."""
    diverged: np.ndarray
    """Which replicas diverged, (network, seed)."""


def draw_answers(world: World, seeds: int, rng: np.random.Generator) -> Answers:
    """Two networks with so many seeds on new images."""
    groups = draw_groups(rng, world)
    shares = np.array(IMBALANCED if world.imbalanced else BALANCED)
    pictures = int(groups[-1]) + 1

    def normal(*shape: int) -> Float[np.ndarray, "..."]:
        return rng.standard_normal(shape, np.float32)

    labels = rng.choice(CLASSES, pictures, p=shares)
    wrong = (labels + rng.integers(1, CLASSES, pictures)) % CLASSES
    frequent = FAVOUR_OF_FREQUENT * np.log(CLASSES * shares)
    ease = HARDNESS * normal(pictures) + frequent[labels] - frequent[wrong]
    # Axes: network, seed, epoch, picture.
    liking = LIKING * world.other_images * normal(2, 1, 1, pictures)
    luck = SHARED_LUCK**0.5 * normal(1, seeds, 1) + (1 - SHARED_LUCK) ** 0.5 * normal(2, seeds, 1)
    curve = LAST + (FIRST - LAST) * np.exp(-RATE * np.arange(EPOCHS)) + world.shift * np.array([0, 1])[:, None, None]
    quality = curve + LUCK * luck + UPS_AND_DOWNS * _over_epochs(normal(2, seeds, EPOCHS), 2)
    favour = FAVOUR * _over_epochs(normal(2, seeds, EPOCHS, CLASSES), 2)
    margins = ease + liking + LASTING * normal(2, seeds, 1, pictures)
    margins = margins + PASSING * _over_epochs(normal(2, seeds, EPOCHS, pictures), 2)
    margins += quality[..., None] + favour[..., labels] - favour[..., wrong]
    if world.copies:
        margins = margins[..., groups] + COPY_NOISE * normal(2, seeds, 1, world.images)
    best = (margins > 0).mean(-1).argmax(-1)
    chosen = np.take_along_axis(margins, best[..., None, None], 2)[:, :, 0]
    labels, wrong = labels[groups], wrong[groups]
    logits = np.full((*chosen.shape, CLASSES), OTHERS, np.float32)
    images = np.arange(world.images)
    logits[..., images, wrong] = 0.0
    logits[..., images, labels] = chosen
    return Answers(labels, groups, logits, rng.random((2, seeds)) < np.array(world.diverging)[:, None])


def draw_groups(rng: np.random.Generator, world: World) -> Int[np.ndarray, " image"]:
    """The picture of each image: one of its own, or one of several copies of a picture."""
    if not world.copies:
        return np.arange(world.images)
    sizes = np.minimum(rng.geometric(1 / MEAN_COPIES, world.images), MOST_COPIES)
    return np.repeat(np.arange(world.images), sizes)[: world.images]


def _over_epochs(noise: Float[np.ndarray, "..."], axis: int) -> Float[np.ndarray, "..."]:
    """Independent standard normal numbers turned into a stationary series of the same variance along an axis."""
    noise = np.moveaxis(noise, axis, 0)
    for epoch in range(1, len(noise)):
        noise[epoch] = CORRELATION * noise[epoch - 1] + (1 - CORRELATION**2) ** 0.5 * noise[epoch]
    return np.moveaxis(noise, 0, axis)
