"""Augmentations by their names, from text such as `flip,rotate:15`."""

from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields

import jax

from resjax.data.augmentation.kinds import ColorJitter, Crop, Flip, Lighting, ResizedCrop, Rotate, Scale
from resjax.data.augmentation.pixels import RGBImages
from resjax.data.augmentation.trivial_augment import TrivialAugment
from resjax.errors import BadInput, closest
from resjax.types import PRNGKey

SYNTAX = (
    "flip, rotate:DEGREES, color:BRIGHTNESS,CONTRAST,SATURATION,HUE, lighting:SPREAD, crop:PIXELS, "
    "scale:SIZE,LEAST,MOST, resized_crop:LEAST,MOST, trivial_augment, joined by commas, or none"
)
"""What `--augment` takes."""

Augmentation = Callable[[PRNGKey, RGBImages], RGBImages]
"""A random change of a batch: a function of a key and images (batch, height, width, 3), floats from 0 to 1."""
AUGMENTATIONS: dict[str, type[Flip | Rotate | ColorJitter | Crop | Scale | Lighting | ResizedCrop | TrivialAugment]] = {
    **{"flip": Flip, "rotate": Rotate, "color": ColorJitter},
    **{"lighting": Lighting, "crop": Crop, "scale": Scale, "resized_crop": ResizedCrop},
    "trivial_augment": TrivialAugment,
}
"""By name, as `--augment` takes them."""


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
        its = fields(AUGMENTATIONS[name])
        least, most = sum(each.default is MISSING for each in its), len(its)
        if not least <= len(numbers) <= most:
            takes = f"{least}" if least == most else f"{least} to {most}"
            raise BadInput(
                f"--augment={text!r}: {name} takes {takes} number(s), {len(numbers)} given; expected {SYNTAX}"
            )
    # Each class checks its own numbers.
    return tuple(AUGMENTATIONS[name](*numbers) for name, numbers in calls)  # pyright: ignore[reportArgumentType]


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None
