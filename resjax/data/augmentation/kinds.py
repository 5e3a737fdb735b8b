"""The kinds of random changes, each a frozen dataclass that is called with a key and a batch.

The order of the colour jitter is drawn once a batch (torchvision: once an image): `lax.switch` on a scalar runs one
branch, on a batch it would compute all four.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32

from resjax.data.augmentation.colors import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    light,
)
from resjax.data.augmentation.geometry import (
    crop_and_resize,
    flip_horizontally,
    pad_and_crop,
    rotate,
    scale_and_cut,
)
from resjax.data.augmentation.pixels import PerImage, RGBImages, uniform
from resjax.errors import BadInput
from resjax.types import PRNGKey

ATTEMPTS = 10
"""How many boxes `ResizedCrop` draws for an image before it takes the one in the centre."""


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
        return rotate(images, uniform(key, -self.degrees, self.degrees, images))


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
        amounts = jnp.stack([uniform(*draw, images) for draw in zip(keys, lows, highs, strict=True)])
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
        sides = jnp.round(uniform(side_key, self.least - 0.499, self.most + 0.499, images))
        room = (sides - self.size)[:, None]
        drawn = jax.random.uniform(offset_key, (len(images), 2), jnp.float32)
        return scale_and_cut(images, sides, jnp.minimum(jnp.floor(drawn * (room + 1)), room), self.size)


@dataclass(frozen=True)
class ResizedCrop:
    """Cuts out a box of a random area and shape at a random place and resizes it to the size of the images.

    torchvision's `RandomResizedCrop` (Szegedy et al. 2015, section 6): the area is uniform in [least, most] of the
    image's, the ratio of width to height log-uniform in [narrowest, widest]. Of ten such boxes the first that fits the
    image is taken; if none fits, the largest box in the centre whose ratio is allowed. Bilinear with antialiasing.

    Raises:
      BadInput: unless 0 < least <= most <= 1 and 0.01 <= narrowest <= widest <= 100.
    """

    least: float
    most: float
    narrowest: float = 3 / 4
    widest: float = 4 / 3

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.most <= 1:
            raise BadInput(
                f"resized_crop:{self.least:g},{self.most:g}: expected shares of the area, 0 < LEAST <= MOST <= 1"
            )
        if not 0.01 <= self.narrowest <= self.widest <= 100:
            raise BadInput(
                f"resized_crop with ratios {self.narrowest:g} to {self.widest:g}: expected width over height, "
                "0.01 <= NARROWEST <= WIDEST <= 100"
            )

    def __call__(self, key: PRNGKey, images: RGBImages) -> RGBImages:
        return crop_and_resize(images, self.boxes(key, *images.shape[:3]))

    def boxes(self, key: PRNGKey, count: int, height: int, width: int) -> Float32[Array, "batch 4"]:
        """The boxes (top, left, height, width) of `count` images, in whole pixels."""
        area_key, ratio_key, place_key = jax.random.split(key, 3)
        shape = (count, ATTEMPTS)
        areas = height * width * jax.random.uniform(area_key, shape, jnp.float32, self.least, self.most)
        low, high = math.log(self.narrowest), math.log(self.widest)
        ratios = jnp.exp(jax.random.uniform(ratio_key, shape, jnp.float32, low, high))
        sizes = jnp.stack([jnp.round(jnp.sqrt(areas / ratios)), jnp.round(jnp.sqrt(areas * ratios))], -1)
        whole = jnp.array([height, width], jnp.float32)
        fits = ((sizes > 0) & (sizes <= whole[None, None])).all(-1)
        chosen = jnp.take_along_axis(sizes, fits.argmax(1)[:, None, None], 1)[:, 0]
        centred = jnp.array([self._centred(height, width)], jnp.float32)
        found = fits.any(1)[:, None]
        sizes = jnp.where(found, chosen, centred)
        room = whole[None] - sizes
        drawn = jax.random.uniform(place_key, (count, 2), jnp.float32)
        places = jnp.where(found, jnp.minimum(jnp.floor(drawn * (room + 1)), room), jnp.floor(room / 2))
        return jnp.concatenate([places, sizes], 1)

    def _centred(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the largest box whose ratio is allowed."""
        if width < self.narrowest * height:
            return max(1, round(width / self.narrowest)), width
        return height, max(1, min(width, round(height * self.widest)))


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
