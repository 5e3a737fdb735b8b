"""Pixels as numbers: from bytes to floats in [0, 1], and standardized by ImageNet's mean and deviation."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, UInt8

from resjax.errors import BadInput
from resjax.types import PRNGKey

RGBImages = Float32[Array, "batch height width 3"]
"""Images as floats from 0 to 1."""
PerImage = Float32[Array, " batch"]
"""A number for each image."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Of each channel, of pixels from 0 to 1."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of each channel, of pixels from 0 to 1."""


def to_float(images: UInt8[Array, "batch height width 3"]) -> RGBImages:
    """Pixels 0 to 255 as float32 in [0, 1].

    >>> import jax.numpy as jnp
    >>> to_float(jnp.full((1, 1, 1, 3), 255, jnp.uint8)).tolist()
    [[[[1.0, 1.0, 1.0]]]]

    Raises:
      BadInput: for another dtype than uint8.
    """
    if images.dtype != jnp.uint8:
        raise BadInput(f"images of {images.dtype}: expected uint8 pixels, 0 to 255")
    return images.astype(jnp.float32) / 255.0


def standardize(images: RGBImages) -> RGBImages:
    """(image - mean) / standard deviation, with ImageNet's values for each channel: what networks take.

    Raises:
      BadInput: for images that are no floats, or have another number of channels than 3.
    """
    if not jnp.issubdtype(images.dtype, jnp.floating) or images.shape[-1:] != (3,):
        raise BadInput(
            f"images of {images.dtype} and shape {images.shape}: expected floats from 0 to 1, "
            "(batch, height, width, 3), as to_float gives them"
        )
    return (images - per_channel(IMAGENET_MEAN)) / per_channel(IMAGENET_STD)


def spread(values: Array) -> Array:
    """One value per image, with axes of one for height, width and channel."""
    return values[:, None, None, None]


def per_channel(values: tuple[float, float, float]) -> Float32[Array, "1 1 1 3"]:
    """One value per channel, with axes of one for batch, height and width."""
    return jnp.array(values, jnp.float32)[None, None, None]


def uniform(key: PRNGKey, low: float, high: float, images: RGBImages) -> PerImage:
    """A number per image, uniform in [low, high)."""
    return jax.random.uniform(key, (len(images),), jnp.float32, low, high)
