"""The difference that the shortcut makes, against depth: in training, in validation, and in the gap between them."""

import numpy as np
from matplotlib.figure import Figure

from resjax.records import Depth, Slope
from resjax.report.figures.style import COLORS, frame

PANELS = {
    "train_accuracy": ("Training accuracy", "difference (points)", 100),
    "train_loss": ("Training loss", "difference (nats per image)", 1),
    "val_accuracy": ("Validation accuracy", "difference (points)", 100),
    "gap": ("Generalization gap", "difference (points)", 100),
}
COLOR = COLORS[1]


def depth_figure(family: Depth, warning: str = "") -> Figure:
    """A panel a measure: each seed's difference at each depth, their mean and its interval, and the slope in words."""
    figure = Figure(figsize=(8.5, 6.4), layout="constrained")
    depths = [twins.depth for twins in family.twins]
    for panel, (measure, (title, label, scale)) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
        part = family.measures[measure]
        panel.axhline(0, color="black", linewidth=0.8)
        for depth, described in zip(depths, part.by_depth, strict=True):
            values = scale * np.array(described.values)
            panel.plot([depth] * len(values), values, ".", color=COLOR, alpha=0.4)
            if described.ci95:
                panel.plot([depth, depth], scale * np.array(described.ci95), color=COLOR)
        means = [np.nan if each.mean is None else scale * each.mean for each in part.by_depth]
        panel.plot(depths, means, "o-", color=COLOR, markeredgecolor="black")
        panel.set_title(f"{title}\n{_slope_words(part.slope, scale)}")
        panel.set_xticks(depths)
        panel.set_xlabel("layers")
        panel.set_ylabel(label)
    pairs = ", ".join(f"{twins.candidate} minus {twins.baseline}" for twins in family.twins)
    note = (
        f"{pairs}; after the last epoch. The gap is training minus validation accuracy. Small dots: the seeds. Bars: "
        "95 % interval of the mean over seeds."
    )
    frame(figure, "What the shortcut changes at each depth", note, warning=warning)
    return figure


def _slope_words(slope: Slope, scale: float) -> str:
    if slope.mean is None:
        return ""
    interval = ""
    if slope.ci95:
        low, high = slope.ci95
        interval = f" ({scale * low:+.2g} to {scale * high:+.2g})"
    return f"per ten layers {scale * slope.mean:+.2g}{interval}"
