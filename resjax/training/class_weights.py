"""Class weights: what an image counts in the loss that is minimized, by its class."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from resjax.training.recipe import Recipe


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
