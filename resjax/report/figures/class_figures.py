"""The figures of classes: confusion matrices side by side, of a run or of labelled images from outside, and recalls."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resjax.records import LabelledScores
from resjax.report.figures.drawn_run import DrawnRun, shortened
from resjax.report.figures.style import STRIPE, frame, save
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


def recall_figure(run: DrawnRun) -> Figure:
    """A row for each class: large marks are means over seeds, small dots the seeds; no interval."""
    classes = len(run.classes)
    pitch = max(0.3, 0.16 * len(run.networks) + 0.12) if classes <= 30 else 0.2
    # Long names stand below each other.
    columns = max(1, min(3, 60 // (max(len(network.name) for network in run.networks) + 8)))
    lines = -(-len(run.networks) // columns)
    figure = Figure(figsize=(7.5, classes * pitch + 1.8 + 0.2 * lines), layout="constrained")
    panel = figure.subplots()
    rows = np.arange(classes)
    support = [scores.support for scores in next(iter(run.networks[0].results.values())).per_class.values()]
    for row in rows[::2]:
        panel.axhspan(row - 0.5, row + 0.5, color=STRIPE, zorder=0)
    for index, network in enumerate(run.networks):
        recalls = 100 * network.recalls()
        heights = rows + (0.7 / len(run.networks)) * (index - (len(run.networks) - 1) / 2)
        panel.plot(recalls.T, heights, ".", color=network.color, alpha=0.45, markersize=4)
        panel.plot(recalls.mean(0), heights, network.marker, color=network.color, mec="black", label=network.name)
    panel.set_yticks(rows, [f"{name} ({count})" for name, count in zip(run.classes, support, strict=True)])
    panel.set_ylim(classes - 0.5, -0.5)
    panel.set_xlim(-2, 102)
    panel.set_xlabel(f"recall (% of the class's {run.side} images)")
    panel.set_ylabel("class (images)")
    panel.grid(False, axis="y")
    # At the left, because a page's font may be wider than the one that the figure is laid out with.
    panel.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns)
    note = "Large: mean over seeds. Small dots: the seeds."
    frame(figure, "Recall of each class", note, warning=run.warning, left_out=run.left_out)
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
