"""Brushes for the drawn dishes: a canvas in dish coordinates, the table, plates and bowls, and the camera's faults.

Dish coordinates have their origin at the centre of the dish and their unit at its rim. All random numbers are drawn in
these coordinates, never in pixels, so that a seed gives the same picture at every size.
"""

from functools import cache

import numpy as np
from jaxtyping import Float, UInt8
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

Color = tuple[float, float, float]
Point = Float[np.ndarray, " 2"]
Outline = Float[np.ndarray, "point 2"]

BLACK = (0.0, 0.0, 0.0)
WHITE = (255.0, 255.0, 255.0)
WAVES = np.arange(2, 7)
"""The numbers of the waves that make an outline irregular."""
WAVE_WEIGHTS = np.sqrt(WAVES)
ALONG_STRAND = np.linspace(-1, 1, 9)
ORIGIN = np.zeros(2)
SHADOWS = np.array([1.14, 1.07, 1.0])[:, None, None]
"""The growth of the three outlines that make a shadow soft."""
CERAMICS = (
    (240, 240, 235),
    (236, 226, 205),
    (205, 215, 222),
    (178, 203, 186),
    (176, 110, 76),
    (58, 58, 64),
    (90, 125, 170),
)
PAINTS = ((40, 70, 150), (170, 40, 40), (40, 110, 70), (200, 150, 60), (60, 60, 60))
WOODS = ((190, 145, 95), (150, 100, 60), (95, 62, 40), (205, 180, 145), (70, 55, 50))
CLOTHS = ((200, 60, 50), (60, 100, 150), (230, 225, 215), (80, 130, 90), (225, 190, 90), (90, 85, 95), (150, 110, 130))


def shade(color: Color, factor: float) -> Color:
    """`color` in more light (factor above 1) or less."""
    red, green, blue = color
    return _channel(red * factor), _channel(green * factor), _channel(blue * factor)


def _channel(value: float) -> float:
    return float(min(max(value, 0.0), 255.0))


def _paint(color: Color, alpha: float = 1.0) -> tuple[int, int, int, int]:
    """The colour as Pillow takes it; translucent where `alpha` is below 1."""
    red, green, blue = color
    return int(red), int(green), int(blue), int(255 * alpha)


def mix(color: Color, other: Color, share: float) -> Color:
    """`color` with a `share` (0 to 1) of `other` stirred in."""
    red, green, blue = ((1 - share) * a + share * b for a, b in zip(color, other, strict=True))
    return red, green, blue


def polar(radius: float | np.ndarray, angle: float | np.ndarray) -> np.ndarray:
    """The points at `radius` and `angle` (radians), axes last."""
    across = radius * np.cos(angle)
    points = np.empty((*across.shape, 2))
    points[..., 0], points[..., 1] = across, radius * np.sin(angle)
    return points


def superellipse(power: float = 2.0, stretch: float = 1.0, points: int = 72) -> Outline:
    """The outline of a dish: a circle at power 2, a rounded square at higher powers."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    radius = (np.abs(np.cos(angle)) ** power + np.abs(np.sin(angle)) ** power) ** (-1 / power)
    return polar(radius, angle) * (1.0, stretch)


@cache
def _turns(points: int) -> tuple[np.ndarray, np.ndarray]:
    """The angles of the points of an outline, and these times the number of each wave along it."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return angle, angle[:, None] * WAVES


class Canvas:
    """A picture that is being drawn: the place of the dish, the direction of the light, and brushes."""

    def __init__(self, rng: Generator, side: int):
        self.rng = rng
        self.side = side
        self.image = Image.new("RGB", (side, side))
        self.pen = ImageDraw.Draw(self.image, "RGBA")
        self.middle = side * (0.5 + rng.uniform(-0.25, 0.25, 2))
        self.scale = side * rng.uniform(0.42, 0.66)
        self.tilt = np.array([1.0, rng.uniform(0.72, 1.0)])
        angle = rng.uniform(-np.pi, np.pi)
        self.rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        self.light = polar(1.0, rng.uniform(-np.pi, 0)) @ self.rotation
        self.down = np.array([0.0, 1.0]) @ self.rotation

    def color(self, *palette: Color, spread: float = 6.0) -> Color:
        """A colour between two neighbours of `palette`, slightly varied."""
        first = self.rng.integers(len(palette))
        second = min(first + 1, len(palette) - 1)
        base = mix(palette[first], palette[second], self.rng.uniform())
        return tuple(np.clip(np.array(base) + self.rng.normal(0, spread / 2, 3) + self.rng.normal(0, spread), 0, 255))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return bool(self.rng.uniform() < probability)

    def spot(self, radius: float, inner: float = 0.0) -> Point:
        """A random point of the disc of that radius, or of the ring outside `inner`."""
        return polar(np.sqrt(self.rng.uniform(inner**2, radius**2)), self.rng.uniform(-np.pi, np.pi))

    def outline(self, radius: float, wobble: float = 0.0, stretch: float = 1.0, points: int = 28) -> Outline:
        """A closed, randomly turned shape of about that radius: `wobble` 0 is an ellipse, 0.3 a crumb."""
        angle, turns = _turns(points)
        height = wobble * self.rng.normal(size=5) / WAVE_WEIGHTS
        phase = self.rng.uniform(0, 2 * np.pi, 5)
        reach = radius * (1 + (height * np.cos(turns + phase)).sum(axis=1))
        turn = self.rng.uniform(-np.pi, np.pi)
        spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        return (polar(reach, angle) * (np.sqrt(stretch), 1 / np.sqrt(stretch))) @ spin

    def pixels(
        self, center: Float[np.ndarray, "*shape 2"], offsets: Float[np.ndarray, "*shape point 2"], upright: bool = False
    ) -> list:
        """Where `center + offsets` lies in the picture: x and y of the points of one shape, or a list for each shape.

        An `upright` shape is not foreshortened by the tilt.
        """
        anchor = self.middle + self.scale * (self.rotation @ np.asarray(center)[..., None])[..., 0] * self.tilt
        spread = self.scale * (offsets @ self.rotation.T)
        places = anchor[..., None, :] + (spread if upright else spread * self.tilt)
        return places.reshape(*places.shape[:-2], -1).tolist()

    def fill(self, center: Point, outline: Outline, color: Color, alpha: float = 1.0, upright: bool = False) -> None:
        """Fills an outline, translucent where `alpha` is below 1."""
        self.pen.polygon(self.pixels(center, outline, upright), fill=_paint(color, alpha))

    def stroke(self, points: Outline, width: float, color: Color, alpha: float = 1.0) -> None:
        """A line of the given width through the points."""
        self._line(self.pixels(ORIGIN, points), width, _paint(color, alpha))

    def _line(self, places: list[float], width: float, paint: tuple[int, ...]) -> None:
        self.pen.line(places, paint, max(1, round(width * self.scale)), joint="curve")

    def shadow(self, center: Point, outline: Outline, reach: float, upright: bool = False, depth: float = 0.12) -> None:
        """A soft shadow on the side away from the light, `reach` long."""
        away = np.asarray(center) - reach * self.light
        for place in self.pixels(np.stack([away] * 3), outline * SHADOWS, upright):
            self.pen.polygon(place, fill=_paint(BLACK, depth))

    def lump(
        self,
        center: Point,
        outline: Outline,
        color: Color,
        gloss: float = 0.0,
        relief: float = 0.3,
        upright: bool = False,
    ) -> None:
        """A rounded thing: dark at its foot, bright towards the light, with a highlight if `gloss` is above 0."""
        radius = float(np.linalg.norm(outline, axis=1).mean())
        self.shadow(center, outline, 0.2 * radius, upright)
        heights = np.linspace(0, 1, 6 + int(40 * radius))
        lit = np.asarray(center) + (0.35 * radius * heights)[:, None] * self.light
        places = self.pixels(lit, outline * (1 - 0.8 * heights)[:, None, None], upright)
        for place, height in zip(places, heights.tolist(), strict=True):
            self.pen.polygon(place, fill=_paint(shade(color, 1 - relief + 1.5 * relief * height)))
        if gloss:
            self.fill(np.asarray(center) + 0.5 * radius * self.light, outline * 0.16, WHITE, gloss, upright)

    def grains(
        self, center: Point, radius: float, count: int, length: float, colors: list[Color], relief: float = 0.3
    ) -> None:
        """Grains heaped on a disc, each twice as long as wide, brighter on the side of the light."""
        rng = self.rng
        places = polar(radius * np.sqrt(rng.uniform(size=count)), rng.uniform(-np.pi, np.pi, count))
        turns = rng.uniform(-np.pi, np.pi, count)
        sizes = length * rng.uniform(0.7, 1.2, count)
        glow = 1 + relief * (places @ self.light) / radius + rng.normal(0, 0.1, count)
        kinds = rng.integers(len(colors), size=count)
        corners = np.linspace(0, 2 * np.pi, 6, endpoint=False)[:, None, None]
        shapes = np.cos(corners) * polar(sizes, turns) + np.sin(corners) * polar(0.42 * sizes, turns + np.pi / 2)
        outlines = self.pixels(np.broadcast_to(center, (count, 2)), (places + shapes).swapaxes(0, 1))
        for outline, bright, kind in zip(outlines, glow.tolist(), kinds.tolist(), strict=True):
            self.pen.polygon(outline, fill=_paint(shade(colors[kind], bright)))

    def strands(
        self,
        center: Point,
        radius: float,
        count: int | np.integer,
        length: float,
        width: float,
        color: Color,
        curl: float,
        tidy: float,
    ) -> None:
        """Noodles, shreds or sprouts: curved lines, all of one direction where `tidy` is 1, crossed where it is 0."""
        rng = self.rng
        heading, bend = rng.uniform(-np.pi, np.pi), rng.normal(0, curl)
        turn, bends, spots, glow = np.empty(count), np.empty(count), np.empty((count, 2)), np.empty(count)
        for strand in range(count):
            turn[strand] = heading + (1 - tidy) * rng.uniform(-np.pi, np.pi) + rng.normal(0, 0.15)
            bends[strand] = bend + rng.normal(0, curl / 2)
            spots[strand] = self.spot(radius)
            glow[strand] = rng.uniform(0.9, 1.12)
        turns = turn[:, None] + ALONG_STRAND * bends[:, None]
        paths = np.cumsum(polar(length / 9, turns), axis=1)
        paths += (center + spots - paths.mean(axis=1))[:, None]
        origins = np.zeros((count, 2))
        undersides = self.pixels(origins, paths)
        tops = self.pixels(origins, paths + 0.2 * width * self.light)
        dark = _paint(shade(color, 0.62), 0.7)
        for underside, top, bright in zip(undersides, tops, glow.tolist(), strict=True):
            self._line(underside, width * 1.5, dark)
            self._line(top, width, _paint(shade(color, bright)))


def texture(rng: Generator, side: int, rows: int, columns: int) -> Float[np.ndarray, "side side"]:
    """Smooth noise of about unit deviation, with `rows` times `columns` independent cells."""
    noise = Image.fromarray(rng.normal(size=(rows, columns)).astype(np.float32))
    return np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC))


def table(canvas: Canvas) -> None:
    """Covers the canvas with wood, stone or cloth."""
    rng, side = canvas.rng, canvas.side
    kind = rng.choice(["wood", "stone", "stripes", "checks"])
    base = np.array(canvas.color(*(WOODS if kind == "wood" else CLOTHS), spread=14))
    if kind == "wood":
        relief = 12 * texture(rng, side, 48, 4) + 6 * texture(rng, side, 8, 2)
        edges = np.sort(rng.uniform(0, 1, rng.integers(1, 4)))
        for edge in edges:
            relief[int(edge * side) : int((edge + 0.012) * side) + 1] -= 45
        if canvas.chance(0.5):
            relief = relief.T
    else:
        relief = 5 * texture(rng, side, 40, 40) + 7 * texture(rng, side, 5, 5)
    picture = base + relief[..., None]
    if kind in ("stripes", "checks"):
        position = np.linspace(0, 1, side, endpoint=False)
        thread = (np.sin(2 * np.pi * (rng.uniform(3, 9) * position + rng.uniform())) > rng.uniform(-0.5, 0.7)) * 1.0
        weave = thread[:, None] + (thread[None, :] if kind == "checks" else 0.0)
        paint = np.array(canvas.color(*CLOTHS))
        picture += 0.4 * weave[..., None] * (paint - base)
    canvas.image.paste(Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)))


def spoon(canvas: Canvas) -> None:
    """A spoon beside the dish."""
    angle = canvas.rng.uniform(-np.pi, np.pi)
    metal = canvas.color((190, 190, 195), (150, 150, 155))
    start, end = polar(1.18, angle), polar(1.18, angle) + polar(1.1, angle + canvas.rng.choice([-1, 1]) * 1.6)
    canvas.stroke(np.stack([start, end]) - 0.04 * canvas.light, 0.06, BLACK, 0.35)
    canvas.stroke(np.stack([start, end]), 0.05, metal)
    canvas.lump(start, canvas.outline(0.15, 0, 1.5), metal, gloss=0.8)


def glass(canvas: Canvas) -> None:
    """A glass of tea or juice, from above, at the picture's edge."""
    center = polar(canvas.rng.uniform(1.25, 1.5), canvas.rng.uniform(-np.pi, np.pi))
    drink = canvas.color((170, 80, 30), (225, 140, 40), (215, 210, 190), (120, 160, 70))
    ring = superellipse()
    canvas.shadow(center, 0.34 * ring, 0.1)
    canvas.fill(center, 0.34 * ring, (225, 230, 230), 0.8)
    canvas.lump(center, 0.29 * ring, drink, gloss=0.6, relief=0.15)


def pattern(canvas: Canvas, outline: Outline, radius: float) -> None:
    """A painted ring, dots or petals along the rim, or nothing."""
    paint = canvas.color(*PAINTS)
    kind = canvas.rng.choice(["none", "ring", "dots", "petals"])
    if kind == "ring":
        closed = np.concatenate([outline, outline[:2]])
        canvas.stroke(radius * closed, canvas.rng.uniform(0.02, 0.06), paint)
    elif kind in ("dots", "petals"):
        stride = int(canvas.rng.integers(3, 7))
        for place in radius * outline[::stride]:
            canvas.fill(
                place, canvas.outline(0.035 if kind == "dots" else 0.05, 0, 1 if kind == "dots" else 2.5), paint
            )


def plate(canvas: Canvas) -> float:
    """A plate; returns the radius that food may cover."""
    clay = canvas.color(*CERAMICS, spread=8)
    outline = superellipse(canvas.rng.choice([2.0, 2.0, 4.0]), canvas.rng.uniform(0.8, 1.0))
    well = canvas.rng.uniform(0.68, 0.8)
    canvas.shadow(np.zeros(2), outline, 0.07, depth=0.16)
    canvas.fill(np.zeros(2), outline, shade(clay, 0.86))
    canvas.fill(0.01 * canvas.light, 0.97 * outline, clay)
    pattern(canvas, outline, (1 + well) / 2)
    for step in np.linspace(0, 1, 5):
        canvas.fill(-0.03 * step * canvas.light, (well - 0.05 * step) * outline, shade(clay, 0.84 + 0.13 * step))
    if canvas.chance(0.2):
        canvas.fill(np.zeros(2), canvas.outline(0.78, 0.12, 1.2), canvas.color((70, 115, 50), (105, 150, 65)))
    return 0.72


def bowl(canvas: Canvas) -> float:
    """A bowl, seen a little from the side where the camera is tilted; returns the radius of what it holds."""
    clay = canvas.color(*CERAMICS, spread=8)
    outline = superellipse()
    depth = 1.3 * (1 - canvas.tilt[1])
    canvas.shadow(0.6 * depth * canvas.down, 0.9 * outline, 0.12, depth=0.16)
    for step in np.linspace(1, 0, 6):
        canvas.fill(step * depth * canvas.down, (1 - 0.35 * step**2) * outline, shade(clay, 0.6 + 0.25 * (1 - step)))
    canvas.fill(np.zeros(2), outline, clay)
    pattern(canvas, outline, 0.965)
    for step in np.linspace(0, 1, 6):
        canvas.fill(0.04 * step * canvas.down, (0.93 - 0.1 * step) * outline, shade(clay, 0.9 - 0.3 * step))
    return 0.8


def photograph(canvas: Canvas, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """The finished picture at its final size, with the light and the faults of a phone camera."""
    rng = canvas.rng
    softness, warmth, tint = rng.uniform(0, 0.006), rng.normal(0, 0.08), rng.normal(0, 0.02)
    exposure, contrast, saturation = rng.uniform(0.85, 1.2), rng.uniform(0.85, 1.15), rng.uniform(0.8, 1.2)
    fall_off, vignette, grain = rng.uniform(0, 0.3), rng.uniform(0, 0.25), rng.uniform(1, 5)
    blurred = canvas.image.filter(ImageFilter.GaussianBlur(softness * canvas.side))
    picture = np.asarray(blurred.resize((size, size), Image.Resampling.BOX), np.float32)
    picture = picture.mean(axis=2, keepdims=True) * (1 - saturation) + picture * saturation
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    across, along = canvas.rotation @ canvas.light
    lamp = 1 + fall_off * (across * axis[None, :] + along * axis[:, None])
    lamp -= vignette * (axis[None, :] ** 2 + axis[:, None] ** 2) / 2
    gains = exposure * np.exp([warmth, tint, -warmth])
    picture = 128 + contrast * (picture * lamp[..., None] * gains - 128)
    return np.clip(picture + rng.normal(0, grain, picture.shape), 0, 255).astype(np.uint8)
