"""TrivialAugment: one change of random kind and strength for each image (Mueller and Hutter 2021).

The kinds and their ranges are those of `torchvision.transforms.TrivialAugmentWide` with its defaults: 14 kinds, all
equally likely; 31 strengths, all equally likely; where a change has a direction, both equally likely; the nearest pixel
and black outside. In a batch every image has its own kind. All kinds are computed for all images and one is kept, as
`lax.switch` would do under `vmap`; what kinds share (the moving of pixels, the blending) is computed once.

With the nearest pixel and 256 levels one rounding more or less can change a pixel, where replicas that are trained
together otherwise agree to 1e-5.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32

from resjax.data.augmentation.colors import autocontrast, blend, equalize, grey, posterize, smoothed, solarize
from resjax.data.augmentation.geometry import shear_move_and_turn
from resjax.data.augmentation.pixels import PerImage, RGBImages, spread
from resjax.types import PRNGKey

KINDS = (
    *("identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate"),
    *("brightness", "color", "contrast", "sharpness", "posterize", "solarize", "autocontrast", "equalize"),
)
STRENGTHS = 31
"""Steps of each range, from nothing to the most."""
MOST_SHEAR, MOST_PIXELS, MOST_DEGREES, MOST_BLEND = 0.99, 32, 135.0, 0.99
MOST_DROPPED_BITS = 6


def change_each(
    images: RGBImages, kinds: Int32[Array, " batch"], strengths: Int32[Array, " batch"], signs: PerImage
) -> RGBImages:
    """Changes each image in one way.

    Args:
      images: in [0, 1].
      kinds: numbers in `KINDS`.
      strengths: 0 to 30, from nothing to the most that the kind does.
      signs: 1 or -1: the direction of a shear, a translation or a rotation, and whether a blend adds or takes away.
    """

    def where_kind(name: str, values: Array) -> Array:
        return jnp.where(kinds == KINDS.index(name), values, 0.0)

    share = strengths.astype(jnp.float32) / (STRENGTHS - 1)
    shear = MOST_SHEAR * share * signs
    # Whole pixels, computed in integers: torchvision's float32 makes 15 of 16 pixels (0.28: int(15.999999)).
    pixels = (strengths * MOST_PIXELS // (STRENGTHS - 1)).astype(jnp.float32) * signs
    moved = shear_move_and_turn(
        images,
        shear=jnp.stack([where_kind("shear_y", shear), where_kind("shear_x", shear)], 1),
        move=jnp.stack([where_kind("translate_y", pixels), where_kind("translate_x", pixels)], 1),
        degrees=where_kind("rotate", MOST_DEGREES * share * signs),
    )
    # What the image is blended with, black for brightness.
    greys = grey(images)
    others = jnp.zeros_like(images)
    for name, other in (
        ("color", greys),
        ("contrast", greys.mean((1, 2), keepdims=True)),
        ("sharpness", smoothed(images)),
    ):
        others = jnp.where(spread(kinds == KINDS.index(name)), other, others)
    blended = blend(images, others, 1.0 + MOST_BLEND * share * signs)
    dropped = jnp.round(MOST_DROPPED_BITS * share).astype(jnp.int32)
    changes = (
        (moved, ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")),
        (blended, ("brightness", "color", "contrast", "sharpness")),
        (posterize(images, 8 - dropped), ("posterize",)),
        (solarize(images, 1.0 - share), ("solarize",)),
        (autocontrast(images), ("autocontrast",)),
        (equalize(images), ("equalize",)),
    )
    for changed, names in changes:
        chosen = jnp.isin(kinds, jnp.array([KINDS.index(name) for name in names], jnp.int32))
        images = jnp.where(spread(chosen), changed, images)
    return images


@dataclass(frozen=True)
class TrivialAugment:
    """Changes each image in one way: kind, strength and direction are drawn for every image (see `change_each`)."""

    def __call__(self, key: PRNGKey, images: RGBImages) -> RGBImages:
        kind_key, strength_key, sign_key = jax.random.split(key, 3)
        shape = (len(images),)
        kinds = jax.random.randint(kind_key, shape, 0, len(KINDS), jnp.int32)
        strengths = jax.random.randint(strength_key, shape, 0, STRENGTHS, jnp.int32)
        signs = jnp.where(jax.random.bernoulli(sign_key, shape=shape), 1.0, -1.0).astype(jnp.float32)
        return change_each(images, kinds, strengths, signs)
