"""The recall of each class by each network: the mean over seeds and every seed."""

import numpy as np
from matplotlib.figure import Figure

from resjax.report.figures.drawn_run import DrawnRun
from resjax.report.figures.style import STRIPE, frame


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
