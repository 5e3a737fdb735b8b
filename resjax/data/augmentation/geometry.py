"""Changes of where the pixels are: flips, rotations, and cuts that are scaled."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int

from resjax.data.augmentation.pixels import PerImage, RGBImages, spread

SLACK = 1e-4
"""More than float32 rounds places in an image by, in pixels."""


def flip_horizontally(images: RGBImages, flipped: Bool[Array, " batch"]) -> RGBImages:
    """Swaps left and right in the images where `flipped` is True."""
    return jnp.where(spread(flipped), images[:, :, ::-1], images)


def rotate(images: RGBImages, degrees: PerImage) -> RGBImages:
    """Rotates counter-clockwise about the centre, with bilinear sampling and black outside the image.

    Matches PIL.Image.rotate(degrees, resample=BILINEAR): pixel centres lie at halves, and the outer half of the border
    pixels repeats their value.
    """
    height, width = images.shape[1:3]
    angle = jnp.deg2rad(degrees)[:, None, None]
    down = jnp.arange(height, dtype=jnp.float32)[None, :, None] + (0.5 - height / 2)
    right = jnp.arange(width, dtype=jnp.float32)[None, None, :] + (0.5 - width / 2)
    rows = jnp.cos(angle) * down + jnp.sin(angle) * right + height / 2
    columns = jnp.cos(angle) * right - jnp.sin(angle) * down + width / 2
    # The cosine of a quarter turn is not quite 0 in float32; the slack keeps its border where exact arithmetic has it.
    inside = (rows >= -SLACK) & (rows < height - SLACK) & (columns >= -SLACK) & (columns < width - SLACK)

    def sample(plane, rows, columns):
        return jax.scipy.ndimage.map_coordinates(plane, [rows - 0.5, columns - 0.5], order=1, mode="nearest")

    over_channels = jax.vmap(sample, in_axes=(2, None, None), out_axes=2)
    return jnp.where(inside[..., None], jax.vmap(over_channels)(images, rows, columns), 0.0)


def pad_and_crop(images: RGBImages, offsets: Int[Array, "batch 2"], padding: int) -> RGBImages:
    """Pads with black and cuts out the original size at `offsets` (rows, columns; 0 to 2 * padding)."""
    padded = jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))

    def cut(image, offset):
        return jax.lax.dynamic_slice(image, (offset[0], offset[1], 0), images.shape[1:])

    return jax.vmap(cut)(padded, offsets)


def scale_and_cut(images: RGBImages, sides: PerImage, offsets: Float32[Array, "batch 2"], size: int) -> RGBImages:
    """Resizes to `sides` x `sides` pixels and cuts out `size` x `size` at `offsets` (rows, columns).

    Bilinear with antialiasing; for whole sides and offsets it matches PIL.Image.resize(resample=BILINEAR) and crop.
    """
    height, width = images.shape[1:3]

    def cut(image, side, offset):
        scales = side / jnp.array([height, width], jnp.float32)
        return jax.image.scale_and_translate(image, (size, size, 3), (0, 1), scales, -offset, "linear")

    return jax.vmap(cut)(images, sides, offsets)


def crop_and_resize(images: RGBImages, boxes: Float32[Array, "batch 4"]) -> RGBImages:
    """Cuts a box (top, left, height, width, in whole pixels) out of each image and resizes it to the image's size.

    Bilinear with antialiasing: each output pixel is a weighted mean of the box's pixels, by a triangle that is as wide
    as the output pixel, and at least as wide as an input pixel. Pixels outside the box have no weight. Matches
    torchvision's `resized_crop(..., antialias=True)`.
    """
    height, width = images.shape[1:3]

    def cut(image, box):
        rows, columns = _resize_weights(height, box[0], box[2]), _resize_weights(width, box[1], box[3])
        # As in `jax.image.resize`: full precision on accelerators too.
        return jnp.einsum("hi,wj,ijc->hwc", rows, columns, image, precision=jax.lax.Precision.HIGHEST)

    return jax.vmap(cut)(images, boxes)


def _resize_weights(size: int, start: Float32[Array, ""], length: Float32[Array, ""]) -> Float32[Array, "out in"]:
    """The weights of `size` input pixels in each of `size` output pixels, which stand for `length` inputs."""
    pixels = jnp.arange(size, dtype=jnp.float32)
    step = length / size
    centres = start + (pixels + 0.5) * step
    distances = jnp.abs(centres[:, None] - (pixels[None, :] + 0.5)) / jnp.maximum(step, 1.0)
    inside = (pixels >= start) & (pixels < start + length)
    weights = jnp.where(inside[None, :], jnp.maximum(1.0 - distances, 0.0), 0.0)
    return weights / weights.sum(1, keepdims=True)


def shear_move_and_turn(
    images: RGBImages,
    shear: Float32[Array, "batch 2"],
    move: Float32[Array, "batch 2"],
    degrees: PerImage,
) -> RGBImages:
    """Shears about the top left corner, moves, and rotates counter-clockwise about the centre; black outside.

    The nearest pixel is taken, as in torchvision's automatic augmentations.

    Args:
      images: of which only one of the three should change each: they are not applied one after the other.
      shear: along (rows, columns): a pixel at (y, x) comes from (y + shear x, x + shear y).
      move: by (rows, columns) in pixels, down and to the right.
      degrees: of the rotation.
    """
    height, width = images.shape[1:3]
    angle = jnp.deg2rad(degrees)[:, None, None]
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    y = jnp.arange(height, dtype=jnp.float32)[None, :, None] + 0.5
    x = jnp.arange(width, dtype=jnp.float32)[None, None, :] + 0.5
    down, right = y - height / 2, x - width / 2
    (shear_rows, shear_columns), (rows_moved, columns_moved) = shear.T[..., None, None], move.T[..., None, None]
    rows = cosine * down + sine * right + height / 2 + shear_rows * x - rows_moved
    columns = cosine * right - sine * down + width / 2 + shear_columns * y - columns_moved
    # With the slack a place between two pixels falls to the same one in every program, whatever its rounding.
    rows, columns = rows + SLACK, columns + SLACK
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)

    def nearest(image, rows, columns):
        return image[rows, columns]

    row = jnp.clip(jnp.floor(rows).astype(jnp.int32), 0, height - 1)
    column = jnp.clip(jnp.floor(columns).astype(jnp.int32), 0, width - 1)
    return jnp.where(inside[..., None], jax.vmap(nearest)(images, row, column), 0.0)
