"""What several probes need: the loss, the images as the network sees them, and the layers in the order of depth."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from resjax.data.augmentation import standardize, to_float
from resjax.functional import Functional
from resjax.models.architecture import BLOCKS, Architecture
from resjax.models.changes import Changes
from resjax.types import Batch, Features, Images, Labels, Logits, Parameters, PixelImages, Statistics, Variables

Values = Mapping[str, Any]
"""What a probe found, by name: arrays, whose axes the probe's docstring names."""


def seen(images: PixelImages) -> Images:
    """The images as a network gets them, without augmentation."""
    return standardize(to_float(images))


def mean_loss(logits: Logits, labels: Labels) -> Float[Array, ""]:
    """Mean cross-entropy in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), labels).mean()


def no_addition(functional: Functional, variables: Variables, images: Images) -> tuple[Features, ...]:
    """Zeros to add to what passes between the blocks: the gradient by them is the gradient by the features."""
    features = jax.eval_shape(partial(functional.trace, training=True), variables, images).features
    return tuple(jnp.zeros(each.shape, each.dtype) for each in features)


def layer_kernels(tree: Parameters, architecture: Architecture) -> dict[str, Float[Array, "..."]]:
    """The kernels of stem, blocks and head from the images on; those of shortcuts and gates, which twins lack, are out.

    `tree` has the structure of the parameters: their gradient will do.
    """
    kernels = {"stem": tree["stem"]["conv"]["kernel"]}
    for place in architecture.places():
        block = tree["stages"][place.stage][place.index]
        for number in range(1, BLOCKS[architecture.block] + 1):
            kernels[f"stage{place.stage}.block{place.index}.conv{number}"] = block[f"conv{number}"]["kernel"]
    return kernels | {"head": tree["head"]["kernel"]}


def keeps_shape(architecture: Architecture) -> list[bool]:
    """Of each block, whether what leaves it has the shape of what enters."""
    return [place.stride == 1 and place.inputs == place.outputs for place in architecture.places()]


@partial(jax.jit, static_argnums=0)
def changed_logits(functional: Functional, variables: Variables, images: PixelImages, changes: Changes) -> Logits:
    """The logits by the running statistics, with some blocks changed; one program for all changes of a kind."""
    return functional.trace(variables, seen(images), changes).logits


@partial(jax.jit, static_argnums=0)
def statistics_of(functional: Functional, variables: Variables, images: PixelImages, changes: Changes) -> Statistics:
    """The batch norms' statistics estimated anew: those of these images alone, with some blocks changed."""
    return functional.batch_statistics(variables, seen(images), changes)


def scores(logits: Logits, batch: Batch) -> tuple[float, float]:
    """Mean cross-entropy in nats, and accuracy."""
    right = np.asarray(logits).argmax(-1) == np.asarray(batch.labels)
    return float(mean_loss(logits, batch.labels)), float(right.mean())
