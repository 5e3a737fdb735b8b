"""How all figures look, how they are saved, and how they become SVG inside of a page."""

import html
import io
import re
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.image import imsave

from resjax.errors import BadInput

DPI = 200
# The colours of Okabe and Ito (https://jfly.uni-koeln.de/color/), told apart by nearly every eye; black is for text.
COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
GRID, QUIET, STRIPE = "#E0E0E0", "#595959", "#F4F4F4"
ON_DARK, ON_LIGHT = "#FDFDFD", "#0F0F0F"
"""Text on cells of a colour map, which are the same in a page's light and dark mode."""
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "figure.titlesize": 10.5,
    "figure.constrained_layout.h_pad": 0.09,
    "legend.edgecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    # Names of classes may hold $ and _; they are text.
    "text.parse_math": False,
    # Same records, same bytes; and text in an SVG stays text that can be searched.
    "svg.hashsalt": "resjax",
    "svg.fonttype": "none",
}
PAGE_COLORS = {
    **{color: f"var(--network{place})" for place, color in enumerate(COLORS)},
    "#000000": "currentColor",
    "#FFFFFF": "var(--page)",
    GRID: "var(--line)",
    QUIET: "var(--quiet)",
    STRIPE: "var(--card)",
}
"""What these colours are inside of a page, in light and dark mode."""
NamedFigures = Iterable[tuple[str, Figure]]


def save(figures: NamedFigures, folder: Path) -> list[Path]:
    """Saves named figures in `folder`, each as PNG and as SVG, and returns the paths.

    The figures are drawn one by one as they are taken, in the style of this module.
    """
    folder.mkdir(exist_ok=True)
    paths, writing = [], []
    # PNG files are compressed and written by another thread, while the next figure is drawn.
    with _style(), ThreadPoolExecutor(1) as writer:
        for name, figure in figures:
            png, svg = folder / f"{name}.png", folder / f"{name}.svg"
            svg.write_text(_svg(figure), encoding="utf-8")
            figure.set_dpi(DPI)
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            writing.append(writer.submit(imsave, png, canvas.buffer_rgba(), origin="upper", dpi=DPI))
            paths += [png, svg]
        for each in writing:
            each.result()
    return paths


def save_one(make: Callable[[], Figure], path: Path) -> Path:
    """Saves one figure, made in the style of this module, in the format of the file's ending.

    Raises:
      BadInput: for another ending than .png and .svg.
    """
    if path.suffix not in (".png", ".svg"):
        raise BadInput(f"{path}: expected a file that ends in .png or .svg")
    with _style():
        figure = make()
        if path.suffix == ".svg":
            path.write_text(_svg(figure), encoding="utf-8")
        else:
            figure.set_dpi(DPI)
            FigureCanvasAgg(figure).print_png(path)
    return path


def draw(figures: NamedFigures) -> dict[str, str]:
    """The SVG of figures by name, as `save` would write it."""
    with _style():
        return {name: _svg(figure) for name, figure in figures}


def frame(figure: Figure, title: str, note: str, *, warning: str = "", left_out: str = "") -> None:
    """Puts a title above a figure, and below it a note, what is wrong with the split, and what was left out."""
    width = figure.get_figwidth()
    if left_out:
        note = f"{note} Left out: {left_out}."
    lines = [textwrap.fill(text, int(15.5 * width)) for text in (note, *warning.splitlines())]
    figure.suptitle(textwrap.fill(title, int(9.8 * width)), fontweight="bold")
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=8, color=QUIET)
    describe(figure, title)


def describe(figure: Figure, words: str) -> None:
    """Says what a figure shows, for readers who cannot see it: the title of its SVG."""
    figure.set_label(words)


def inline(svg: str, name: str) -> str:
    """A drawn figure as an element of an HTML page, in which no other figure has this name.

    Its colours follow the page's light and dark mode, its text can be searched, and its ids begin with its name.
    """
    title = re.search(r"<title>(.*?)</title>", svg, re.S)
    words = " ".join(html.unescape(title[1]).split()) if title else name
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert size, "matplotlib writes a viewBox"
    body = svg[svg.index(">", svg.index("<svg ")) + 1 :]
    for of_a_file in (r"<title>.*?</title>", r"<metadata>.*?</metadata>", r"<style .*?</style>", r"<!--.*?-->"):
        body = re.sub(of_a_file, "", body, flags=re.S)
    referenced = set(re.findall(r'(?:href="|url\()#([^")]+)', body))

    def of_the_page(tag: re.Match[str]) -> str:
        text = tag[0].replace("\n", "").replace("xlink:href", "href")
        text = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' * (found[1] in referenced), text)
        text = re.sub(r'(href="|url\()#', rf"\g<1>#{name}-", text)
        text = re.sub(r"#[0-9a-f]{6}(?=[;\"])", lambda found: PAGE_COLORS.get(found[0].upper(), found[0]), text)
        text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
        return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", text)

    body = re.sub(r"\n\s*", "\n", re.sub(r"<[^>]*>", of_the_page, body)).strip()
    return (
        f'<svg class="figure" viewBox="0 0 {size[1]} {size[2]}" style="--width: {size[1]}px" role="img" '
        f'aria-label="{html.escape(words)}">\n{body}'
    )


@contextmanager
def _style() -> Iterator[None]:
    with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        # A name in a script that the font lacks: boxes in the PNG, right in the SVG, and no reason to fail.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _svg(figure: Figure) -> str:
    """The figure as SVG, laid out from now on."""
    # `Figure.savefig` draws twice, and lays out for each file anew: that takes half of the time.
    figure.set_dpi(DPI)
    if engine := figure.get_layout_engine():
        engine.execute(figure)
        figure.set_layout_engine("none")
    file = io.StringIO()
    FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Title": str(figure.get_label())})
    return file.getvalue()
