"""The built-in default data set: drawings of five dishes, no download.

The two soups (bakso, soto ayam) and the two brown dishes (nasi goreng, rendang) are easily confused, gado-gado lies
between them, and some pictures are exact copies of others: enough to show every part of a comparison.
"""

import hashlib
import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from resjax.data.synthetic import dishes
from resjax.data.synthetic.drawing import Canvas, glass, photograph, spoon, table

DISHES = {
    "bakso": dishes.bakso,
    "gado_gado": dishes.gado_gado,
    "nasi_goreng": dishes.nasi_goreng,
    "rendang": dishes.rendang,
    "soto_ayam": dishes.soto_ayam,
}
CLASSES = tuple(DISHES)
"""The names of the drawn dishes, by label."""
VERSION = "drawn dishes 1"
"""Part of every content name; change it with anything that changes a drawing, so that no cache serves the old one."""

COPIES = 0.12
"""The share of pictures that are copies of another one; student-made sets of food photographs have about as many."""


@dataclass(frozen=True)
class Drawing:
    """What to draw: drawings with the same label and seed are one picture under several names."""

    id: str
    label: int
    seed: int


def plan(count: int, seed: int = 0) -> list[Drawing]:
    """A list of `count` drawings in balanced classes; a share of `COPIES` in each class repeats another drawing."""
    drawings = []
    for label, name in enumerate(CLASSES):
        images = len(range(label, count, len(CLASSES)))
        originals = images - int(COPIES * images)
        sequence = np.random.SeedSequence((seed, label))
        seeds = sequence.generate_state(originals)
        rng = np.random.default_rng(sequence)
        seeds = rng.permutation(np.concatenate([seeds, rng.choice(seeds, images - originals)]))
        drawings += [Drawing(f"{name}_{index:04}.png", label, int(value)) for index, value in enumerate(seeds)]
    return drawings


def draw_dish(label: int, *, seed: int, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """A picture of class `label`: the same scene for the same seed, whatever the size in pixels."""
    rng = np.random.default_rng((seed, label))
    canvas = Canvas(rng, max(2 * size, 192))
    table(canvas)
    for clutter, probability in ((spoon, 0.35), (glass, 0.25)):
        if canvas.chance(probability):
            clutter(canvas)
    DISHES[CLASSES[label]](canvas)
    return photograph(canvas, size)


def encode_png(image: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """The image as a PNG file; the same pixels always give the same bytes."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()


def png_bytes(drawing: Drawing, size: int) -> bytes:
    """The picture of a drawing as a PNG file of `size` x `size` pixels."""
    return encode_png(draw_dish(drawing.label, seed=drawing.seed, size=size))


def content(drawing: Drawing) -> str:
    """A name for the picture that is the same at every size and needs no drawing."""
    return hashlib.sha256(f"{VERSION} {drawing.label} {drawing.seed}".encode()).hexdigest()
