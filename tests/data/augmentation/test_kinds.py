"""Augmentation against Pillow, colorsys and closed forms; the distributions of the draws; the parser."""

import colorsys
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from resjax.data.augmentation import (
    IMAGENET_COLOR_AXES,
    IMAGENET_COLOR_SPREADS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    ColorJitter,
    Crop,
    Flip,
    Lighting,
    ResizedCrop,
    Rotate,
    Scale,
    TrivialAugment,
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    augment,
    autocontrast,
    crop_and_resize,
    equalize,
    light,
    pad_and_crop,
    parse_augmentation,
    posterize,
    rotate,
    scale_and_cut,
    solarize,
    standardize,
    to_float,
)
from resjax.errors import BadInput
from tests.data.augmentation.conftest import through_pillow

KEY = jax.random.key(0)
EVERYTHING = parse_augmentation(
    "flip,trivial_augment,resized_crop:0.2,1,rotate:15,color:0.2,0.2,0.2,0.1,lighting:0.1,crop:4,scale:9,12,15"
)


@pytest.mark.parametrize(
    "adjust, enhance",
    [
        (adjust_brightness, ImageEnhance.Brightness),
        (adjust_contrast, ImageEnhance.Contrast),
        (adjust_saturation, ImageEnhance.Color),
        (adjust_sharpness, ImageEnhance.Sharpness),
    ],
)
@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.7])
def test_blends_are_pillows_within_its_rounding(adjust, enhance, factor, pixels, images):
    reference = through_pillow(lambda image: enhance(image).enhance(factor), pixels)
    # Pillow rounds what it blends with and cuts the fraction of the result: up to 0.5 |1 - factor| + 1 levels.
    np.testing.assert_allclose(adjust(images, jnp.full(2, factor)), reference, atol=1.5 / 255)


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_posterizing_is_pillows(bits, pixels, images):
    expected = through_pillow(lambda image: ImageOps.posterize(image, bits), pixels)
    np.testing.assert_allclose(posterize(images, jnp.full(2, bits)), expected, atol=1e-6)


@pytest.mark.parametrize("threshold", [0, 119, 255])
def test_solarizing_is_pillows(threshold, pixels, images):
    expected = through_pillow(lambda image: ImageOps.solarize(image, threshold), pixels)
    np.testing.assert_allclose(solarize(images, jnp.full(2, threshold / 255)), expected, atol=1e-6)


def test_equalizing_is_pillows_and_a_stretched_contrast_too_within_its_rounding(pixels):
    dark = pixels // 3 + 20
    # Two channels without a range, and too few pixels that are not white to be equalized.
    dark[1, :, :, 0], dark[1, :, :, 1] = 7, 255
    dark[1, :10, :10, 1] = 3
    images = to_float(jnp.asarray(dark))
    np.testing.assert_allclose(equalize(images), through_pillow(ImageOps.equalize, dark), atol=1e-6)
    np.testing.assert_allclose(autocontrast(images), through_pillow(ImageOps.autocontrast, dark), atol=1.01 / 255)


@pytest.mark.parametrize("shift", [-0.5, -0.1, 0.0, 0.07, 1 / 3, 0.5])
def test_hue_turns_in_hsv_as_colorsys_does(shift, pixels, images):
    def turn(pixel):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        return colorsys.hsv_to_rgb((hue + shift) % 1.0, saturation, value)

    reference = np.apply_along_axis(turn, -1, pixels / 255)
    np.testing.assert_allclose(adjust_hue(images, jnp.full(2, shift)), reference, atol=2e-6)


def test_a_third_of_the_colour_circle_permutes_the_channels(images):
    np.testing.assert_allclose(adjust_hue(images, jnp.full(2, 1 / 3)), images[..., (2, 0, 1)], atol=2e-6)


@pytest.mark.parametrize("degrees", [0, 7, -15, 90, 133, 180])
def test_rotation_is_pillows_within_its_rounding(degrees, pixels, images):
    reference = through_pillow(lambda image: image.rotate(degrees, resample=Image.Resampling.BILINEAR), pixels)
    np.testing.assert_allclose(rotate(images, jnp.full(2, float(degrees))), reference, atol=1.01 / 255)


def test_every_image_turns_by_its_own_angle(images):
    together = rotate(images, jnp.array([10.0, -30.0]))
    np.testing.assert_array_equal(together[1:], rotate(images[1:], jnp.array([-30.0])))
    np.testing.assert_array_equal(together[:1], rotate(images[:1], jnp.array([10.0])))


def test_a_crop_is_a_window_of_the_padded_image(images):
    padded = np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)))
    cut = pad_and_crop(images, jnp.array([[0, 6], [2, 3]]), 3)
    np.testing.assert_array_equal(cut[0], padded[0, 0:21, 6:24])
    np.testing.assert_array_equal(cut[1], padded[1, 2:23, 3:21])


@pytest.mark.parametrize("side", [9, 12, 18, 31])
def test_a_scaled_cut_is_pillows_resize_and_crop_within_its_rounding(side, pixels, images):
    offset = (side - 9) // 2
    cut = scale_and_cut(images, jnp.full(2, float(side)), jnp.full((2, 2), float(offset)), 9)
    box = (offset, offset, offset + 9, offset + 9)
    expected = through_pillow(lambda image: image.resize((side, side), Image.Resampling.BILINEAR).crop(box), pixels)
    np.testing.assert_allclose(cut, expected, atol=1.5 / 255)


@pytest.mark.parametrize("box", [(0, 0, 21, 18), (3, 2, 14, 9), (5, 1, 4, 16), (20, 17, 1, 1)])
def test_a_resized_box_is_pillows_crop_and_resize_within_its_rounding(box, pixels, images):
    top, left, height, width = box
    resized = crop_and_resize(images, jnp.tile(jnp.array([box], jnp.float32), (2, 1)))

    def crop(image):
        return image.crop((left, top, left + width, top + height)).resize((18, 21), Image.Resampling.BILINEAR)

    np.testing.assert_allclose(resized, through_pillow(crop, pixels), atol=1.5 / 255)


def test_a_resized_box_has_torchvisions_numbers():
    # torchvision 0.28.0, v2.functional.resized_crop(..., antialias=True) of a ramp: enlarged, also in one direction.
    ramp = jnp.tile(jnp.arange(20.0).reshape(1, 4, 5, 1) / 20, (1, 1, 1, 3))
    found = crop_and_resize(jnp.tile(ramp, (2, 1, 1, 1)), jnp.array([[0, 1, 3, 2], [1, 0, 2, 5]], jnp.float32))[..., 0]
    rows = np.array([0.05, 0.20625, 0.39375, 0.55])[:, None]
    np.testing.assert_allclose(found[0], rows + np.array([0, 0.005, 0.025, 0.045, 0.05]), atol=1e-6)
    np.testing.assert_allclose(found[1], np.array([0.25, 0.3125, 0.4375, 0.5])[:, None] + np.arange(5) / 20, atol=1e-6)


def test_boxes_have_the_areas_and_ratios_that_were_asked_for_and_lie_anywhere():
    # So large that whole pixels do not matter, and so small a share that every box fits.
    top, left, height, width = np.asarray(ResizedCrop(0.1, 0.4).boxes(KEY, 8000, 3000, 2000)).T
    quantiles = [0.01, 0.25, 0.5, 0.75, 0.99]
    areas, ratios = height * width / 6e6, np.log(width / height) / math.log(4 / 3)
    np.testing.assert_allclose(np.quantile(areas, quantiles), 0.1 + 0.3 * np.array(quantiles), atol=0.01)
    np.testing.assert_allclose(np.quantile(ratios, quantiles), -1 + 2 * np.array(quantiles), atol=0.05)
    for place, size, whole in ((top, height, 3000), (left, width, 2000)):
        assert place.min() >= 0 and (place + size).max() <= whole
        np.testing.assert_allclose(np.quantile(place / (whole - size), quantiles), quantiles, atol=0.03)


@pytest.mark.parametrize(("shape", "box"), [((10, 80), (0, 33, 10, 13)), ((80, 10), (33, 0, 13, 10))])
def test_where_no_box_fits_the_largest_in_the_centre_is_taken(shape, box):
    # A box of 90 % of the area would have a ratio of about 8; these are torchvision 0.28.0's boxes.
    found = np.asarray(ResizedCrop(0.9, 1.0).boxes(KEY, 50, *shape))
    assert np.array_equal(found, np.tile(box, (50, 1)))


def test_sides_and_places_of_scaled_cuts_are_uniform_and_reach_every_number():
    # The values of the rows are their numbers, so that a cut shows its place. Columns do not matter.
    ramp = jnp.broadcast_to(jnp.linspace(0.5, 63.5, 64)[None, :, None, None], (4000, 64, 4, 3)) / 64
    cut = np.asarray(Scale(8, 16, 18)(KEY, ramp))
    assert cut.shape == (4000, 8, 8, 3)
    # Between neighbouring pixels of a cut there is 1 / side of the picture; at the border less.
    sides = np.round(1 / (cut[:, 4, 0, 0] - cut[:, 3, 0, 0])).astype(int)
    counts = np.bincount(sides)[16:]
    assert len(counts) == 3 and np.allclose(counts / 4000, 1 / 3, atol=0.03)
    tops = np.round(cut[:, 3, 0, 0] * sides - 3.5).astype(int)
    assert {*tops[sides == 16]} == set(range(9)) and {*tops[sides == 18]} == set(range(11))


def test_lighting_moves_a_whole_image_along_the_principal_axes(images):
    axes = np.array(IMAGENET_COLOR_AXES)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-3)
    grey = jnp.full((20000, 1, 1, 3), 0.5)
    moved = np.asarray(Lighting(0.1)(KEY, grey))[:, 0, 0] - 0.5
    expected = 0.1**2 * axes @ np.diag(np.square(IMAGENET_COLOR_SPREADS)) @ axes.T
    np.testing.assert_allclose(np.cov(moved.T), expected, atol=0.03 * expected.max())
    shift = np.asarray(light(images, jnp.array([[1.0, 0, 0], [0, 0, 0]])) - images)
    np.testing.assert_allclose(shift[0], np.broadcast_to(0.2175 * axes[:, 0], shift[0].shape), atol=1e-6)
    assert not shift[1].any()


def test_flips_half_of_the_images(images):
    many = jnp.tile(images[:1], (2000, 1, 1, 1))
    flipped = np.asarray((Flip()(KEY, many) == many[:, :, ::-1]).all((1, 2, 3)))
    kept = np.asarray((Flip()(KEY, many) == many).all((1, 2, 3)))
    assert np.array_equal(kept, ~flipped) and 0.45 < flipped.mean() < 0.55


def test_angles_are_uniform_in_the_range():
    # A white left half: the column where a row turns black moves with the tangent of the angle.
    half = jnp.zeros((2000, 33, 33, 3)).at[:, :, :16].set(1.0)
    turned = Rotate(20.0)(KEY, half)[..., 0]
    tangents = (turned[:, 26, 6:].sum(-1) - turned[:, 6, 6:].sum(-1)) / 20
    angles = np.degrees(np.arctan(tangents))
    assert -20.2 < angles.min() < -19 and 19 < angles.max() < 20.2
    np.testing.assert_allclose(np.quantile(angles, [0.25, 0.5, 0.75]), [-10, 0, 10], atol=1.5)


@pytest.mark.parametrize(
    "jitter, low, high",
    [(ColorJitter(0.3, 0, 0, 0), 0.7, 1.3), (ColorJitter(1.5, 0, 0, 0), 0.0, 2.5)],
    ids=["around_one", "never_below_zero"],
)
def test_factors_are_uniform_in_the_range(jitter, low, high):
    grey = jnp.full((2000, 1, 1, 3), 0.4)
    factors = np.asarray(jitter(KEY, grey))[:, 0, 0, 0] / 0.4
    quantiles = low + (high - low) * np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(np.quantile(factors, [0, 0.25, 0.5, 0.75, 1]), quantiles, atol=0.05 * (high - low))


def test_a_shift_of_hue_is_uniform_in_the_range():
    red = jnp.tile(jnp.array([1.0, 0.0, 0.0]), (2000, 1, 1, 1))
    red_, green, blue = np.asarray(ColorJitter(0, 0, 0, 0.1)(KEY, red))[:, 0, 0].T
    np.testing.assert_allclose(red_, 1.0)
    shifts = (green - blue) / 6
    np.testing.assert_allclose(np.quantile(shifts, [0, 0.25, 0.5, 0.75, 1]), [-0.1, -0.05, 0, 0.05, 0.1], atol=0.01)


def test_the_order_is_drawn_by_the_key_for_a_whole_batch():
    # Black and white halves. Where brightness > 1 comes first, white is clipped, and contrast < 1 then moves black and
    # white equally far: they add up to 1. Where brightness comes last, they add up to more wherever black is grey.
    halves = jnp.zeros((64, 2, 2, 3)).at[:, :, 0].set(1.0)
    run = jax.jit(jax.vmap(ColorJitter(1.0, 1.0, 0, 0), in_axes=(0, None)))
    white, black = np.moveaxis(np.asarray(run(jax.random.split(KEY, 12), halves))[:, :, 0, :, 0], -1, 0)
    brightness_first = ((black > 0) & (abs(black + white - 1) < 1e-6)).sum(1)
    assert sum(brightness_first == 0) in range(1, 12)
    assert all(count == 0 or count > 4 for count in brightness_first)


def test_offsets_of_crops_reach_every_place():
    point = jnp.zeros((600, 5, 5, 3)).at[:, 2, 2].set(1.0)
    places = np.asarray(Crop(2)(KEY, point)).sum((0, 3)) / 3
    assert places.sum() == 600 and places.min() > 8


def test_no_amount_of_colour_changes_nothing(images):
    np.testing.assert_array_equal(ColorJitter(0, 0, 0, 0)(KEY, images), images)


def test_equal_augmentations_in_a_row_draw_apart(images):
    once = Rotate(15.0)(jax.random.fold_in(KEY, 0), images)
    twice = augment((Rotate(15.0), Rotate(15.0)), KEY, images)
    assert not np.allclose(twice, Rotate(15.0)(jax.random.fold_in(KEY, 0), once))


def test_a_key_decides_the_batch_in_a_loop_as_under_scan_and_vmap_with_strict_promotion(images):
    keys = jax.random.split(KEY, 3)
    with jax.numpy_dtype_promotion("strict"):
        run = jax.jit(lambda key: augment(EVERYTHING, key, images))
        looped = jnp.stack([run(key) for key in keys])
        _, together = jax.lax.scan(lambda carry, keys: (carry, jax.vmap(run)(keys)), None, keys[None])
    assert looped.dtype == jnp.float32 and looped.shape == (3, 2, 9, 9, 3)
    np.testing.assert_allclose(together[0], looped, atol=1e-5)
    np.testing.assert_array_equal(run(keys[0]), looped[0])
    assert not np.array_equal(looped[0], looped[1])
    # Only lighting leaves [0, 1], by little.
    assert -0.2 < looped.min() and looped.max() < 1.2


def test_standardized_images_have_imagenets_mean_at_zero():
    mean, deviation = (jnp.tile(jnp.array(values), (1, 2, 2, 1)) for values in (IMAGENET_MEAN, IMAGENET_STD))
    np.testing.assert_allclose(standardize(mean), 0, atol=1e-7)
    np.testing.assert_allclose(standardize(mean + deviation), 1, rtol=1e-6)


def test_pixels_become_floats_from_zero_to_one():
    levels = jnp.arange(256, dtype=jnp.uint8).reshape(1, 16, 16, 1)
    floats = to_float(levels)
    assert floats.dtype == jnp.float32 and floats.min() == 0 and floats.max() == 1


def test_text_is_parsed_in_its_order():
    assert EVERYTHING == (
        *(Flip(), TrivialAugment(), ResizedCrop(0.2, 1), Rotate(15), ColorJitter(0.2, 0.2, 0.2, 0.1)),
        *(Lighting(0.1), Crop(4), Scale(9, 12, 15)),
    )
    assert parse_augmentation("crop:2, flip") == (Crop(2), Flip())
    assert parse_augmentation("resized_crop:0.08,1,trivial_augment") == (ResizedCrop(0.08, 1), TrivialAugment())
    assert parse_augmentation("resized_crop:0.2,0.9,0.5,2") == (ResizedCrop(0.2, 0.9, 0.5, 2),)
    assert parse_augmentation("none") == ()


@pytest.mark.parametrize(
    "text, named",
    [
        ("flop", "'flop'"),
        ("", "''"),
        ("flip,none", "'none'"),
        ("15,flip", "'15'"),
        ("rotate", "rotate takes 1"),
        ("rotate:15,30", "rotate takes 1"),
        ("flip:1", "flip takes 0"),
        ("color:0.2,0.2", "color takes 4"),
        ("rotate:x", "'x'"),
        ("rotate:-15", "rotate:-15"),
        ("rotate:181", "rotate:181"),
        ("rotate:nan", "rotate:nan"),
        ("color:-0.1,0,0,0", "brightness -0.1"),
        ("color:0,0,inf,0", "saturation inf"),
        ("color:0,0,0,0.6", "hue 0.6"),
        ("crop:0", "crop:0"),
        ("crop:2.5", "crop:2.5"),
        ("lighting:0", "lighting:0"),
        ("scale:224,256", "scale takes 3"),
        ("scale:224,200,256", "scale:224,200,256"),
        ("scale:8,9.5,10", "scale:8,9.5,10"),
        ("resized_crop:0.5", "resized_crop takes 2 to 4"),
        ("resized_crop:0,1", "resized_crop:0,1"),
        ("resized_crop:0.5,0.2", "resized_crop:0.5,0.2"),
        ("resized_crop:0.5,nan", "resized_crop:0.5,nan"),
        ("resized_crop:0.5,1,2,1", "ratios 2 to 1"),
        ("trivial_augment:9", "trivial_augment takes 0"),
    ],
)
def test_bad_text_is_refused_in_one_line(text, named):
    with pytest.raises(BadInput) as error:
        parse_augmentation(text)
    message = str(error.value)
    assert named in message and "expected" in message and "\n" not in message


def test_padding_as_large_as_the_image_is_refused(images):
    with pytest.raises(BadInput, match="crop:18.*18"):
        Crop(18)(KEY, images)
