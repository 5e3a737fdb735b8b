"""The difference that the shortcut makes, against depth: in training, in validation, and in the gap between them."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resjax.records import Depth, Slope
from resjax.report.figures.sheet import Sheet, sheet_figure
from resjax.report.figures.style import COLORS
from resjax.report.words import change, change_interval, listed

PANELS = {
    "train_accuracy": "Training accuracy",
    "train_loss": "Training loss",
    "val_accuracy": "Validation accuracy",
    "gap": "Training minus validation accuracy",
}
COLOR = COLORS[1]


def depth_figure(family: Depth, warning: str = "") -> Figure:
    """The panels of `depth_sheet` in one figure."""
    return sheet_figure(depth_sheet(family), warning=warning)


def depth_sheet(family: Depth) -> Sheet:
    """A panel a measure: each seed's difference at each depth, their mean and its interval, and the slope in words."""
    panels = {
        f"{title}\n{_slope_words(family.measures[measure].slope, measure)}".strip(): _panel(family, measure)
        for measure, title in PANELS.items()
    }
    pairs = listed([f"{twins.candidate} minus {twins.baseline}" for twins in family.twins])
    note = f"{pairs}, after the last epoch. Small dots: the seeds. Bars: 95 % interval of the mean over seeds."
    return Sheet("What the shortcut changes at each depth", note, panels, 2, (4.25, 3.1))


def _panel(family: Depth, measure: str) -> Callable[[Axes], None]:
    def draw(panel: Axes) -> None:
        is_loss = measure.endswith("loss")
        scale = 1 if is_loss else 100
        depths, described = [twins.depth for twins in family.twins], family.measures[measure].by_depth
        panel.axhline(0, color="black", linewidth=0.8)
        for depth, each in zip(depths, described, strict=True):
            panel.plot([depth] * len(each.values), scale * np.array(each.values), ".", color=COLOR, alpha=0.4)
            if each.ci95:
                panel.plot([depth, depth], scale * np.array(each.ci95), color=COLOR)
        means = [np.nan if each.mean is None else scale * each.mean for each in described]
        panel.plot(depths, means, "o-", color=COLOR, markeredgecolor="black")
        panel.set_xticks(depths)
        panel.set_xlabel("layers")
        panel.set_ylabel("difference (nats per image)" if is_loss else "difference (points)")

    return draw


def _slope_words(slope: Slope, measure: str) -> str:
    if slope.mean is None:
        return ""
    interval = f" ({change_interval(slope.ci95, measure)})" if slope.ci95 else ""
    return f"per ten layers {change(slope.mean, measure)}{interval}"
