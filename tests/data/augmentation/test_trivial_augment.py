"""TrivialAugment: each kind and strength is Pillow's, over torchvision's ranges, and all are drawn alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from resjax.data.augmentation import TrivialAugment, trivial_augment
from resjax.data.augmentation.trivial_augment import KINDS, change_each
from tests.data.augmentation.conftest import through_pillow

STRENGTHS = (0, 4, 11, 19, 30)
SIGNS = (1, -1)


def affine(*numbers: float):
    return lambda image: image.transform(image.size, Image.Transform.AFFINE, numbers, Image.Resampling.NEAREST)


def by_pillow(kind: str, strength: int, sign: int):
    """The change as torchvision makes it of a PIL image: the table of TrivialAugmentWide, then `_apply_op`."""
    share = strength / 30
    shear, pixels, factor = 0.99 * share * sign, int(32 * share) * sign, 1 + 0.99 * share * sign
    return {
        "identity": lambda image: image,
        "shear_x": affine(1, shear, 0, 0, 1, 0),
        "shear_y": affine(1, 0, 0, shear, 1, 0),
        "translate_x": affine(1, 0, -pixels, 0, 1, 0),
        "translate_y": affine(1, 0, 0, 0, 1, -pixels),
        "rotate": lambda image: image.rotate(135 * share * sign, Image.Resampling.NEAREST),
        "brightness": lambda image: ImageEnhance.Brightness(image).enhance(factor),
        "color": lambda image: ImageEnhance.Color(image).enhance(factor),
        "contrast": lambda image: ImageEnhance.Contrast(image).enhance(factor),
        "sharpness": lambda image: ImageEnhance.Sharpness(image).enhance(factor),
        "posterize": lambda image: ImageOps.posterize(image, 8 - round(6 * share)),
        "solarize": lambda image: ImageOps.solarize(image, 255 - 255 * strength / 30),
        "autocontrast": ImageOps.autocontrast,
        "equalize": ImageOps.equalize,
    }[kind]


@pytest.fixture(scope="module")
def changed(images) -> dict[str, np.ndarray]:
    """The first picture with every kind, strength and sign: (strength and sign, height, width, 3) for each kind."""
    rows = [(kind, strength, sign) for kind in range(len(KINDS)) for strength in STRENGTHS for sign in SIGNS]
    kinds, strengths, signs = (jnp.array(column) for column in zip(*rows, strict=True))
    # All in one batch: each image has its own kind.
    found = jax.jit(change_each)(
        jnp.tile(images[:1], (len(rows), 1, 1, 1)), kinds, strengths, signs.astype(jnp.float32)
    )
    return dict(zip(KINDS, np.split(np.asarray(found), len(KINDS)), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_pillows_over_torchvisions_ranges(kind, changed, pixels):
    cases = [by_pillow(kind, strength, sign) for strength in STRENGTHS for sign in SIGNS]
    expected = np.concatenate([through_pillow(change, pixels[:1]) for change in cases])
    # Blends and contrast are rounded by Pillow; all other changes have its very numbers.
    rounded = kind in ("brightness", "color", "contrast", "sharpness", "autocontrast")
    np.testing.assert_allclose(changed[kind], expected, atol=2 / 255 if rounded else 1e-6)


def test_kinds_strengths_and_directions_are_drawn_alike_for_every_image(monkeypatch):
    drawn = []
    monkeypatch.setattr(trivial_augment, "change_each", lambda images, *numbers: drawn.extend(numbers) or images)
    TrivialAugment()(jax.random.key(0), jnp.zeros((20_000, 1, 1, 3)))
    kinds, strengths, signs = (np.asarray(numbers) for numbers in drawn)
    np.testing.assert_allclose(np.bincount(kinds, minlength=14) / 20_000, 1 / 14, atol=0.008)
    np.testing.assert_allclose(np.bincount(strengths, minlength=31) / 20_000, 1 / 31, atol=0.006)
    assert set(signs) == {1.0, -1.0} and abs(signs.mean()) < 0.03
    assert abs(np.corrcoef([kinds, strengths, signs])[np.triu_indices(3, 1)]).max() < 0.03
