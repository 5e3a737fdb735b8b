"""Vector charts as geometry: what `templates/charts.html` draws as SVG in the page's own colours, light and dark.

All coordinates are in the chart's own units, which the page scales to the width that there is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10
from typing import Any

import numpy as np

from resjax.report.page.verdict import headline_interval
from resjax.report.page.words import points

TICK_STEPS = (1, 2, 2.5, 5, 10)
MOST_MARKERS = 15
NARROW_DECADES = 0.7
"""Logarithmic axes that span less have their ticks at equal steps."""


@dataclass(frozen=True)
class Scale:
    """Maps values between `low` and `high` to places between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)


@dataclass(frozen=True)
class Chart:
    """One chart. Marks carry the number of their arm, from which the page takes colour and shape."""

    words: str
    """What it shows, for who cannot see it."""
    width: int
    height: int
    frame: tuple[float, float, float, float]
    """Left, top, right and bottom of the plotting area."""
    x_label: str
    y_label: str
    x_ticks: list[tuple[float, str]] = field(default_factory=list)
    y_ticks: list[tuple[float, str]] = field(default_factory=list)
    bands: list[tuple[int, str]] = field(default_factory=list)
    """Arm and points of a polygon."""
    lines: list[tuple[int, str]] = field(default_factory=list)
    dots: list[tuple[int, float, float, str]] = field(default_factory=list)
    """Arm, place, and words."""
    bars: list[tuple[float, float, float, float]] = field(default_factory=list)
    """An interval: low and high end, its row, and the mean."""
    rule: tuple[float, float, float, float] | None = None
    """A dashed line of reference: x and y of its ends."""


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, at most about `most`."""
    rough = max(high - low, 1e-12) / most
    power = 10 ** floor(log10(rough))
    step = next(factor * power for factor in TICK_STEPS if factor * power >= rough * 0.999)
    return [round(step * place, 10) for place in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def difference_chart(comparison: Mapping[str, Any], arm: int) -> Chart | None:
    """A dot for the paired difference of each seed, in points, and the mean with its interval below."""
    values = [100 * value for value in comparison["differences"]]
    if not values:
        return None
    ends = headline_interval(comparison)
    mean = float(np.mean(values))
    interval = (100 * ends[0], 100 * ends[1]) if ends else (mean, mean)
    low, high = min([0, *values, *interval]), max([0, *values, *interval])
    room = 0.08 * max(high - low, 1)
    pitch = 22 if len(values) <= 12 else 14
    left, right, top = 74, 382, 8
    bottom = top + pitch * (len(values) + 1) + 10
    x = Scale(low - room, high + room, left, right)
    rows = [top + pitch * (place + 0.5) for place in range(len(values) + 1)]
    baseline, candidate = comparison["baseline"], comparison["candidate"]
    shown = zip(comparison["seeds"], comparison["differences"], strict=True)
    return Chart(
        words=f"{candidate} minus {baseline} in points: "
        + ", ".join(f"seed {seed} {points(value)}" for seed, value in shown),
        width=400,
        height=bottom + 40,
        frame=(left, top, right, bottom),
        x_label="difference (percentage points)",
        y_label="",
        x_ticks=[(x(value), f"{value:+g}".replace("-", "−") if value else "0") for value in ticks(x.low, x.high)],
        y_ticks=[(row, f"seed {seed}") for row, seed in zip(rows, comparison["seeds"], strict=False)]
        + [(rows[-1], "mean")],
        dots=[(arm, x(value), row, f"{value:+.1f} points") for value, row in zip(values, rows, strict=False)],
        bars=[(x(interval[0]), x(interval[1]), rows[-1], x(mean))],
        rule=(x(0), top, x(0), bottom),
    )


def history_chart(
    title: str, curves: Sequence[np.ndarray], names: Sequence[str], *, label: str, logarithmic: bool
) -> Chart | None:
    """The mean over seeds of each arm after each epoch, with a band of one standard deviation within the seeds' range.

    `curves` has for each arm an array (seed, epoch), empty where the arm has none; NaN where a number is missing.
    """
    transform = (lambda values: np.log10(np.maximum(values, 1e-6))) if logarithmic else (lambda values: 100 * values)
    drawn = {arm: _mean_and_band(transform(each)) for arm, each in enumerate(curves) if each.size}
    drawn = {arm: found for arm, found in drawn.items() if found is not None}
    if not drawn:
        return None
    epochs = max(len(mean) for mean, _, _ in drawn.values())
    low = min(float(lower.min()) for _, lower, _ in drawn.values())
    high = max(float(upper.max()) for _, _, upper in drawn.values())
    room = max(0.05 * (high - low), 0.02 if logarithmic else 0.5)
    left, top, right, bottom = 46, 10, 390, 190
    x = Scale(1, max(epochs, 2), left + 6, right - 6)
    y = Scale(low - room, high + room, bottom, top)
    bands, lines, dots = [], [], []
    for arm, (mean, lower, upper) in drawn.items():
        places = [x(epoch) for epoch in range(1, len(mean) + 1)]
        there = [f"{place},{y(value)}" for place, value in zip(places, upper, strict=True)]
        back = [f"{place},{y(value)}" for place, value in zip(places, lower, strict=True)]
        bands.append((arm, " ".join(there + back[::-1])))
        lines.append((arm, " ".join(f"{place},{y(value)}" for place, value in zip(places, mean, strict=True))))
        every = ceil(len(mean) / MOST_MARKERS)
        for place, value in list(zip(places, mean, strict=True))[::every]:
            dots.append((arm, place, y(value), ""))
    last = [_untransformed(mean[-1], logarithmic) for mean, _, _ in drawn.values()]
    ends = ", ".join(f"{names[arm]} {value}" for arm, value in zip(drawn, last, strict=True))
    return Chart(
        words=f"{title} after each of {epochs} epochs; after the last one: {ends}",
        width=400,
        height=230,
        frame=(left, top, right, bottom),
        x_label="epoch",
        y_label=label,
        x_ticks=[(x(value), f"{value:g}") for value in ticks(1, max(epochs, 2), 8) if value == int(value)],
        y_ticks=[(y(place), text) for place, text in _y_ticks(y.low, y.high, logarithmic)],
        bands=bands,
        lines=lines,
        dots=dots,
    )


def reliability_chart(calibration: Mapping[str, Any], arm: int, name: str) -> Chart:
    """Accuracy against confidence, a dot for each bin, with the diagonal on which a calibrated network lies."""
    left, top, right, bottom = 46, 10, 288, 252
    x, y = Scale(0, 1, left, right), Scale(0, 1, bottom, top)
    bins = calibration["bins"]
    marks = [(x(each["confidence"]), y(each["accuracy"])) for each in bins]
    grid = [0, 0.2, 0.4, 0.6, 0.8, 1]
    return Chart(
        words=f"{name}: accuracy against confidence in {len(bins)} bins",
        width=304,
        height=294,
        frame=(left, top, right, bottom),
        x_label="confidence (%)",
        y_label="accuracy (%)",
        x_ticks=[(x(value), f"{100 * value:.0f}") for value in grid],
        y_ticks=[(y(value), f"{100 * value:.0f}") for value in grid],
        lines=[(arm, " ".join(f"{place},{height}" for place, height in marks))],
        dots=[
            (arm, place, height, f"{each['images']} images") for (place, height), each in zip(marks, bins, strict=True)
        ],
        rule=(x(0), y(0), x(1), y(1)),
    )


def _mean_and_band(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Mean, lower and upper end over seeds, up to the last epoch in which every seed has a number."""
    whole = np.isfinite(values).all(0)
    until = values.shape[1] if whole.all() else int(whole.argmin())
    values = values[:, :until]
    if not values.size:
        return None
    mean = values.mean(0)
    sd = values.std(0, ddof=1) if len(values) > 1 else np.zeros_like(mean)
    return mean, np.maximum(mean - sd, values.min(0)), np.minimum(mean + sd, values.max(0))


def _y_ticks(low: float, high: float, logarithmic: bool) -> list[tuple[float, str]]:
    if not logarithmic:
        return [(value, f"{value:g}") for value in ticks(low, high)]
    if high - low < NARROW_DECADES:
        return [(log10(value), f"{value:g}") for value in ticks(10**low, 10**high)]
    decades = range(floor(low), ceil(high) + 1)
    values = [factor * 10.0**decade for decade in decades for factor in (1, 2, 5)]
    return [(log10(value), f"{value:g}") for value in values if low <= log10(value) <= high]


def _untransformed(value: float, logarithmic: bool) -> str:
    return f"{10**value:.2f}" if logarithmic else f"{value:.1f} %"
