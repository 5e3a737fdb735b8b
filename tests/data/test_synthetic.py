"""The drawn dishes: deterministic, balanced, copied in part, the same at every size, and no task for a linear model."""

from collections import Counter

import numpy as np
import pytest

from resjax.data.one_image import decode_image
from resjax.data.synthetic import source as synthetic
from resjax.data.synthetic.drawing import Canvas

MEANS = (
    (164.07, 108.7, 101.57),
    (130.68, 137.04, 108.42),
    (116.78, 127.3, 83.26),
    (158.89, 154.38, 142.08),
    (174.55, 145.72, 83.58),
)
"""Red, green and blue of one picture of each class."""


def test_the_plan_is_deterministic_and_its_seed_matters():
    assert synthetic.plan(40, seed=3) == synthetic.plan(40, seed=3)
    assert synthetic.plan(40, seed=3) != synthetic.plan(40, seed=4)


@pytest.mark.parametrize("count", [10, 53, 600])
def test_classes_are_in_balance_and_ids_differ(count):
    drawings = synthetic.plan(count)
    counts = Counter(drawing.label for drawing in drawings)
    assert len(drawings) == count == len({drawing.id for drawing in drawings})
    assert len(counts) == 5 and max(counts.values()) - min(counts.values()) <= 1


def test_a_share_are_copies_with_the_same_bytes_and_label():
    drawings = synthetic.plan(200)
    by_content = {}
    for drawing in drawings:
        by_content.setdefault(synthetic.content(drawing), []).append(drawing)
    copies = len(drawings) - len(by_content)
    assert 0.08 * 200 <= copies <= 0.12 * 200
    twins = next(group for group in by_content.values() if len(group) > 1)
    assert len({synthetic.png_bytes(drawing, 32) for drawing in twins}) == 1
    assert all(len({drawing.label for drawing in group}) == 1 for group in by_content.values())


def test_different_drawings_differ():
    drawings = [synthetic.Drawing(f"{seed}", label, seed) for label in range(5) for seed in range(4)]
    assert len({synthetic.png_bytes(drawing, 32) for drawing in drawings}) == 20
    assert len({synthetic.content(drawing) for drawing in drawings}) == 20


@pytest.mark.parametrize("size", [16, 33, 160])
def test_any_size_is_drawn_as_asked(size):
    data = synthetic.png_bytes(synthetic.Drawing("x", 2, 5), size)
    assert decode_image(data, size).shape == (size, size, 3)


@pytest.mark.parametrize("label", range(5))
def test_a_scene_is_the_same_picture_at_two_sizes(label):
    large = synthetic.draw_dish(label, seed=7, size=128).astype(float).reshape(32, 4, 32, 4, 3).mean((1, 3))
    small = synthetic.draw_dish(label, seed=7, size=32).astype(float)
    assert np.corrcoef(large.ravel(), small.ravel())[0, 1] > 0.9


def test_drawings_are_those_that_records_were_made_with():
    """Who changes a drawing changes `VERSION` too, and takes the records of drawn dishes anew."""
    found = [synthetic.draw_dish(label, seed=11, size=32).mean((0, 1)) for label in range(5)]
    assert synthetic.VERSION == "drawn dishes 1"
    assert np.allclose(found, MEANS, atol=0.05)


@pytest.mark.parametrize("upright", [False, True])
def test_shapes_lie_where_each_of_them_lies_alone(upright):
    canvas = Canvas(np.random.default_rng(3), 192)
    centers = np.stack([canvas.spot(1.0) for _ in range(4)])
    shapes = np.stack([canvas.outline(0.2, 0.1) for _ in range(4)])
    alone = [canvas.pixels(center, shape, upright) for center, shape in zip(centers, shapes, strict=True)]
    assert canvas.pixels(centers, shapes, upright) == alone


@pytest.mark.slow
def test_a_linear_classifier_on_pixels_stays_below_60_percent():
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    drawings = list({(d.label, d.seed): d for d in synthetic.plan(240)}.values())
    pixels = np.stack([synthetic.draw_dish(d.label, seed=d.seed, size=24).ravel() for d in drawings])
    labels = np.array([d.label for d in drawings])
    val = np.arange(len(drawings)) % 5 == 0
    scaler = StandardScaler().fit(pixels[~val])
    model = LogisticRegression(C=0.01, max_iter=300).fit(scaler.transform(pixels[~val]), labels[~val])
    accuracy = model.score(scaler.transform(pixels[val]), labels[val])
    assert 0.2 < accuracy < 0.6
