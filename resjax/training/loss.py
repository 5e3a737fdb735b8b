"""The loss of a batch: class weights, label smoothing and mixed labels are in what is minimized.

Records have the plain cross-entropy, without weights and smoothing; of mixed images, with both of their labels.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Float32, Int, Int32

from resjax.data.augmentation.mixing import Share, others
from resjax.training.recipe import Recipe
from resjax.types import Labels, Logits


def class_weights(recipe: Recipe, labels: Int[np.ndarray, " image"], classes: int) -> tuple[float, ...] | None:
    """The weight of each class under `recipe.class_weights`; None if all images count the same.

    `balanced` gives class c the weight N / (K n_c), with N training images, n_c of them of class c, and K classes (King
    and Zeng 2001, Polit. Anal. 9, p. 137; scikit-learn's name for it). Every class then has the same part in the loss.
    A class without a training image gets 0.

    Args:
      labels: of the training images.
    """
    if recipe.class_weights == "none":
        return None
    counts = np.bincount(labels, minlength=classes)
    return tuple(float(len(labels) / (classes * count)) if count else 0.0 for count in counts)


def mean_loss(
    losses: Float[Array, " batch"], labels: Int[Array, " batch"], weights: tuple[float, ...] | None = None
) -> Float[Array, ""]:
    """The mean of the losses of a batch; with weights sum_i w_i loss_i / sum_i w_i, w_i the weight of image i's class.

    The quotient is that of torch's `CrossEntropyLoss(weight=..., reduction="mean")`.
    """
    if weights is None:
        return losses.mean()
    of_images = jnp.asarray(weights, losses.dtype)[labels]
    return (of_images * losses).sum() / of_images.sum()


class BatchLoss(NamedTuple):
    """The loss that a step minimizes, and what is recorded of each image."""

    minimized: Float32[Array, ""]
    plain: Float32[Array, " batch"]
    """Cross-entropy in nats, without class weights and smoothing."""
    correct: Int32[Array, ""]
    """Number of images whose largest logit is that of the label."""


def batch_loss(
    logits: Logits,
    labels: Labels,
    weights: tuple[float, ...] | None = None,
    smoothing: float = 0.0,
    own_share: Share | None = None,
) -> BatchLoss:
    """The loss of a batch.

    With labels that are mixed, the plain loss of an image is the mean of those of its two labels by their shares, and
    its label is the one with the larger share.

    Args:
      logits: (batch, class).
      labels: of the images themselves.
      weights: of each class; None if all images count the same.
      smoothing: the share of the label that is spread over all classes alike (Szegedy et al. 2016, section 7).
      own_share: what each image has in its mixture, if the images are mixed.
    """
    logits32 = logits.astype(jnp.float32)
    plain = optax.softmax_cross_entropy_with_integer_labels(logits32, labels)
    expected = labels
    if own_share is not None:
        theirs = optax.softmax_cross_entropy_with_integer_labels(logits32, others(labels))
        plain = own_share * plain + (1.0 - own_share) * theirs
        expected = jnp.where(own_share >= 0.5, labels, others(labels))
    correct = (logits.argmax(-1) == expected).sum(dtype=jnp.int32)
    if smoothing or own_share is not None:
        targets = soft_labels(labels, logits.shape[-1], smoothing, own_share)
        return BatchLoss(mean_soft_loss(logits32, targets, labels, weights), plain, correct)
    return BatchLoss(mean_loss(plain, labels, weights), plain, correct)


def soft_labels(
    labels: Labels, classes: int, smoothing: float = 0.0, own_share: Share | None = None
) -> Float32[Array, "batch class"]:
    """The probability of each class that the loss asks for: (1 - e) t + e / K, t of the label or of the two mixed."""
    targets = jax.nn.one_hot(labels, classes, dtype=jnp.float32)
    if own_share is not None:
        targets = own_share * targets + (1.0 - own_share) * others(targets)
    return (1.0 - smoothing) * targets + smoothing / classes


def mean_soft_loss(
    logits: Float32[Array, "batch class"],
    targets: Float32[Array, "batch class"],
    labels: Labels,
    weights: tuple[float, ...] | None = None,
) -> Float32[Array, ""]:
    """The mean cross-entropy of a batch against probabilities.

    With weights it is sum_ic w_c t_ic (-log p_ic) / sum_i w_(label of i): that of torch's `CrossEntropyLoss(weight=...,
    label_smoothing=...)`. Mixing leaves the divisor as it is, because a batch is mixed with itself.
    """
    losses = -targets * jax.nn.log_softmax(logits)
    if weights is None:
        return losses.sum(-1).mean()
    of_classes = jnp.asarray(weights, losses.dtype)
    return (of_classes[None] * losses).sum() / of_classes[labels].sum()
