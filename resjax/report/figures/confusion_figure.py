"""Confusion matrices side by side: of the networks of a run, and of networks on labelled images from outside of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resjax.records import LabelledScores
from resjax.report.figures.drawn_run import shortened
from resjax.report.figures.style import frame, save
from resjax.report.words import counted

MOST_ANNOTATED_CLASSES = 15


def draw_scores(record: LabelledScores, folder: Path) -> list[Path]:
    """Draws the confusion matrices of `scores.json` into a folder, as PNG and as SVG, and returns their paths."""
    panels = {
        f"{name}, {counted(len(network.seeds), 'seed')}": np.array(network.confusion_matrix)
        for name, network in record.networks.items()
    }
    note = "Images are counted once for each seed, at its best epoch on validation."
    figure = confusion_figure(
        panels, [*map(shortened, record.classes)], "Confusion matrix on the labelled images", note
    )
    return save([("confusion", figure)], folder)


def confusion_figure(
    matrices: Mapping[str, np.ndarray],
    names: Sequence[str],
    title: str,
    note: str,
    *,
    warning: str = "",
    left_out: str = "",
) -> Figure:
    """A panel for each matrix of counts, (true class, predicted class), under its title."""
    classes = len(names)
    columns = len(matrices) if len(matrices) <= 3 else -(-len(matrices) // 2)
    rows = -(-len(matrices) // columns)
    side = float(np.clip(0.6 * classes, 2.6, 7))
    font = float(np.clip(0.8 * 72 * side / classes, 3, 9))
    widest = 0.0085 * font * max(len(name) for name in names)
    slanted = classes <= MOST_ANNOTATED_CLASSES
    # The panels shall fill the figure: slanted names reach to the left of their panel, and below the last of a column.
    gap = max(0.25, 0.7 * widest - 0.5 * side / classes) if slanted else 0.25
    width = columns * side + (columns - 1) * gap + widest + 1.7
    lettered = 1 if len(matrices) % columns == 0 else 2
    height = rows * (side + 0.35) + lettered * ((0.7 if slanted else 1) * widest + 0.3) + 1.2
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for index, (panel, (of_panel, counts)) in enumerate(zip(panels.flat, matrices.items(), strict=False)):
        _draw_matrix(panel, counts)
        panel.set_title(of_panel)
        panel.set_xticks(range(classes), names, fontsize=font, rotation=45 if slanted else 90)
        panel.set_yticks(range(classes), names, fontsize=font)
        if slanted:
            for label in panel.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")
        if index % columns == 0:
            panel.set_ylabel("true class")
        else:
            panel.tick_params(labelleft=False)
        if index + columns >= len(matrices):
            panel.set_xlabel("predicted class")
        else:
            panel.tick_params(labelbottom=False)
    for panel in panels.flat[len(matrices) :]:
        panel.remove()
    figure.colorbar(figure.axes[0].images[0], ax=figure.axes, label="share of the true class (%)", shrink=0.8)
    numbers = "In a cell: images, and their share of the row. " if classes <= MOST_ANNOTATED_CLASSES else ""
    frame(figure, title, f"{numbers}{note}", warning=warning, left_out=left_out)
    return figure


def _draw_matrix(panel: Axes, counts: np.ndarray) -> None:
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    panel.imshow(shares, cmap="Blues", vmin=0, vmax=100, interpolation="none")
    panel.grid(False)
    if len(counts) <= MOST_ANNOTATED_CLASSES:
        for (row, column), share in np.ndenumerate(shares):
            text = f"{counts[row, column]}\n{share:.0f} %"
            color = "white" if share > 55 else "black"
            panel.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
