"""Images for the examples: drawn dishes, so that nothing has to be downloaded."""

import jax.numpy as jnp
import numpy as np

import resjax
from resjax.data.synthetic import CLASSES, draw_dish


def dishes(count: int, size: int, first: int = 0) -> resjax.Batch:
    """Uint8 images (count, size, size, 3) of as many dishes as there are classes, in turn, and labels (count,)."""
    labels = np.arange(count) % len(CLASSES)
    images = [draw_dish(int(label), seed=first + number, size=size) for number, label in enumerate(labels)]
    return resjax.Batch(jnp.asarray(np.stack(images)), jnp.asarray(labels, jnp.int32))
