"""Parts that several probes share: network input, loss and accuracy, and the layers in the order of depth."""

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
"""The arrays that a probe measured, by name; the docstring of the probe names their axes."""


def network_input(images: PixelImages) -> Images:
    """Pixels as a network gets them in evaluation: standardized, not augmented."""
    return standardize(to_float(images))


def mean_loss(logits: Logits, labels: Labels) -> Float[Array, ""]:
    """Mean cross-entropy in nats per image."""
    return optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), labels).mean()


def zero_additions(functional: Functional, variables: Variables, images: Images) -> tuple[Features, ...]:
    """Zeros for `Changes.added`, one array per feature map: the gradient by them is the gradient by the features."""
    features = jax.eval_shape(partial(functional.trace, training=True), variables, images).features
    return tuple(jnp.zeros(each.shape, each.dtype) for each in features)


def layer_kernels(tree: Parameters, architecture: Architecture) -> dict[str, Float[Array, "..."]]:
    """The kernels of stem, blocks and head in the order of depth, without those of shortcuts and gates.

    Twins have the same kernels in this sense. `tree` has the structure of the parameters; it can be their gradient.
    """
    kernels = {"stem": tree["stem"]["conv"]["kernel"]}
    for place in architecture.places():
        block = tree["stages"][place.stage][place.index]
        for number in range(1, BLOCKS[architecture.block] + 1):
            kernels[f"stage{place.stage}.block{place.index}.conv{number}"] = block[f"conv{number}"]["kernel"]
    return kernels | {"head": tree["head"]["kernel"]}


def keeps_shape(architecture: Architecture) -> list[bool]:
    """For each block, whether its output has the shape of its input."""
    return [place.stride == 1 and place.inputs == place.outputs for place in architecture.places()]


@partial(jax.jit, static_argnums=0)
def changed_logits(functional: Functional, variables: Variables, images: PixelImages, changes: Changes) -> Logits:
    """Logits by the running statistics, with `changes` to the blocks; compiled once for all changes of one kind."""
    return functional.trace(variables, network_input(images), changes).logits


@partial(jax.jit, static_argnums=0)
def batch_statistics(functional: Functional, variables: Variables, images: PixelImages, changes: Changes) -> Statistics:
    """Batch norm statistics of these images alone, with `changes` to the blocks."""
    return functional.batch_statistics(variables, network_input(images), changes)


def loss_and_accuracy(logits: Logits, batch: Batch) -> tuple[float, float]:
    """Mean cross-entropy in nats per image, and accuracy as a fraction."""
    correct = np.asarray(logits).argmax(-1) == np.asarray(batch.labels)
    return float(mean_loss(logits, batch.labels)), float(correct.mean())
