"""Random changes to a batch of training images: pure functions of a key and a batch, on the device, inside jit.

Images are float32 in [0, 1], NHWC. Each kind has a deterministic function with explicit amounts per image, and a frozen
dataclass that draws those amounts. Amounts are drawn anew for every image.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int, UInt8

from resjax.types import BadInput, PRNGKey

RGBImages = Float32[Array, "batch height width 3"]
PerImage = Float32[Array, " batch"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
GREY_WEIGHTS = (0.299, 0.587, 0.114)
"""Luma of ITU-R BT.601, as Pillow and torchvision weigh the channels."""
# Principal axes of ImageNet's RGB values in [0, 1], a row a channel and a column an axis, and how far colours spread
# along each (https://github.com/facebookarchive/fb.resnet.torch/blob/master/datasets/imagenet.lua).
IMAGENET_COLOR_AXES = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
IMAGENET_COLOR_SPREADS = (0.2175, 0.0188, 0.0045)
SYNTAX = (
    "flip, rotate:DEGREES, color:BRIGHTNESS,CONTRAST,SATURATION,HUE, lighting:SPREAD, crop:PIXELS, "
    "scale:SIZE,LEAST,MOST, joined by commas, or none"
)


def to_float(images: UInt8[Array, "batch height width 3"]) -> RGBImages:
    """Pixels 0 to 255 as float32 in [0, 1]."""
    return images.astype(jnp.float32) / 255.0


def standardize(images: RGBImages) -> RGBImages:
    """Less ImageNet's mean, divided by its standard deviation, for each channel."""
    return (images - _per_channel(IMAGENET_MEAN)) / _per_channel(IMAGENET_STD)


def flip_horizontally(images: RGBImages, flipped: Bool[Array, " batch"]) -> RGBImages:
    """Left and right swapped in the images that `flipped` marks."""
    return jnp.where(_spread(flipped), images[:, :, ::-1], images)


def rotate(images: RGBImages, degrees: PerImage) -> RGBImages:
    """Counter-clockwise about the centre, bilinear, black where the source ends.

    As PIL.Image.rotate(degrees, resample=BILINEAR): pixel centres lie at halves, and half a pixel at the border repeats
    the outermost pixels.
    """
    height, width = images.shape[1:3]
    angle = jnp.deg2rad(degrees)[:, None, None]
    down = jnp.arange(height, dtype=jnp.float32)[None, :, None] + (0.5 - height / 2)
    right = jnp.arange(width, dtype=jnp.float32)[None, None, :] + (0.5 - width / 2)
    rows = jnp.cos(angle) * down + jnp.sin(angle) * right + height / 2
    columns = jnp.cos(angle) * right - jnp.sin(angle) * down + width / 2
    # The slack lets the border of a quarter turn fall as in exact arithmetic: its cosine is not quite 0 in float32.
    slack = 1e-4
    inside = (rows >= -slack) & (rows < height - slack) & (columns >= -slack) & (columns < width - slack)

    def sample(plane, rows, columns):
        return jax.scipy.ndimage.map_coordinates(plane, [rows - 0.5, columns - 0.5], order=1, mode="nearest")

    over_channels = jax.vmap(sample, in_axes=(2, None, None), out_axes=2)
    return jnp.where(inside[..., None], jax.vmap(over_channels)(images, rows, columns), 0.0)


def adjust_brightness(images: RGBImages, factor: PerImage) -> RGBImages:
    """Times the factor: 0 is black, 1 changes nothing."""
    return jnp.clip(_spread(factor) * images, 0.0, 1.0)


def adjust_contrast(images: RGBImages, factor: PerImage) -> RGBImages:
    """Blended with the image's mean grey: 0 is that grey, 1 changes nothing."""
    return _blend(images, _grey(images.mean((1, 2), keepdims=True)), factor)


def adjust_saturation(images: RGBImages, factor: PerImage) -> RGBImages:
    """Blended with the grey of each pixel: 0 is greyscale, 1 changes nothing."""
    return _blend(images, _grey(images), factor)


def adjust_hue(images: RGBImages, shift: PerImage) -> RGBImages:
    """The hue of HSV turned by `shift` of the colour circle: 1/3 takes red to green; saturation and value stay.

    The way back to RGB is the closed form V - C max(0, min(k, 4 - k, 1)), k = (n + H) mod 6, n = 5, 3, 1 for R, G, B
    (https://en.wikipedia.org/wiki/HSL_and_HSV#HSV_to_RGB_alternative), which needs no case for each sixth.
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
    """The original size, cut at `offsets` (rows, columns; 0 to 2 * padding) from the image with a black border."""
    padded = jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))

    def cut(image, offset):
        return jax.lax.dynamic_slice(image, (offset[0], offset[1], 0), images.shape[1:])

    return jax.vmap(cut)(padded, offsets)


def scale_and_cut(images: RGBImages, sides: PerImage, offsets: Float32[Array, "batch 2"], size: int) -> RGBImages:
    """Scaled to `sides` x `sides` pixels, of which `size` x `size` are cut out at `offsets` (rows, columns).

    Bilinear with antialiasing, as PIL.Image.resize(resample=BILINEAR) and crop where sides and offsets are whole
    numbers.
    """
    height, width = images.shape[1:3]

    def cut(image, side, offset):
        scales = side / jnp.array([height, width], jnp.float32)
        return jax.image.scale_and_translate(image, (size, size, 3), (0, 1), scales, -offset, "linear")

    return jax.vmap(cut)(images, sides, offsets)


def light(images: RGBImages, amounts: Float32[Array, "batch 3"]) -> RGBImages:
    """Each image's colour moved along the principal axes of ImageNet's colours, by these multiples of their spreads.

    Nothing is clipped, as in the torch code of the paper's authors.
    """
    axes = jnp.array(IMAGENET_COLOR_AXES, jnp.float32) * jnp.array([IMAGENET_COLOR_SPREADS], jnp.float32)
    return images + (amounts @ axes.T)[:, None, None]


@dataclass(frozen=True)
class Flip:
    """Left and right swapped with probability 1/2."""

    def __call__(self, key: PRNGKey, images: RGBImages) -> RGBImages:
        return flip_horizontally(images, jax.random.bernoulli(key, shape=(len(images),)))


@dataclass(frozen=True)
class Rotate:
    """Turned by an angle uniform in [-degrees, degrees].

    Raises:
      BadInput: unless 0 < degrees <= 180.
    """

    degrees: float

    def __post_init__(self) -> None:
        if not 0 < self.degrees <= 180:
            raise BadInput(f"rotate:{self.degrees:g}: degrees above 0 and at most 180 are accepted")

    def __call__(self, key: PRNGKey, images: RGBImages) -> RGBImages:
        return rotate(images, _uniform(key, -self.degrees, self.degrees, images))


@dataclass(frozen=True)
class ColorJitter:
    """Brightness, contrast, saturation and hue changed in a random order, as torchvision.transforms.ColorJitter.

    Factors are uniform in [max(0, 1 - x), 1 + x], the hue's shift in [-x, x] of the colour circle; what has x = 0 is
    left out. torchvision draws an order for each image; here a batch shares one, so that only one branch runs.

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
                raise BadInput(f"color with {name} {getattr(self, name):g}: a number of 0 or more is accepted")
        if not 0 <= self.hue <= 0.5:
            raise BadInput(f"color with hue {self.hue:g}: a number from 0 to 0.5 is accepted")

    def __call__(self, key: PRNGKey, images: RGBImages) -> RGBImages:
        factors = (
            (adjust_brightness, self.brightness),
            (adjust_contrast, self.contrast),
            (adjust_saturation, self.saturation),
        )
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
    """Padded with black on every side, then cut to the original size at a random place (He et al. 2015, section 4.2).

    Raises:
      BadInput: unless the padding is a whole number of pixels, 1 or more; when called, unless it is below the images'
        height and width.
    """

    padding: int

    def __post_init__(self) -> None:
        if not isinstance(self.padding, int) or self.padding < 1:
            raise BadInput(f"crop:{self.padding:g}: a whole number of pixels, 1 or more, is accepted")

    def __call__(self, key: PRNGKey, images: RGBImages) -> RGBImages:
        size = min(images.shape[1:3])
        if self.padding >= size:
            raise BadInput(f"crop:{self.padding}: fewer pixels than the images have ({size}) are accepted")
        offsets = jax.random.randint(key, (len(images), 2), 0, 2 * self.padding + 1)
        return pad_and_crop(images, offsets, self.padding)


@dataclass(frozen=True)
class Scale:
    """Scaled to a side uniform in [least, most], of which a square is cut out at a random place: smaller images.

    He et al. 2015, section 3.4: a shorter side of 256 to 480 pixels, and 224 x 224 of it. In evaluation the network
    sees the whole image.

    Raises:
      BadInput: unless these are whole numbers and 1 <= size <= least <= most.
    """

    size: int
    least: int
    most: int

    def __post_init__(self) -> None:
        numbers = (self.size, self.least, self.most)
        if not all(isinstance(number, int) for number in numbers) or not 1 <= self.size <= self.least <= self.most:
            given = ",".join(f"{number:g}" for number in numbers)
            raise BadInput(f"scale:{given}: whole numbers of pixels, SIZE <= LEAST <= MOST, are accepted")

    def __call__(self, key: PRNGKey, images: RGBImages) -> RGBImages:
        side_key, offset_key = jax.random.split(key)
        # Rounded up from just below: each whole number has the same share.
        sides = jnp.round(_uniform(side_key, self.least - 0.499, self.most + 0.499, images))
        room = (sides - self.size)[:, None]
        drawn = jax.random.uniform(offset_key, (len(images), 2), jnp.float32)
        return scale_and_cut(images, sides, jnp.minimum(jnp.floor(drawn * (room + 1)), room), self.size)


@dataclass(frozen=True)
class Lighting:
    """Colours moved along the principal axes of ImageNet's, normally distributed (Krizhevsky et al. 2012, section 4.1).

    Raises:
      BadInput: unless the standard deviation, in spreads of each axis, is above 0.
    """

    spread: float

    def __post_init__(self) -> None:
        if not 0 < self.spread < math.inf:
            raise BadInput(f"lighting:{self.spread:g}: a number above 0 is accepted")

    def __call__(self, key: PRNGKey, images: RGBImages) -> RGBImages:
        return light(images, self.spread * jax.random.normal(key, (len(images), 3), jnp.float32))


Augmentation = Flip | Rotate | ColorJitter | Crop | Scale | Lighting
AUGMENTATIONS: dict[str, type[Augmentation]] = {
    **{"flip": Flip, "rotate": Rotate, "color": ColorJitter},
    **{"lighting": Lighting, "crop": Crop, "scale": Scale},
}


def augment(augmentations: Sequence[Augmentation], key: PRNGKey, images: RGBImages) -> RGBImages:
    """All augmentations in the order given, each with a key of its own."""
    for position, augmentation in enumerate(augmentations):
        images = augmentation(jax.random.fold_in(key, position), images)
    return images


def parse_augmentation(text: str) -> tuple[Augmentation, ...]:
    """Augmentations from text such as `flip,rotate:15,color:0.2,0.2,0.2,0.1,crop:4`; `none` is no augmentation.

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
            raise BadInput(f"--augment={text!r}: {item!r} is not understood; accepted are {SYNTAX}")
    for name, numbers in calls:
        takes = len(fields(AUGMENTATIONS[name]))
        if len(numbers) != takes:
            raise BadInput(
                f"--augment={text!r}: {name} takes {takes} number(s), {len(numbers)} given; accepted are {SYNTAX}"
            )
    return tuple(AUGMENTATIONS[name](*numbers) for name, numbers in calls)


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
