"""Kinds of pictures that are alike without being copies: digits, sketches, blobs, textures and screenshots."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Pictures = list[Image.Image]
"""No two of them are copies."""

WORDS = "add all bread chart close draft edit find graph home item join keep list mail note open print quit row".split()


def scanned_digits(count: int) -> Pictures:
    """Handwritten digits of scikit-learn (1,797 of 8 x 8 pixels, 17 grey levels), drawn to 28 x 28."""
    from sklearn.datasets import load_digits

    digits = load_digits(return_X_y=True)[0].reshape(-1, 8, 8)
    chosen = np.random.default_rng(0).permutation(len(digits))[:count]
    pixels = (digits[chosen] * (255 / 16)).astype(np.uint8)
    drawn = [Image.fromarray(digit).resize((28, 28), Image.Resampling.BILINEAR).convert("RGB") for digit in pixels]
    return drawn


def printed_digits(count: int) -> Pictures:
    """Digits in matplotlib's DejaVu and STIX fonts, each somewhere else, in another size and turned."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = [*folder.glob("DejaVuSans*.ttf"), *folder.glob("DejaVuSerif*.ttf"), *folder.glob("STIXGeneral*.ttf")]
    fonts = sorted(font for font in fonts if "Display" not in font.name)

    def draw(label: int, rng: np.random.Generator) -> Image.Image:
        image = Image.new("L", (84, 84))
        font = ImageFont.truetype(str(fonts[rng.integers(len(fonts))]), int(rng.integers(48, 72)))
        place = tuple(42 + rng.uniform(-9, 9, 2))
        ImageDraw.Draw(image).text(place, str(label), fill=int(rng.integers(160, 256)), font=font, anchor="mm")
        image = image.rotate(rng.uniform(-15, 15), Image.Resampling.BICUBIC)
        return image.resize((28, 28), Image.Resampling.BILINEAR).convert("RGB")

    return _drawn(draw, count, 10)


def sketches(count: int) -> Pictures:
    """Line drawings of a house, a face, a fish, a tree and a cup by an unsteady hand, black on white."""
    circle = [(np.cos(turn), np.sin(turn)) for turn in np.linspace(0, 2 * np.pi, 13)]

    def ring(right, down, width, height):
        return [(right + width * x, down + height * y) for x, y in circle]

    kinds = [
        [
            [(-0.6, 0.7), (-0.6, -0.1), (0.6, -0.1), (0.6, 0.7), (-0.6, 0.7)],
            [(-0.7, -0.1), (0, -0.7), (0.7, -0.1)],
            [(-0.1, 0.7), (-0.1, 0.3), (0.2, 0.3), (0.2, 0.7)],
            [(-0.45, 0.1), (-0.45, 0.35), (-0.2, 0.35), (-0.2, 0.1), (-0.45, 0.1)],
        ],
        [ring(0, 0, 0.7, 0.75), ring(-0.25, -0.2, 0.1, 0.1), ring(0.25, -0.2, 0.1, 0.1), ring(0, 0.3, 0.3, 0.1)],
        [ring(-0.1, 0, 0.5, 0.3), [(0.35, 0), (0.75, -0.3), (0.75, 0.3), (0.35, 0)], ring(-0.4, -0.05, 0.04, 0.04)],
        [ring(0, -0.3, 0.5, 0.4), [(-0.1, 0.1), (-0.1, 0.8)], [(0.1, 0.1), (0.1, 0.8)], [(-0.6, 0.8), (0.6, 0.8)]],
        [[(-0.5, -0.4), (-0.4, 0.6), (0.3, 0.6), (0.4, -0.4)], ring(-0.05, -0.4, 0.45, 0.1), ring(0.5, 0, 0.2, 0.25)],
    ]

    def draw(label: int, rng: np.random.Generator) -> Image.Image:
        image = Image.new("L", (256, 256), 255)
        canvas = ImageDraw.Draw(image)
        stretch, shift, width = rng.uniform(0.75, 1.15, 2), rng.normal(0, 0.06, 2), int(rng.integers(2, 6))
        for stroke in kinds[label]:
            points = np.array(stroke) * stretch + shift + rng.normal(0, 0.03, 2)
            points = points + rng.normal(0, 0.035, points.shape)
            canvas.line([tuple(128 + 115 * point) for point in points], fill=0, width=width, joint="curve")
        return image.convert("RGB")

    return _drawn(draw, count, len(kinds))


def grey_blobs(count: int) -> Pictures:
    """Smooth grey pictures like X-rays: one body in every picture, two lungs, and a bright spot in every second."""
    down, right = np.mgrid[-1:1:128j, -1:1:128j]

    def hill(place, size):
        distance = ((right - place[0]) / size[0]) ** 2 + ((down - place[1]) / size[1]) ** 2
        return 1 / (1 + np.exp(np.minimum(4 * (distance - 1), 50)))

    def draw(label: int, rng: np.random.Generator) -> Image.Image:
        def wobble(scale):
            return rng.normal(0, scale, 2)

        light = 150 * hill(wobble(0.02), (0.85, 0.95) + wobble(0.03))
        for side in (-1, 1):
            light -= 90 * hill((0.38 * side, 0.0) + wobble(0.03), (0.27, 0.55) + wobble(0.03))
        light += 50 * hill((0.1, 0.25) + wobble(0.03), (0.2, 0.3) + wobble(0.03))
        if label:
            light += 60 * hill(rng.uniform(-0.5, 0.5, 2), rng.uniform(0.05, 0.15, 2))
        noise = Image.fromarray(rng.normal(0, 3, (64, 64)).astype(np.float32)).resize((128, 128))
        pixels = rng.uniform(0.85, 1.15) * light + np.asarray(noise)
        return Image.fromarray((pixels + 20).clip(0, 255).astype(np.uint8)).convert("RGB")

    return _drawn(draw, count, 2)


def texture_tiles(count: int) -> Pictures:
    """Tiles that do not overlap, cut out of large pictures of clouds, stripes, cells, bricks and grain."""
    from scipy.spatial import KDTree

    size, across = 64, int(np.ceil(np.sqrt(count / 5)))
    side = size * across
    rng = np.random.default_rng(0)
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij"))
    angle = np.arctan2(*np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij"))

    def filtered(response):
        field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(side, side))) * response, s=(side, side))
        return field / field.std()

    down, right = np.mgrid[:side, :side]
    cells = KDTree(rng.uniform(0, side, (side * side // 120, 2)))
    first, second = cells.query(np.stack([down, right], -1).reshape(-1, 2), k=2)[0].T
    row = (down + 2 * filtered(np.exp(-((frequencies / 0.02) ** 2)))) / 12
    column = (right + 2 * filtered(np.exp(-((frequencies / 0.02) ** 2)))) / 24 + 0.5 * (np.floor(row) % 2)
    bricks = np.minimum(row % 1 * 12, column % 1 * 24) > 2
    band = np.exp(-(((frequencies - 0.1) / 0.02) ** 2)) * np.exp(-((np.sin(angle - 0.6) / 0.15) ** 2))
    whole = [
        filtered(1 / (frequencies + 0.005) ** 1.5),
        filtered(band),
        np.clip((second - first).reshape(side, side) / 2, 0, 2) - 1,
        2.0 * bricks - 1 + 0.3 * filtered(np.ones_like(frequencies)),
        filtered(np.ones_like(frequencies)),
    ]

    def cut(label: int, number: int) -> Image.Image:
        top, left = size * (number // across), size * (number % across)
        tile = whole[label][top : top + size, left : left + size]
        return Image.fromarray((128 + 50 * tile).clip(0, 255).astype(np.uint8)).convert("RGB")

    return [cut(index % 5, index // 5) for index in range(count)]


def screenshots(count: int) -> Pictures:
    """Windows of four programs with the same bars and buttons; their texts and tables differ."""

    def draw(label: int, rng: np.random.Generator) -> Image.Image:
        image = Image.new("RGB", (320, 240), (245, 245, 245))
        canvas = ImageDraw.Draw(image)
        bar = [(60, 90, 160), (40, 120, 80), (90, 90, 90), (150, 60, 60)][label]
        canvas.rectangle((0, 0, 320, 22), fill=bar)
        canvas.text((8, 5), ["Mail", "Table", "Editor", "Notes"][label], fill="white", font_size=11)
        canvas.rectangle((0, 23, 20 + 20 * label, 240), fill=(225, 225, 230))
        for row in range(8):
            canvas.rectangle((4, 30 + 25 * row, 14 + 15 * label, 44 + 25 * row), fill=(190, 195, 205))
        top = 30
        while top < 225:
            left = 30 + 20 * label
            for _ in range(int(rng.integers(0, 9))):
                word = WORDS[rng.integers(len(WORDS))]
                canvas.text((left, top), word, fill=(30, 30, 30), font_size=11)
                left += 10 + 6 * len(word)
            top += 14
        return image

    return _drawn(draw, count, 4)


KINDS: dict[str, Callable[[int], Pictures]] = {
    "scanned digits": scanned_digits,
    "printed digits": printed_digits,
    "sketches": sketches,
    "grey blobs": grey_blobs,
    "texture tiles": texture_tiles,
    "screenshots": screenshots,
}


def _drawn(draw: Callable[[int, np.random.Generator], Image.Image], count: int, classes: int) -> Pictures:
    return [draw(index % classes, np.random.default_rng((index, 7))) for index in range(count)]
