"""Two pictures, as bytes and as floats, and what Pillow makes of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from resjax.data.augmentation import to_float


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Two smooth images with noise, with greys, black and white in them, neither square."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, 5, 4, 3)).astype(np.uint8)
    images = np.stack([np.asarray(Image.fromarray(c).resize((18, 21), Image.Resampling.BICUBIC)) for c in coarse])
    images = np.clip(images + rng.integers(-9, 10, images.shape), 0, 255).astype(np.uint8)
    images[0, :3, :3], images[0, -3:, :3], images[1, :3, :3] = 0, 255, 128
    return images


@pytest.fixture(scope="module")
def images(pixels) -> jax.Array:
    return to_float(jnp.asarray(pixels))


def through_pillow(change, pixels: np.ndarray) -> np.ndarray:
    return np.stack([np.asarray(change(Image.fromarray(image))) for image in pixels]) / 255
