"""What a benchmark measures: a network at one size, batch and precision, on generated images."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resjax.errors import BadInput
from resjax.models.architecture import Architecture, architecture
from resjax.training.recipe import Recipe

CLASSES = 5
RECIPE = Recipe()
"""The recipe of the first exercise: Adam 5e-4, decay 5e-4, batches of 24, 10 epochs."""
AUGMENT = "flip,rotate:15,color:0.2,0.2,0.2,0.1"
"""The augmentation of the first exercise."""
PHOTOGRAPHS = 1166
"""How many photographs the first exercise has."""


@dataclass(frozen=True)
class Case:
    """One network at one size, batch and precision."""

    architecture: Architecture
    image_size: int
    batch_size: int
    dtype: str


def make_cases(
    names: str, image_sizes: Sequence[int], batch_sizes: Sequence[int], dtype: str, **sizes: object
) -> list[Case]:
    """Every network, named in a text with commas, at every size and batch; `sizes` are fields of `Architecture`.

    Raises:
      BadInput: for an unknown architecture.
    """
    return [
        Case(architecture(name.strip(), **sizes), image_size, batch_size, dtype)
        for name, image_size, batch_size in itertools.product(names.split(","), image_sizes, batch_sizes)
    ]


def parse_sizes(flag: str, text: str, least: int) -> tuple[int, ...]:
    """Integers of `least` or more, joined by commas.

    Raises:
      BadInput: for anything else.
    """
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) >= least for part in parts):
        raise BadInput(f"--{flag}={text!r}: expected integers of {least} or more, joined by commas")
    return tuple(int(part) for part in parts)


def random_images(count: int, image_size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (image, height, width, 3) in uint8 and labels (image,) in int32, the same for both sides."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, image_size, image_size, 3), np.uint8)
    return pixels, rng.integers(0, CLASSES, count, np.int32)
