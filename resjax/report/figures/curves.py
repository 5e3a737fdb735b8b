"""Curves over epochs, as the figures of a run and the charts of its report draw them."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

from resjax.report.words import plain_number

AXIS_LABELS = {"accuracy": "accuracy (%)", "loss": "loss (nats per image)"}
MOST_MARKERS = 15
FEWEST_TICKS, MOST_TICKS = 4, 8
"""Of a logarithmic axis."""


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
        logarithmic(panel, side + AXIS_LABELS[quantity])


def logarithmic(panel: Axes, label: str) -> None:
    """A logarithmic y axis that says so, with ticks at plain numbers; for what is drawn already."""
    panel.set_yscale("log")
    panel.set_ylabel(f"{label}, log scale")
    low, high = panel.get_ylim()
    if high < 1.01 * low:
        # All values are equal.
        low, high = panel.set_ylim(low / 1.2, high * 1.2)
    panel.yaxis.set_major_locator(FixedLocator(logarithmic_ticks(low, high)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: plain_number(value)))
    panel.yaxis.set_minor_formatter(NullFormatter())


def logarithmic_ticks(low: float, high: float) -> list[float]:
    """Plain numbers between two positive ends, about evenly spread on a logarithmic axis.

    >>> logarithmic_ticks(0.8, 6.3), logarithmic_ticks(1, 2_000_000)
    ([1.0, 2.0, 3.0, 5.0], [1.0, 10.0, 100.0, 1000.0, 10000.0, 100000.0, 1000000.0])
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5), (1, 1.5, 2, 3, 5, 7)):
        numbers = [float(f"{digit}e{decade}") for decade in decades for digit in digits]
        ticks = [number for number in numbers if low <= number <= high]
        if len(ticks) >= FEWEST_TICKS:
            return ticks[:: -(-len(ticks) // MOST_TICKS)]
    # Within less than a decade equal steps are plainer.
    for steps in (6, 9, 14):
        numbers = [
            float(f"{number:.6g}") for number in MaxNLocator(nbins=steps, steps=[1, 2, 5, 10]).tick_values(low, high)
        ]
        ticks = [number for number in numbers if low <= number <= high]
        if len(ticks) >= FEWEST_TICKS:
            break
    return ticks
