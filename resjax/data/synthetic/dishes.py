"""The five dishes and their ingredients, drawn on a canvas."""

import numpy as np

from resjax.data.synthetic.drawing import (
    BLACK,
    WHITE,
    Canvas,
    Color,
    Point,
    bowl,
    mix,
    plate,
    polar,
    shade,
    superellipse,
)

HERBS = ((60, 120, 45), (95, 155, 60))
SHALLOTS = ((120, 65, 25), (165, 100, 45))
BROTHS = ((225, 180, 60), (210, 170, 95), (215, 195, 150), (190, 150, 105))


def scattered(canvas: Canvas, count: int | np.integer, radius: float) -> list[Point]:
    """Places for `count` things on a disc, spread so that they rarely hide each other."""
    first, reach = canvas.rng.uniform(0, 2 * np.pi), canvas.rng.uniform(0.3, 1.1, count)
    angles = first + 2 * np.pi * np.arange(count) / max(count, 1) + canvas.rng.normal(0, 0.25, count)
    return list(canvas.rng.permutation(polar(radius * reach, angles)))


def egg_half(canvas: Canvas, center: Point) -> None:
    """Half a boiled egg, cut side up."""
    white = canvas.outline(0.2, 0, 1.3)
    canvas.lump(center, white, (240, 236, 225), relief=0.12)
    yolk = canvas.color((235, 170, 50), (245, 195, 80), (225, 150, 40))
    canvas.fill(np.asarray(center), 0.55 * white, yolk)
    canvas.fill(np.asarray(center) + 0.02 * canvas.light, 0.35 * white, shade(yolk, 1.1))


def fried_egg(canvas: Canvas, center: Point) -> None:
    """A fried egg with a brown lace edge."""
    white = canvas.outline(canvas.rng.uniform(0.3, 0.4), 0.1, 1.15, 48)
    canvas.shadow(center, white, 0.03)
    canvas.fill(center, white, (205, 160, 95))
    canvas.fill(center, 0.93 * white, (245, 240, 228))
    yolk = canvas.color((240, 165, 35), (250, 190, 60))
    canvas.lump(center + canvas.spot(0.07), canvas.outline(0.13), yolk, gloss=0.7, relief=0.15)


def cucumber(canvas: Canvas, center: Point) -> None:
    """A slice of cucumber."""
    outline = canvas.outline(0.13, 0, 1.15)
    canvas.shadow(center, outline, 0.03)
    canvas.fill(center, outline, canvas.color((60, 110, 50)))
    canvas.fill(center, 0.87 * outline, canvas.color((200, 220, 160), spread=6))
    canvas.fill(center, 0.5 * outline, (220, 230, 185))


def tomato(canvas: Canvas, center: Point) -> None:
    """A slice of tomato with its chambers."""
    outline = canvas.outline(0.14, 0.02, 1.1)
    red = canvas.color((200, 50, 35), (225, 85, 55))
    canvas.lump(center, outline, red, relief=0.1)
    for angle in np.arange(3) * 2.1 + canvas.rng.uniform(0, 2):
        canvas.fill(center + polar(0.07, angle), canvas.outline(0.035, 0.1), (240, 150, 90))


def lime(canvas: Canvas, center: Point) -> None:
    """A cut lime."""
    outline = canvas.outline(0.11)
    canvas.lump(center, outline, canvas.color((90, 140, 40)), relief=0.2)
    canvas.fill(center, 0.82 * outline, (205, 220, 140))
    for angle in np.linspace(0, np.pi, 4, endpoint=False):
        spoke = polar(0.085, angle)
        canvas.stroke(np.stack([center - spoke, center + spoke]), 0.012, (235, 240, 200))


def chili(canvas: Canvas, center: Point) -> None:
    """A small red or green chili."""
    turn = canvas.rng.uniform(-np.pi, np.pi)
    path = center + np.cumsum(polar(0.05, turn + np.linspace(-0.5, 0.5, 6)), axis=0)
    color = canvas.color((195, 35, 25), (215, 60, 30)) if canvas.chance(0.7) else canvas.color((70, 130, 40))
    canvas.stroke(path - 0.015 * canvas.light, 0.07, BLACK, 0.3)
    canvas.stroke(path, 0.06, color)
    canvas.stroke(path + 0.012 * canvas.light, 0.015, WHITE, 0.5)


def leaf(canvas: Canvas, center: Point, radius: float, color: Color) -> None:
    """A leaf with its vein."""
    turn = canvas.rng.uniform(-np.pi, np.pi)
    along = np.linspace(-1, 1, 12)
    width = 0.45 * (1 - along**2) * (1 + 0.12 * canvas.rng.normal(size=12))
    outline = radius * np.concatenate([np.stack([along, width], 1), np.stack([along, -width], 1)[::-1]])
    outline = outline @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    canvas.shadow(center, outline, 0.03)
    canvas.fill(center, outline, color)
    canvas.fill(center + 0.1 * radius * canvas.light, 0.7 * outline, shade(color, 1.15), 0.6)
    canvas.stroke(center + np.stack([outline[0], outline[11]]) * 0.9, 0.015, shade(color, 1.4))


def herbs(canvas: Canvas, radius: float, count: int | np.integer) -> None:
    """Chopped scallion and celery, strewn."""
    for _ in range(count):
        canvas.fill(canvas.spot(radius), canvas.outline(0.035, 0.1, 1.6, 10), canvas.color(*HERBS))


def shallots(canvas: Canvas, center: Point, radius: float, count: int | np.integer) -> None:
    """Crisp fried shallots, strewn."""
    canvas.strands(center, radius, count, 0.1, 0.025, canvas.color(*SHALLOTS), 1.2, 0.0)


def cube(canvas: Canvas, center: Point, radius: float, color: Color) -> None:
    """A cube of tofu, rice cake or potato, seen from above."""
    turn = canvas.rng.uniform(0, np.pi / 2)
    corners = polar(radius, turn + np.arange(4) * np.pi / 2)
    canvas.shadow(center, corners, 0.05)
    canvas.fill(center + 0.05 * canvas.down, corners, shade(color, 0.65))
    canvas.fill(center, corners, color)
    canvas.fill(center + 0.01 * canvas.light, 0.8 * corners, shade(color, 1.1))


def cracker(canvas: Canvas, center: Point) -> None:
    """A kerupuk: a pale cracker of one curly thread."""
    color = canvas.color((245, 232, 200), (235, 205, 155), (242, 200, 180))
    outline = canvas.outline(canvas.rng.uniform(0.2, 0.3), 0.05, 1.2, 40)
    canvas.shadow(center, outline, 0.06)
    canvas.fill(center, outline, shade(color, 0.85))
    canvas.strands(center, 0.17, 22, 0.3, 0.05, color, 2.0, 0.0)


def rice(canvas: Canvas, center: Point, radius: float, colors: list[Color]) -> None:
    """A mound of rice."""
    outline = canvas.outline(radius, 0.06, 1.1, 40)
    canvas.lump(center, outline, shade(colors[0], 0.8), relief=0.25)
    canvas.grains(center, radius, int(420 * radius**1.5), 0.06, colors)


def garnish(canvas: Canvas, radius: float) -> None:
    """Side dishes that any of the dishes may have, at the edge of the plate."""
    for draw, probability in ((cucumber, 0.3), (tomato, 0.25), (chili, 0.15), (lime, 0.1), (cracker, 0.1)):
        if canvas.chance(probability):
            center = polar(radius, canvas.rng.uniform(-np.pi, np.pi))
            for _ in range(canvas.rng.integers(1, 4)):
                draw(canvas, center + canvas.spot(0.16))


def broth(canvas: Canvas, radius: float, color: Color) -> None:
    """Soup up to `radius`, with clouds and drops of fat."""
    outline = superellipse()
    for step in np.linspace(0, 1, 5):
        canvas.fill(0.04 * canvas.down, (radius - 0.1 * step) * outline, shade(color, 0.78 + 0.25 * step))
    for _ in range(8):
        canvas.fill(
            canvas.spot(0.6 * radius), canvas.outline(0.25, 0.15), shade(color, canvas.rng.choice([0.8, 1.2])), 0.2
        )
    for _ in range(canvas.rng.integers(5, 30)):
        place, drop = canvas.spot(0.9 * radius), canvas.outline(canvas.rng.uniform(0.01, 0.04))
        canvas.fill(place, drop, mix(color, (235, 170, 40), 0.6), 0.5)
        canvas.fill(place + 0.008 * canvas.light, 0.5 * drop, WHITE, 0.4)


def sheen(canvas: Canvas, radius: float) -> None:
    """The lamp's reflection on a wet surface."""
    turn = np.arctan2(canvas.light[1], canvas.light[0])
    arc = np.linspace(-0.5, 0.5, 12) * canvas.rng.uniform(0.5, 1.3) + turn
    crescent = np.concatenate(
        [polar(0.93 * radius, arc), polar(radius * (0.88 - 0.03 * np.cos(arc - turn)), arc)[::-1]]
    )
    canvas.fill(np.zeros(2), crescent, WHITE, canvas.rng.uniform(0.1, 0.6))


def noodles(canvas: Canvas, radius: float, color: Color) -> None:
    """Bundles of noodles under the surface."""
    for _ in range(canvas.rng.integers(2, 5)):
        canvas.strands(canvas.spot(0.6 * radius), 0.2, 16, 0.6, 0.03, color, 0.9, 0.9)


def bakso(canvas: Canvas) -> None:
    """Meatballs in clear broth, with noodles and greens."""
    radius = bowl(canvas)
    soup = canvas.color(*BROTHS)
    broth(canvas, radius, soup)
    if canvas.chance(0.75):
        noodles(canvas, radius, canvas.color((235, 215, 150), (240, 235, 215), (230, 190, 90)))
    for _ in range(canvas.rng.integers(0, 4)):
        leaf(canvas, canvas.spot(0.6), canvas.rng.uniform(0.2, 0.35), canvas.color(*HERBS, (150, 190, 110)))
    if canvas.chance(0.25):
        cube(canvas, canvas.spot(0.5), 0.17, canvas.color((205, 165, 100), (230, 215, 180)))
    if canvas.chance(0.25):
        egg_half(canvas, canvas.spot(0.45))
    meat = canvas.color((165, 125, 95), (190, 160, 135), (205, 185, 165), (150, 120, 100))
    size = canvas.rng.uniform(0.17, 0.25)
    for place in scattered(canvas, canvas.rng.integers(3, 8), 0.5):
        canvas.lump(place, canvas.outline(size * canvas.rng.uniform(0.85, 1.15), 0.02), meat, 0.45, upright=True)
    herbs(canvas, 0.65, canvas.rng.integers(4, 25))
    if canvas.chance(0.6):
        shallots(canvas, canvas.spot(0.4), 0.2, 15)
    sheen(canvas, radius)


def soto_ayam(canvas: Canvas) -> None:
    """Turmeric soup with shredded chicken, egg, herbs and lime."""
    radius = bowl(canvas)
    soup = canvas.color((230, 175, 40), *BROTHS[:3])
    broth(canvas, radius, soup)
    if canvas.chance(0.6):
        noodles(canvas, radius, canvas.color((235, 225, 185), (240, 235, 215)))
    for _ in range(canvas.rng.integers(1, 4)):
        chicken = canvas.color((230, 205, 160), (215, 175, 120), (235, 220, 190))
        canvas.strands(canvas.spot(0.45), 0.2, 26, 0.36, 0.055, chicken, 0.3, 0.7)
    if canvas.chance(0.5):
        canvas.strands(canvas.spot(0.4), 0.2, 14, 0.25, 0.03, canvas.color((240, 240, 215)), 0.6, 0.1)
    for _ in range(canvas.rng.choice([0, 1, 2], p=[0.35, 0.35, 0.3])):
        egg_half(canvas, canvas.spot(0.5))
    if canvas.chance(0.3):
        potato = canvas.outline(0.18, 0.05)
        canvas.lump(canvas.spot(0.45), potato, canvas.color((170, 115, 60), (195, 145, 80)), 0.2)
    for draw, probability in ((lime, 0.4), (tomato, 0.4), (chili, 0.2)):
        if canvas.chance(probability):
            draw(canvas, canvas.spot(0.55))
    herbs(canvas, 0.65, canvas.rng.integers(8, 40))
    if canvas.chance(0.6):
        shallots(canvas, canvas.spot(0.4), 0.2, 15)
    sheen(canvas, radius)


def nasi_goreng(canvas: Canvas) -> None:
    """Fried rice, with an egg on top and raw vegetables beside it."""
    radius = bowl(canvas) if canvas.chance(0.2) else plate(canvas)
    garnish(canvas, 0.55)
    brown = canvas.color((135, 78, 40), (170, 105, 50), (200, 140, 70), (215, 165, 100))
    center = canvas.spot(0.12)
    rice(canvas, center, radius * canvas.rng.uniform(0.7, 0.95), [brown, shade(brown, 1.25), shade(brown, 0.7)])
    for _ in range(canvas.rng.integers(3, 12)):
        bit = canvas.color((190, 120, 70), (220, 170, 90), (210, 90, 50), (90, 140, 60))
        canvas.lump(center + canvas.spot(0.5), canvas.outline(0.05, 0.15, 1.4, 14), bit)
    herbs(canvas, 0.5, canvas.rng.integers(0, 20))
    if canvas.chance(0.65):
        fried_egg(canvas, center + canvas.spot(0.25))
    if canvas.chance(0.5):
        shallots(canvas, canvas.spot(0.3), 0.2, 15)
    garnish(canvas, 0.6)


def rendang(canvas: Canvas) -> None:
    """Dark, dry-cooked beef in its coconut paste, with or without rice."""
    radius = bowl(canvas) if canvas.chance(0.2) else plate(canvas)
    garnish(canvas, 0.55)
    center = np.zeros(2)
    if canvas.chance(0.5):
        side = canvas.rng.uniform(-np.pi, np.pi)
        center = polar(0.22, side)
        grain = canvas.color((238, 232, 218), (235, 220, 175), (205, 155, 90))
        rice(canvas, polar(0.32, side + np.pi), 0.4, [grain, shade(grain, 0.9), shade(grain, 1.06)])
    meat = canvas.color((80, 48, 30), (105, 64, 36), (135, 84, 46), (165, 105, 58))
    paste = [shade(meat, 1.5), shade(meat, 1.1), shade(meat, 0.6)]
    pool = canvas.outline(radius * canvas.rng.uniform(0.7, 0.95), 0.08, 1.2, 40)
    canvas.lump(center, pool, shade(meat, 1.15), relief=0.1)
    canvas.grains(center, 0.55, 150, 0.028, paste)
    for place in scattered(canvas, canvas.rng.integers(5, 10), 0.45):
        chunk = canvas.outline(canvas.rng.uniform(0.16, 0.25), 0.1, 1.3)
        canvas.lump(center + place, chunk, shade(meat, canvas.rng.uniform(0.75, 1.05)), 0.3)
        canvas.grains(center + place, 0.15, 14, 0.022, paste)
    if canvas.chance(0.4):
        canvas.strands(center, 0.3, 12, 0.2, 0.02, canvas.color(*HERBS), 0.2, 0.3)
    garnish(canvas, 0.6)


def gado_gado(canvas: Canvas) -> None:
    """Boiled vegetables, tofu and egg under peanut sauce."""
    radius = bowl(canvas) if canvas.chance(0.25) else plate(canvas)
    for place in scattered(canvas, canvas.rng.integers(4, 9), 0.5):
        leaf(canvas, place, 0.38, canvas.color(*HERBS, (160, 195, 110)))
    for place in scattered(canvas, 2, 0.4):
        canvas.strands(place, 0.15, 18, 0.28, 0.04, canvas.color((238, 234, 210)), 0.8, 0.2)
    for place in scattered(canvas, canvas.rng.integers(1, 3), 0.5):
        canvas.strands(place, 0.14, 9, 0.34, 0.07, canvas.color((75, 125, 50), (110, 155, 70)), 0.1, 0.85)
    for color in ((225, 190, 120), (238, 234, 220), (195, 150, 90), (228, 120, 40)):
        heap = canvas.spot(0.45)
        for _ in range(canvas.rng.integers(0, 5)):
            cube(canvas, heap + canvas.spot(0.2), canvas.rng.uniform(0.11, 0.17), canvas.color(color))
    sauce = canvas.color((150, 95, 50), (180, 120, 65), (205, 150, 90))
    for _ in range(canvas.rng.integers(1, 4)):
        pool, place = canvas.outline(canvas.rng.uniform(0.2, 0.36), 0.2, 1.5, 40), canvas.spot(0.3)
        canvas.lump(place, pool, sauce, 0.15, relief=0.12)
        canvas.grains(place, 0.22, 30, 0.022, [shade(sauce, 1.3), shade(sauce, 0.75)])
    for place in scattered(canvas, canvas.rng.choice([0, 1, 2, 3], p=[0.3, 0.25, 0.3, 0.15]), 0.5):
        egg_half(canvas, place)
    for place in scattered(canvas, canvas.rng.integers(0, 3), 0.6):
        cracker(canvas, place)
    if canvas.chance(0.5):
        shallots(canvas, canvas.spot(0.3), 0.2, 15)
    garnish(canvas, radius)
