"""Changes of the colours of pixels that stay where they are."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32

from resjax.data.augmentation.pixels import PerImage, RGBImages, per_channel, spread

GREY_WEIGHTS = (0.299, 0.587, 0.114)
"""Luma weights of ITU-R BT.601, the ones that Pillow and torchvision use."""
IMAGENET_COLOR_AXES = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
"""Principal axes of ImageNet's RGB values in [0, 1], one row per channel and one column per axis
(https://github.com/facebookarchive/fb.resnet.torch/blob/master/datasets/imagenet.lua)."""
IMAGENET_COLOR_SPREADS = (0.2175, 0.0188, 0.0045)
"""The standard deviation along each axis, from the same page."""


def adjust_brightness(images: RGBImages, factor: PerImage) -> RGBImages:
    """Multiplies by the factor: 0 gives black, 1 changes nothing."""
    return jnp.clip(spread(factor) * images, 0.0, 1.0)


def adjust_contrast(images: RGBImages, factor: PerImage) -> RGBImages:
    """Blends with the mean grey of the image: 0 gives that grey, 1 changes nothing."""
    return blend(images, grey(images.mean((1, 2), keepdims=True)), factor)


def adjust_saturation(images: RGBImages, factor: PerImage) -> RGBImages:
    """Blends with the grey of each pixel: 0 gives greyscale, 1 changes nothing."""
    return blend(images, grey(images), factor)


def adjust_hue(images: RGBImages, shift: PerImage) -> RGBImages:
    """Turns the hue of HSV by `shift` of the colour circle: 1/3 maps red to green; saturation and value stay.

    The conversion back to RGB is the closed form V - C max(0, min(k, 4 - k, 1)), k = (n + H) mod 6, n = 5, 3, 1 for R,
    G, B (https://en.wikipedia.org/wiki/HSL_and_HSV#HSV_to_RGB_alternative), which needs no cases.
    """
    red, green, blue = images[..., 0:1], images[..., 1:2], images[..., 2:3]
    value = images.max(-1, keepdims=True)
    chroma = value - images.min(-1, keepdims=True)
    scale = 1.0 / jnp.where(chroma == 0, 1.0, chroma)
    hue = jnp.where(
        value == red,
        (green - blue) * scale,
        jnp.where(value == green, 2.0 + (blue - red) * scale, 4.0 + (red - green) * scale),
    )
    k = hue + spread(6.0 * shift) + per_channel((5.0, 3.0, 1.0))
    k = k - 6.0 * jnp.floor(k * (1 / 6))
    return value - chroma * jnp.clip(jnp.minimum(k, 4.0 - k), 0.0, 1.0)


def adjust_sharpness(images: RGBImages, factor: PerImage) -> RGBImages:
    """Blends with a smoothed image: 0 gives that image, 1 changes nothing; above 1 sharpens. The border stays.

    Matches torchvision's `adjust_sharpness`, with weights of 5/13 for the pixel and 1/13 for each neighbour.
    """
    return blend(images, smoothed(images), factor)


def smoothed(images: RGBImages) -> RGBImages:
    """Each pixel's mean with its eight neighbours, in which it has a weight of 5/13; the border stays."""
    height, width = images.shape[1:3]
    if min(height, width) < 3:
        return images
    shifted = [
        images[:, row : height - 2 + row, column : width - 2 + column] for row in range(3) for column in range(3)
    ]
    inner = images[:, 1:-1, 1:-1]
    return images.at[:, 1:-1, 1:-1].set((sum(shifted, 4.0 * inner)) / 13.0)


def posterize(images: RGBImages, bits: Int32[Array, " batch"]) -> RGBImages:
    """Keeps the highest `bits` of the 8 bits of each channel."""
    dropped = jnp.exp2(8.0 - bits.astype(jnp.float32))
    return spread(dropped) * jnp.floor(levels(images) / spread(dropped)) / 255.0


def solarize(images: RGBImages, threshold: PerImage) -> RGBImages:
    """Inverts the channels of pixels that are at least `threshold`, from 0 to 1."""
    # The slack keeps levels that are equal to the threshold, whatever the rounding of 255 * threshold.
    return jnp.where(images * 255.0 >= spread(threshold) * 255.0 - 1e-3, 1.0 - images, images)


def autocontrast(images: RGBImages) -> RGBImages:
    """Stretches each channel of each image to the range from 0 to 1; a channel of one value stays."""
    low, high = images.min((1, 2), keepdims=True), images.max((1, 2), keepdims=True)
    return jnp.where(high > low, (images - low) / jnp.where(high > low, high - low, 1.0), images)


def equalize(images: RGBImages) -> RGBImages:
    """Equalizes the histogram of each channel of each image, in 256 levels, by Pillow's rule.

    A level k becomes (n_k + s // 2) // s, at most 255, with n_k the pixels below k, and s = m // 255 with m the pixels
    below the channel's highest level. A channel with fewer than 255 such pixels stays.
    """
    height, width = images.shape[1:3]
    level = levels(images).astype(jnp.int32)

    def equalized(channel):
        counts = jnp.zeros(256, jnp.int32).at[channel].add(1)
        below = jnp.cumsum(counts) - counts
        step = below[channel.max()] // 255
        table = jnp.minimum((below + step // 2) // jnp.maximum(step, 1), 255)
        return jnp.where(step > 0, table[channel], channel)

    channels = jnp.moveaxis(level, -1, 1).reshape(-1, height * width)
    found = jax.vmap(equalized)(channels).reshape(-1, 3, height, width)
    return jnp.moveaxis(found, 1, -1).astype(jnp.float32) / 255.0


def levels(images: RGBImages) -> RGBImages:
    """The nearest of the 256 levels, 0 to 255, as floats."""
    return jnp.clip(jnp.round(images * 255.0), 0.0, 255.0)


def light(images: RGBImages, amounts: Float32[Array, "batch 3"]) -> RGBImages:
    """Moves the colours of each image along the principal axes of ImageNet's colours.

    `amounts` are multiples of the standard deviation along each axis (Krizhevsky et al. 2012, section 4.1). Nothing is
    clipped, as in fb.resnet.torch.
    """
    axes = jnp.array(IMAGENET_COLOR_AXES, jnp.float32) * jnp.array([IMAGENET_COLOR_SPREADS], jnp.float32)
    return images + (amounts @ axes.T)[:, None, None]


def grey(images: Array) -> Array:
    red, green, blue = GREY_WEIGHTS
    return red * images[..., 0:1] + green * images[..., 1:2] + blue * images[..., 2:3]


def blend(images: RGBImages, others: Array, factor: PerImage) -> RGBImages:
    factor = spread(factor)
    return jnp.clip(factor * images + (1.0 - factor) * others, 0.0, 1.0)
