"""Panels that belong together: in one figure for a file, or each as a chart of its own for a page."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resjax.report.figures.style import describe, draw, frame, inline

CHART = (4.6, 2.9)
"""Inches of a panel on its own: as wide as the other charts of a page."""


class Sheet(NamedTuple):
    """What is shown together: panels with their titles, each drawn by a function."""

    title: str
    note: str
    panels: Mapping[str, Callable[[Axes], None]]
    columns: int
    size: tuple[float, float] = (3.6, 3.4)
    """Width and height in inches of a panel among others."""


def sheet_figure(sheet: Sheet, *, warning: str = "", left_out: str = "") -> Figure:
    """All panels of a sheet, with their title, the legend above the first, and the note below."""
    columns, (width, height) = sheet.columns, sheet.size
    rows = -(-len(sheet.panels) // columns)
    figure = Figure(figsize=(width * columns, height * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for panel, (title, draw_panel) in zip(panels, sheet.panels.items(), strict=True):
        draw_panel(panel)
        panel.set_title(title if len(sheet.panels) > 1 else "")
    handles, names = panels[0].get_legend_handles_labels()
    if names:
        # Above the panels, where it hides nothing.
        lines = panels[0].get_title().count("\n")
        above = 1.1 + 0.06 * lines if len(sheet.panels) > 1 else 1
        panels[0].legend(handles, names, loc="lower left", bbox_to_anchor=(0, above), ncols=4)
    frame(figure, sheet.title, sheet.note, warning=warning, left_out=left_out)
    return figure


def sheet_charts(name: str, sheet: Sheet) -> Iterator[tuple[str, Figure]]:
    """Each panel of a sheet as a figure of its own, named by the sheet's name and its place."""
    for place, (title, draw_panel) in enumerate(sheet.panels.items()):
        figure = Figure(figsize=CHART, layout="constrained")
        draw_panel(figure.subplots())
        describe(figure, f"{sheet.title}: {title}")
        yield f"{name}{place}", figure


def charts_of_page(name: str, sheet: Sheet) -> list[tuple[str, str]]:
    """The panels of a sheet as elements of a page, with their titles."""
    drawn = draw(sheet_charts(name, sheet))
    return [(title, inline(svg, chart)) for title, (chart, svg) in zip(sheet.panels, drawn.items(), strict=True)]
