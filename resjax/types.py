"""Array types with named axes, and the pytrees of them that every room shares.

Axis names are the same everywhere: `batch`, `height`, `width`, `channel`, `class`, `image` (all images of a set).
"""

from typing import NamedTuple

from jaxtyping import Array, Float, Int, Key, PyTree, UInt8

PixelImages = UInt8[Array, "batch height width 3"]
"""Images as they lie in the cache and on the device: RGB, 0 to 255."""

Images = Float[Array, "batch height width channel"]
"""Images inside the train step: floats in [0, 1] while augmented, standardized when the network sees them."""

Features = Float[Array, "batch height width channel"]
Labels = Int[Array, " batch"]
Logits = Float[Array, "batch class"]
PRNGKey = Key[Array, ""]
Parameters = PyTree[Float[Array, "..."]]
Statistics = PyTree[Float[Array, "..."]]


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
