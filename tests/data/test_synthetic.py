"""The drawn dishes: deterministic, balanced, copied in part, the same at every size, and no task for a linear model."""

from collections import Counter

import numpy as np
import pytest

from resjax.data.decoding import decode_image
from resjax.data.synthetic import source as synthetic


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


@pytest.mark.slow
def test_a_linear_classifier_on_pixels_stays_below_60_percent():
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    drawings = list({(d.label, d.seed): d for d in synthetic.plan(400)}.values())
    pixels = np.stack([synthetic.draw_dish(d.label, seed=d.seed, size=24).ravel() for d in drawings])
    labels = np.array([d.label for d in drawings])
    val = np.arange(len(drawings)) % 5 == 0
    scaler = StandardScaler().fit(pixels[~val])
    model = LogisticRegression(C=0.01, max_iter=300).fit(scaler.transform(pixels[~val]), labels[~val])
    accuracy = model.score(scaler.transform(pixels[val]), labels[val])
    assert 0.2 < accuracy < 0.6
