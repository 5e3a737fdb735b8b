"""The small charts of a run's report: paired differences, curves over epochs, classes by seed, and reliability."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from resjax.records import ClassDifferences, Comparison, Reliability
from resjax.report.figures.curves import AXIS_LABELS, draw_mean, draw_seeds, label_epochs
from resjax.report.figures.drawn_run import DrawnNetwork, DrawnRun, shortened
from resjax.report.figures.style import COLORS, MARKERS, QUIET, STRIPE, describe, save_one
from resjax.report.words import SIDES, change, known, points, unit_of, with_width

WIDTH = 4.6
"""Inches. All charts are this wide, so that their letters have one size on a page."""
SMALLEST_MARK, LARGEST_MARK = 9, 110
"""Square points; the areas of the marks of the emptiest and the fullest bin of a reliability chart."""


def difference_chart(pair: Comparison, color: str = COLORS[1], marker: str = MARKERS[1]) -> Figure:
    """A mark for the paired difference of each seed, and the mean with its interval below; a margin is shaded.

    Shares are in points, the log loss in nats.
    """
    scale = 100 if unit_of(pair.metric) == "points" else 1
    values = scale * np.array(pair.differences)
    pitch = 0.27 if len(values) <= 12 else 0.17
    figure = Figure(figsize=(WIDTH, pitch * (len(values) + 1) + 0.7), layout="constrained")
    panel = figure.subplots()
    rows = np.arange(len(values))
    panel.axvline(0, color=QUIET, linewidth=1, linestyle="--", dashes=(4, 3))
    if asked := known(pair.equivalence):
        panel.axvspan(-scale * asked.margin, scale * asked.margin, color=STRIPE, zorder=0)
    panel.plot(values, rows, marker, color=color, markersize=6)
    if interval := with_width(pair.ci95):
        low, high = (scale * end for end in interval)
        panel.errorbar([(low + high) / 2], [len(rows)], xerr=[(high - low) / 2], fmt="none", color="black", capsize=4)
    panel.plot([values.mean()], [len(rows)], "|", color="black", markersize=12, markeredgewidth=3)
    panel.set_yticks(range(len(rows) + 1), [*(f"seed {seed}" for seed in pair.seeds), "mean"])
    panel.set_ylim(len(rows) + 0.6, -0.6)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    if scale == 100:
        panel.xaxis.set_major_formatter(lambda value, _: points(value / 100, 0 if value == round(value) else 1))
    panel.margins(x=0.08)
    unit = unit_of(pair.metric)
    panel.set_xlabel(f"difference ({'percentage points' if scale == 100 else unit})")
    by_seed = ", ".join(
        f"seed {seed} {change(value, pair.metric)}" for seed, value in zip(pair.seeds, pair.differences, strict=True)
    )
    describe(figure, f"{pair.candidate} minus {pair.baseline} in {unit}: {by_seed}")
    return figure


def save_difference_chart(pair: Comparison, path: Path) -> Path:
    """Draws the chart of a comparison, under its sentence, into a `.png` or `.svg` file."""

    def drawn() -> Figure:
        figure = difference_chart(pair)
        figure.set_size_inches(WIDTH * 1.5, figure.get_figheight() + 1)
        figure.suptitle(textwrap.fill(pair.sentence, 75), fontsize=9, x=0.01, ha="left")
        return figure

    return save_one(drawn, path)


def history_charts(run: DrawnRun) -> Iterator[tuple[str, Figure]]:
    """Accuracy and loss on validation and training after each epoch: each seed, and the mean."""
    for quantity in AXIS_LABELS:
        for side in ("val", "train"):
            curves = [(network, network.curves(side, quantity)) for network in run.networks]
            curves = [(network, each) for network, each in curves if np.isfinite(each).any()]
            if curves:
                title = f"{SIDES[side].capitalize()} {quantity}"
                yield title, _history_chart(title, quantity, curves)


def _history_chart(title: str, quantity: str, curves: list[tuple[DrawnNetwork, np.ndarray]]) -> Figure:
    figure = Figure(figsize=(WIDTH, 2.7), layout="constrained")
    panel = figure.subplots()
    for network, each in curves:
        draw_seeds(panel, each, network.color)
        draw_mean(panel, each, network.color, network.marker, label=network.name)
    label_epochs(panel, quantity)
    unit = " %" if quantity == "accuracy" else " nats"
    last = [(network.name, each.mean(0)) for network, each in curves]
    ends = ", ".join(f"{name} {mean[-1]:.2f}{unit}" for name, mean in last if np.isfinite(mean[-1]))
    epochs = max(len(mean) for _, mean in last)
    describe(figure, f"{title} after each of {epochs} epochs; after the last one: {ends or 'not finite'}")
    return figure


def recall_chart(run: DrawnRun) -> Figure:
    """A row for each class: large marks are means over seeds, small dots the seeds."""
    figure, panel = _class_rows(run.classes)
    rows = np.arange(len(run.classes))
    for index, network in enumerate(run.networks):
        recalls = 100 * network.recalls()
        heights = rows + (0.6 / len(run.networks)) * (index - (len(run.networks) - 1) / 2)
        panel.plot(recalls.T, heights, ".", color=network.color, alpha=0.5, markersize=5)
        panel.plot(recalls.mean(0), heights, network.marker, color=network.color, mec="black", markersize=6)
    panel.set_xlim(-3, 103)
    panel.set_xlabel("recall (%)")
    by_class = "; ".join(
        f"{name}: "
        + ", ".join(f"{network.name} {100 * network.recalls()[:, row].mean():.0f} %" for network in run.networks)
        for row, name in enumerate(run.classes)
    )
    describe(figure, f"Recall of each class, means over seeds. {by_class}")
    return figure


def class_difference_chart(pair: ClassDifferences, color: str, marker: str) -> Figure:
    """A row for each class: each seed's paired difference in recall, their mean, and its interval if it has one."""
    figure, panel = _class_rows([*map(shortened, pair.classes)])
    panel.axvline(0, color=QUIET, linewidth=1, linestyle="--", dashes=(4, 3))
    for row, each in enumerate(pair.classes.values()):
        panel.plot(100 * np.array(each.by_seed), [row] * len(each.by_seed), ".", color=color, alpha=0.5, markersize=5)
        if each.interval:
            panel.plot(100 * np.array(each.interval), [row, row], color="black", linewidth=1.2)
        if each.difference is not None:
            panel.plot([100 * each.difference], [row], marker, color=color, mec="black", markersize=6)
    panel.xaxis.set_major_formatter(lambda value, _: points(value / 100, 0))
    panel.set_xlabel("difference (points)")
    by_class = ", ".join(f"{name} {points(each.difference, 0)}" for name, each in pair.classes.items())
    describe(figure, f"Recall of {pair.candidate} minus that of {pair.baseline} in points: {by_class}")
    return figure


def _class_rows(names: Sequence[str]) -> tuple[Figure, Axes]:
    """A panel with a row for each class, from top to bottom, every second one shaded."""
    pitch = 0.36 if len(names) <= 30 else 0.2
    figure = Figure(figsize=(WIDTH, len(names) * pitch + 0.7), layout="constrained")
    panel = figure.subplots()
    for row in range(0, len(names), 2):
        panel.axhspan(row - 0.5, row + 0.5, color=STRIPE, zorder=0)
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.grid(False, axis="y")
    panel.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    return figure, panel


def reliability_chart(found: Reliability, network: DrawnNetwork) -> Figure:
    """Accuracy against confidence, a mark for each bin, with the diagonal on which a calibrated network lies.

    The area of a mark is in proportion to the images in its bin, as far as it can still be seen.
    """
    figure = Figure(figsize=(0.75 * WIDTH, 0.75 * WIDTH), layout="constrained")
    panel = figure.subplots()
    panel.plot([0, 100], [0, 100], color=QUIET, linewidth=1.2, dashes=(4, 3))
    confidence, accuracy = ([100 * getattr(each, name) for each in found.bins] for name in ("confidence", "accuracy"))
    counts = np.array([each.images for each in found.bins], float)
    panel.plot(confidence, accuracy, color=network.color, linewidth=0.8, alpha=0.6)
    sizes = np.maximum(LARGEST_MARK * counts / counts.max(initial=1), SMALLEST_MARK)
    panel.scatter(confidence, accuracy, sizes, color=network.color, marker=network.marker, linewidths=0, zorder=3)
    panel.set_xlabel("confidence (%)")
    panel.set_ylabel("accuracy (%)")
    panel.set_xlim(-4, 104)
    panel.set_ylim(-4, 104)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=5))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    bins = ", ".join(
        f"{x:.0f} % sure and {y:.0f} % right on {count:.0f} images"
        for x, y, count in zip(confidence, accuracy, counts, strict=True)
    )
    describe(figure, f"{network.name}, accuracy against confidence in {len(found.bins)} bins: {bins}")
    return figure
