"""Random augmentation of training images: pure functions of a key and a batch that run on the device inside jit.

Images are float32 in [0, 1], NHWC. Each kind has a deterministic function with explicit amounts per image, and a frozen
dataclass that draws these amounts anew for every image.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int, UInt8

from resjax.errors import BadInput, closest
from resjax.types import PRNGKey

RGBImages = Float32[Array, "batch height width 3"]
PerImage = Float32[Array, " batch"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
GREY_WEIGHTS = (0.299, 0.587, 0.114)
"""Luma weights of ITU-R BT.601, the ones that Pillow and torchvision use."""
# Principal axes of ImageNet's RGB values in [0, 1], one row per channel and one column per axis, and the standard
# deviation along each axis (https://github.com/facebookarchive/fb.resnet.torch/blob/master/datasets/imagenet.lua).
IMAGENET_COLOR_AXES = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
IMAGENET_COLOR_SPREADS = (0.2175, 0.0188, 0.0045)
SYNTAX = (
    "flip, rotate:DEGREES, color:BRIGHTNESS,CONTRAST,SATURATION,HUE, lighting:SPREAD, crop:PIXELS, "
    "scale:SIZE,LEAST,MOST, joined by commas, or none"
)


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
    return (images - _per_channel(IMAGENET_MEAN)) / _per_channel(IMAGENET_STD)


def flip_horizontally(images: RGBImages, flipped: Bool[Array, " batch"]) -> RGBImages:
    """Swaps left and right in the images where `flipped` is True."""
    return jnp.where(_spread(flipped), images[:, :, ::-1], images)


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
    slack = 1e-4
    inside = (rows >= -slack) & (rows < height - slack) & (columns >= -slack) & (columns < width - slack)

    def sample(plane, rows, columns):
        return jax.scipy.ndimage.map_coordinates(plane, [rows - 0.5, columns - 0.5], order=1, mode="nearest")

    over_channels = jax.vmap(sample, in_axes=(2, None, None), out_axes=2)
    return jnp.where(inside[..., None], jax.vmap(over_channels)(images, rows, columns), 0.0)


def adjust_brightness(images: RGBImages, factor: PerImage) -> RGBImages:
    """Multiplies by the factor: 0 gives black, 1 changes nothing."""
    return jnp.clip(_spread(factor) * images, 0.0, 1.0)


def adjust_contrast(images: RGBImages, factor: PerImage) -> RGBImages:
    """Blends with the mean grey of the image: 0 gives that grey, 1 changes nothing."""
    return _blend(images, _grey(images.mean((1, 2), keepdims=True)), factor)


def adjust_saturation(images: RGBImages, factor: PerImage) -> RGBImages:
    """Blends with the grey of each pixel: 0 gives greyscale, 1 changes nothing."""
    return _blend(images, _grey(images), factor)


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
    k = hue + _spread(6.0 * shift) + _per_channel((5.0, 3.0, 1.0))
    k = k - 6.0 * jnp.floor(k * (1 / 6))
    return value - chroma * jnp.clip(jnp.minimum(k, 4.0 - k), 0.0, 1.0)


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


def light(images: RGBImages, amounts: Float32[Array, "batch 3"]) -> RGBImages:
    """Moves the colours of each image along the principal axes of ImageNet's colours.

    `amounts` are multiples of the standard deviation along each axis (Krizhevsky et al. 2012, section 4.1). Nothing is
    clipped, as in fb.resnet.torch.
    """
    axes = jnp.array(IMAGENET_COLOR_AXES, jnp.float32) * jnp.array([IMAGENET_COLOR_SPREADS], jnp.float32)
    return images + (amounts @ axes.T)[:, None, None]


@dataclass(frozen=True)
class Flip:
    """Swaps left and right with probability 1/2."""

    def __call__(self, key: PRNGKey, images: RGBImages) -> RGBImages:
        return flip_horizontally(images, jax.random.bernoulli(key, shape=(len(images),)))


@dataclass(frozen=True)
class Rotate:
    """Rotates by an angle that is uniform in [-degrees, degrees].

    Raises:
      BadInput: unless 0 < degrees <= 180.
    """

    degrees: float

    def __post_init__(self) -> None:
        if not 0 < self.degrees <= 180:
            raise BadInput(f"rotate:{self.degrees:g}: expected degrees above 0 and at most 180")

    def __call__(self, key: PRNGKey, images: RGBImages) -> RGBImages:
        return rotate(images, _uniform(key, -self.degrees, self.degrees, images))


@dataclass(frozen=True)
class ColorJitter:
    """Changes brightness, contrast, saturation and hue in random order, as torchvision.transforms.ColorJitter.

    Factors are uniform in [max(0, 1 - x), 1 + x], the shift of the hue in [-x, x] of the colour circle; a change with
    x = 0 is left out. torchvision draws an order per image; here the images of a batch share one, so that only one
    branch of each switch runs.

    Raises:
      BadInput: unless brightness, contrast and saturation are 0 or more and 0 <= hue <= 0.5.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) < math.inf:
                raise BadInput(f"color with {name} {getattr(self, name):g}: expected a number of at least 0")
        if not 0 <= self.hue <= 0.5:
            raise BadInput(f"color with hue {self.hue:g}: expected a number from 0 to 0.5")

    def __call__(self, key: PRNGKey, images: RGBImages) -> RGBImages:
        factors = (
            (adjust_brightness, self.brightness),
            (adjust_contrast, self.contrast),
            (adjust_saturation, self.saturation),
        )
        changes: list[tuple[Callable[[RGBImages, PerImage], RGBImages], float, float]]
        changes = [(adjust, max(0.0, 1.0 - x), 1.0 + x) for adjust, x in factors if x > 0]
        if self.hue > 0:
            changes.append((adjust_hue, -self.hue, self.hue))
        if not changes:
            return images
        adjustments, lows, highs = zip(*changes, strict=True)
        order_key, *keys = jax.random.split(key, len(changes) + 1)
        amounts = jnp.stack([_uniform(*draw, images) for draw in zip(keys, lows, highs, strict=True)])
        order = jax.random.permutation(order_key, len(changes))

        def change(step, images):
            return jax.lax.switch(order[step], adjustments, images, amounts[order[step]])

        return jax.lax.fori_loop(0, len(changes), change, images)


@dataclass(frozen=True)
class Crop:
    """Pads with black on every side and cuts out the original size at a random place (He et al. 2015, section 4.2).

    Raises:
      BadInput: unless the padding is a whole number of pixels of at least 1, and, when called, smaller than the height
        and width of the images.
    """

    padding: int

    def __post_init__(self) -> None:
        if not isinstance(self.padding, int) or self.padding < 1:
            raise BadInput(f"crop:{self.padding:g}: expected a whole number of pixels, at least 1")

    def __call__(self, key: PRNGKey, images: RGBImages) -> RGBImages:
        size = min(images.shape[1:3])
        if self.padding >= size:
            raise BadInput(f"crop:{self.padding}: expected fewer pixels than the images have ({size})")
        offsets = jax.random.randint(key, (len(images), 2), 0, 2 * self.padding + 1)
        return pad_and_crop(images, offsets, self.padding)


@dataclass(frozen=True)
class Scale:
    """Resizes to a side that is uniform in [least, most] and cuts out `size` x `size` pixels at a random place.

    He et al. 2015, section 3.4, with sides of 256 to 480 pixels and cuts of 224 x 224. In evaluation the network sees
    the whole image.

    Raises:
      BadInput: unless all three are whole numbers of pixels and 1 <= size <= least <= most.
    """

    size: int
    least: int
    most: int

    def __post_init__(self) -> None:
        numbers = (self.size, self.least, self.most)
        if not all(isinstance(number, int) for number in numbers) or not 1 <= self.size <= self.least <= self.most:
            given = ",".join(f"{number:g}" for number in numbers)
            raise BadInput(f"scale:{given}: expected whole numbers of pixels, SIZE <= LEAST <= MOST")

    def __call__(self, key: PRNGKey, images: RGBImages) -> RGBImages:
        side_key, offset_key = jax.random.split(key)
        # Rounding this interval gives every whole number the same share.
        sides = jnp.round(_uniform(side_key, self.least - 0.499, self.most + 0.499, images))
        room = (sides - self.size)[:, None]
        drawn = jax.random.uniform(offset_key, (len(images), 2), jnp.float32)
        return scale_and_cut(images, sides, jnp.minimum(jnp.floor(drawn * (room + 1)), room), self.size)


@dataclass(frozen=True)
class Lighting:
    """Moves the colours along ImageNet's principal axes by normally distributed amounts (Krizhevsky et al. 2012, 4.1).

    Raises:
      BadInput: unless `spread`, the standard deviation of the amounts that `light` takes, is above 0.
    """

    spread: float

    def __post_init__(self) -> None:
        if not 0 < self.spread < math.inf:
            raise BadInput(f"lighting:{self.spread:g}: expected a number above 0")

    def __call__(self, key: PRNGKey, images: RGBImages) -> RGBImages:
        return light(images, self.spread * jax.random.normal(key, (len(images), 3), jnp.float32))


Augmentation = Callable[[PRNGKey, RGBImages], RGBImages]
"""A random change of a batch: a function of a key and images (batch, height, width, 3), floats from 0 to 1."""
AUGMENTATIONS: dict[str, type[Flip | Rotate | ColorJitter | Crop | Scale | Lighting]] = {
    **{"flip": Flip, "rotate": Rotate, "color": ColorJitter},
    **{"lighting": Lighting, "crop": Crop, "scale": Scale},
}


def augment(augmentations: Sequence[Augmentation], key: PRNGKey, images: RGBImages) -> RGBImages:
    """Applies all augmentations in the given order, each with its own key."""
    for position, augmentation in enumerate(augmentations):
        images = augmentation(jax.random.fold_in(key, position), images)
    return images


def parse_augmentation(text: str) -> tuple[Augmentation, ...]:
    """Parses text such as `flip,rotate:15,color:0.2,0.2,0.2,0.1,crop:4`; `none` gives no augmentation.

    Raises:
      BadInput: for an unknown name, too many or too few numbers, or a number out of range.
    """
    if text.strip() == "none":
        return ()
    calls: list[tuple[str, list[float]]] = []
    for item in text.replace(":", ",").split(","):
        item = item.strip()
        number = _number(item)
        if item in AUGMENTATIONS:
            calls.append((item, []))
        elif number is not None and calls:
            calls[-1][1].append(number)
        else:
            hint = "".join(f"; did you mean {near}?" for near in closest(item, [*AUGMENTATIONS, "none"]))
            raise BadInput(f"--augment={text!r}: {item!r} is not understood{hint}; expected {SYNTAX}")
    for name, numbers in calls:
        takes = len(fields(AUGMENTATIONS[name]))
        if len(numbers) != takes:
            raise BadInput(
                f"--augment={text!r}: {name} takes {takes} number(s), {len(numbers)} given; expected {SYNTAX}"
            )
    # Each class checks its own numbers.
    return tuple(AUGMENTATIONS[name](*numbers) for name, numbers in calls)  # pyright: ignore[reportArgumentType]


def _spread(values: Array) -> Array:
    return values[:, None, None, None]


def _per_channel(values: tuple[float, float, float]) -> Float32[Array, "1 1 1 3"]:
    return jnp.array(values, jnp.float32)[None, None, None]


def _grey(images: Array) -> Array:
    red, green, blue = GREY_WEIGHTS
    return red * images[..., 0:1] + green * images[..., 1:2] + blue * images[..., 2:3]


def _blend(images: RGBImages, others: Array, factor: PerImage) -> RGBImages:
    factor = _spread(factor)
    return jnp.clip(factor * images + (1.0 - factor) * others, 0.0, 1.0)


def _uniform(key: PRNGKey, low: float, high: float, images: RGBImages) -> PerImage:
    return jax.random.uniform(key, (len(images),), jnp.float32, low, high)


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None
