"""How all pictures look: sizes and colours of marks, the frame of title and note, and the files they are saved to."""

import base64
import io
import textwrap
import warnings
from collections.abc import Iterable
from pathlib import Path

import matplotlib.style
from matplotlib.figure import Figure

DPI = 200
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
    "grid.color": "#E0E0E0",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    # Names of classes may hold $ and _; they are text.
    "text.parse_math": False,
    # Same records, same bytes; and text in an SVG stays text that can be searched.
    "svg.hashsalt": "resjax",
    "svg.fonttype": "none",
}


def save(figures: Iterable[tuple[str, Figure]], folder: Path) -> list[Path]:
    """Saves named figures in `folder`, each as PNG and as SVG, and returns the paths.

    The figures are drawn one by one as they are taken, in the style of this module.
    """
    folder.mkdir(exist_ok=True)
    paths = []
    with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        # A name in a script that the font lacks: boxes in the PNG, right in the SVG, and no reason to fail.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for name, figure in figures:
            for suffix, metadata in (("png", {}), ("svg", {"Date": None})):
                paths.append(folder / f"{name}.{suffix}")
                figure.savefig(paths[-1], dpi=DPI, metadata=metadata)
    return paths


def embedded(figures: Iterable[tuple[str, Figure]], dpi: int = 110) -> dict[str, str]:
    """Named figures as data URIs of PNGs, for a page that loads nothing."""
    found = {}
    with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for name, figure in figures:
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=dpi, metadata={"Software": None})
            found[name] = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    return found


def frame(figure: Figure, title: str, note: str, *, warning: str = "", left_out: str = "") -> None:
    """Puts a title above a figure, and below it a note, what is wrong with the split, and what was left out."""
    width = figure.get_figwidth()
    if left_out:
        note = f"{note} Left out: {left_out}."
    lines = [textwrap.fill(text, int(15.5 * width)) for text in (note, *warning.splitlines())]
    figure.suptitle(textwrap.fill(title, int(9.8 * width)), fontweight="bold")
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=8, color="#404040")
