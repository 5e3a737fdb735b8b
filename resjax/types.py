"""Array types with named axes, and the pytrees of them that every room shares.

Axis names are the same everywhere: `batch`, `height`, `width`, `channel`, `class`, `image` (all images of a set).
"""

from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int, Key, UInt8

__all__ = [
    "Batch",
    "Features",
    "Images",
    "Labels",
    "Logits",
    "PRNGKey",
    "Parameters",
    "PixelImages",
    "Statistics",
    "Variables",
]

PixelImages = UInt8[Array, "batch height width 3"]
"""Images as they lie in the cache and on the device: RGB, 0 to 255."""

Images = Float[Array, "batch height width channel"]
"""Images inside the train step: floats in [0, 1] while augmented, standardized when the network sees them."""

Features = Float[Array, "batch height width channel"]
"""What passes between the blocks of a network."""

Labels = Int[Array, " batch"]
"""Classes, counted from 0."""

Logits = Float[Array, "batch class"]
"""What a network answers, before the softmax."""

PRNGKey = Key[Array, ""]
"""A key of `jax.random.key`."""

# Not jaxtyping's PyTree: type checkers know nothing of it.
Parameters = dict[str, Any]
"""Nested dicts of float arrays that the optimizer changes: `parameters["stages"][0][1]["conv2"]["kernel"]`."""

Statistics = dict[str, Any]
"""Nested dicts of float arrays that batch norm has seen, the running means and variances."""


class Batch(NamedTuple):
    """Images with their labels, on the device.

    >>> import jax.numpy as jnp
    >>> Batch(jnp.zeros((2, 8, 8, 3), jnp.uint8), jnp.array([0, 1])).images.shape
    (2, 8, 8, 3)
    """

    images: PixelImages
    labels: Labels


class Variables(NamedTuple):
    """The arrays of a network: what the optimizer changes, and what batch norm has seen.

    >>> from resjax import Functional, Variables, architecture
    >>> shapes = Functional(architecture("plain20"), classes=10).shapes()
    >>> isinstance(shapes, Variables), shapes.parameters["head"]["kernel"].shape
    (True, (64, 10))
    """

    parameters: Parameters
    statistics: Statistics
