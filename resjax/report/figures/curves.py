"""Curves over epochs, as the figures of a run and the charts of its report draw them."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

AXIS_LABELS = {"accuracy": "accuracy (%)", "loss": "loss (nats per image)"}
MOST_MARKERS = 15
NARROW = 5
"""Logarithmic axes whose ends differ by a smaller factor have their ticks at equal steps."""


def draw_mean_and_band(
    panel: Axes, curves: np.ndarray, color: str, marker: str, *, label: str, line: str = "-"
) -> None:
    """The mean over seeds of (seed, epoch), with a band of one standard deviation within the range of the seeds."""
    draw_mean(panel, curves, color, marker, label=label, line=line)
    if len(curves) > 1:
        mean, sd = curves.mean(0), curves.std(0, ddof=1)
        # Within the range of the seeds: one seed's spike would take the band below a loss of zero.
        low, high = np.maximum(mean - sd, curves.min(0)), np.minimum(mean + sd, curves.max(0))
        panel.fill_between(epochs_of(curves), low, high, color=color, alpha=0.18, linewidth=0.8)


def draw_mean(panel: Axes, curves: np.ndarray, color: str, marker: str, *, label: str, line: str = "-") -> None:
    """The mean over seeds of (seed, epoch)."""
    epochs = epochs_of(curves)
    every = max(1, len(epochs) // MOST_MARKERS)
    panel.plot(epochs, curves.mean(0), color=color, linestyle=line, marker=marker, markevery=every, label=label)


def draw_seeds(panel: Axes, curves: np.ndarray, color: str, line: str = "-") -> None:
    """Each seed of (seed, epoch) as a thin line."""
    panel.plot(epochs_of(curves), curves.T, color=color, linestyle=line, linewidth=0.6, alpha=0.5)


def epochs_of(curves: np.ndarray) -> np.ndarray:
    """The epochs, from 1, of (seed, epoch)."""
    return np.arange(1, curves.shape[1] + 1)


def label_epochs(panel: Axes, quantity: str, side: str = "") -> None:
    """Labels and ticks of curves that are drawn already: epochs, and accuracies or losses."""
    panel.set_xlabel("epoch")
    panel.set_ylabel(side + AXIS_LABELS[quantity])
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if quantity == "loss":
        # The first epochs' spikes on validation would flatten all that follows.
        logarithmic(panel)


def logarithmic(panel: Axes) -> None:
    """A logarithmic y axis whose ticks are plain numbers, as many as there is room for."""
    panel.set_yscale("log")
    low, high = panel.get_ylim()
    if high < NARROW * low:
        panel.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    else:
        panel.yaxis.set_major_locator(LogLocator(subs=(1,) if high > 300 * low else (1, 2, 5)))
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())
