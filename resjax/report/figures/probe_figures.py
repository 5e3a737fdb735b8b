"""The figures of the probes, drawn from `probes.json` alone."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from resjax.records import Probes
from resjax.report.figures.curves import logarithmic
from resjax.report.figures.style import COLORS, MARKERS, ON_DARK, frame

TITLES = {
    "gradients": "Gradient flow",
    "signals": "Signal flow",
    "shattering": "Shattered gradients",
    "lesions": "Lesions",
    "dose": "Shortcut dose",
    "landscape": "Loss landscape",
    "curvature": "Curvature",
    "saliency": "What the networks look at",
    "linear": "Linear probes by depth",
    "connectivity": "Between two seeds",
}
"""What the probes are called, in the order of the report."""
AT = {"init": "before training", "best": "best epoch", "last": "last epoch"}
SEEDS_NOTE = "Thick: mean over seeds. Thin: the seeds."


class Measured:
    """The measurements of one probe, as arrays over seeds."""

    def __init__(self, record: Probes, name: str):
        self.networks = list(record.networks)
        self.measurements = record.probes[name].measurements

    def values(self, network: str, at: str, key: str) -> np.ndarray:
        """(seed, number); without rows where the network has none."""
        found = [
            each.values[key]
            for each in self.measurements
            if (each.network, each.at) == (network, at) and key in each.values
        ]
        return np.array(found, float) if found else np.zeros((0, 0))

    def look(self, network: str) -> dict[str, Any]:
        place = self.networks.index(network)
        return {"color": COLORS[place % len(COLORS)], "marker": MARKERS[place % len(MARKERS)]}

    def draw(
        self, panel: Axes, at: str, key: str, *, x: str | None = None, change=lambda values: values, **style
    ) -> None:
        """A line for each network that has these values: the mean over seeds, and each seed."""
        for network in self.networks:
            values = self.values(network, at, key)
            if not values.size:
                continue
            values = change(values)
            places = np.arange(values.shape[1]) if x is None else self.values(network, at, x)[0]
            look = self.look(network)
            panel.plot(places, values.T, color=look["color"], linewidth=0.6, alpha=0.5)
            every = max(1, values.shape[1] // 12)
            panel.plot(places, _mean(values), label=network, markevery=every, **(look | style))


def probe_figures(record: Probes, warning: str = "") -> Iterator[tuple[str, Figure]]:
    """The figure of each probe that measured something, by the name of its file."""
    for name, draw in _DRAWN.items():
        probe = record.probes.get(name)
        if probe and probe.measurements:
            yield f"probe_{name}", draw(Measured(record, name), warning)


def _panels(count: int, width: float = 3.6, height: float = 3.4, rows: int = 1) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(width * count, height * rows), layout="constrained")
    return figure, list(figure.subplots(rows, count, squeeze=False).flat)


def _gradients(found: Measured, warning: str) -> Figure:
    states = [at for at in AT if any(found.values(network, at, "block_inputs").size for network in found.networks)]
    figure, panels = _panels(len(states) + 1, 3.1)
    for panel, at in zip(panels, states, strict=False):
        found.draw(panel, at, "block_inputs", change=lambda values: values / values[:, -1:])
        panel.set_title(f"Block inputs, {AT[at]}")
    found.draw(panels[-1], "init", "kernels")
    panels[-1].set_title("Kernels, before training")
    for panel in panels:
        logarithmic(panel)
        _label(panel, "block (last: the output)", "|gradient| / that at the last")
    _label(panels[-1], "layer", "|gradient| / |kernel|")
    panels[0].legend()
    frame(figure, "How much of the gradient reaches each depth", f"Left is the input. {SEEDS_NOTE}", warning=warning)
    return figure


def _signals(found: Measured, warning: str) -> Figure:
    figure, panels = _panels(2, 4.3, 2.9, rows=2)
    shown = [("init", "training"), ("best", "inference")]
    modes = {"training": "batch statistics", "inference": "running statistics"}
    for row, quantity in enumerate(("variance", "correlation")):
        for column, (at, mode) in enumerate(shown):
            panel = panels[2 * row + column]
            found.draw(panel, at, f"{mode}_{quantity}")
            panel.set_title(f"{quantity.capitalize()}, {AT[at]}, {modes[mode]}")
            label = "variance" if quantity == "variance" else "correlation between images"
            _label(panel, "block (last: the output)", label)
            if quantity == "variance":
                logarithmic(panel)
    panels[0].legend()
    note = f"Left is the input. Correlation: Pearson's, between two images, mean over pairs. {SEEDS_NOTE}"
    frame(figure, "Activations of the images by depth", note, warning=warning)
    return figure


def _shattering(found: Measured, warning: str) -> Figure:
    figure, panels = _panels(3, 3.1)
    found.draw(panels[0], "init", "autocorrelation")
    panels[0].set_title("Gradient by the image, before training")
    _label(panels[0], "distance (steps of 1/63 of the line)", "autocorrelation")
    panels[0].axhline(0, color="black", linewidth=0.8)
    for panel, at in zip(panels[1:], ("init", "best"), strict=True):
        found.draw(panel, at, "whiteness")
        panel.set_title(f"Whiteness by depth, {AT[at]}")
        _label(panel, "block (last: the output)", "1 − cosine of neighbours")
    panels[0].legend()
    note = f"64 images on the line between two. Whiteness 0: equal gradients; 1: white noise. {SEEDS_NOTE}"
    frame(figure, "How similar are the gradients at neighbouring images?", note, warning=warning)
    return figure


def _lesions(found: Measured, warning: str) -> Figure:
    figure, (left, right) = _panels(2, 4.6)
    for network in found.networks:
        without = 100 * found.values(network, "best", "without_block")
        intact = 100 * found.values(network, "best", "intact")
        if not without.size:
            continue
        look = found.look(network)
        left.axhline(intact.mean(), color=look["color"], linestyle=":", linewidth=1)
        left.plot(without.T, look["marker"], color=look["color"], alpha=0.25, markersize=3)
        left.plot(_mean(without), label=network, **look)
        sizes = found.values(network, "best", "deleted")[0]
        after = _mean(100 * found.values(network, "best", "without_random"))
        counts = np.unique(sizes)
        means = [float(np.mean(after[sizes == count])) for count in counts]
        right.plot(sizes, after, look["marker"], color=look["color"], alpha=0.3, markersize=3)
        right.plot([0, *counts], [intact.mean(), *means], label=network, **look)
    left.set_title("Without one block")
    _label(left, "block", "accuracy (%)")
    right.set_title("Without several blocks (of those that keep the shape)")
    _label(right, "blocks deleted at random", "accuracy (%)")
    left.legend()
    note = (
        "Dotted: the whole network. A residual block keeps its shortcut and loses its branch; a plain block is "
        "replaced by the identity, which is impossible where it changes the shape (gaps). Lines: means over seeds and "
        "draws."
    )
    frame(figure, "Accuracy of a trained network without some of its blocks", note, warning=warning)
    return figure


def _dose(found: Measured, warning: str) -> Figure:
    figure, (panel,) = _panels(1, 5.6, 3.6)
    found.draw(panel, "best", "accuracy", x="doses", change=lambda values: 100 * values)
    for network in found.networks:
        old = 100 * found.values(network, "best", "accuracy_by_old_statistics")
        if old.size:
            places = found.values(network, "best", "doses")[0]
            panel.plot(places, old.mean(0), "--", color="#808080", label=f"{network}, old statistics")
        trained = 100 * found.values(network, "best", "trained_accuracy")
        if trained.size:
            places = found.values(network, "best", "trained_doses")
            panel.plot(places.ravel(), trained.ravel(), "k*", ms=9, label=f"{network}, trained at that dose")
    _label(panel, "factor on every shortcut", "accuracy (%)", whole=False)
    panel.legend()
    note = f"Batch norm statistics are re-estimated at each dose; grey: without that. {SEEDS_NOTE}"
    frame(figure, "Accuracy of a trained network with its shortcuts scaled down", note, warning=warning)
    return figure


def _landscape(found: Measured, warning: str) -> Figure:
    networks = [network for network in found.networks if found.values(network, "best", "surface").size]
    figure, panels = _panels(1 + len(networks), 3.4, 3.5)
    found.draw(panels[0], "best", "line", x="line_at")
    _label(panels[0], "distance (filter lengths)", "loss (nats)", whole=False)
    logarithmic(panels[0])
    panels[0].set_title("On a line")
    panels[0].legend()
    surfaces = {network: np.log10(_mean(found.values(network, "best", "surface"))) for network in networks}
    low, high = (float(function(list(surfaces.values()))) for function in (np.min, np.max))
    image = None
    for panel, (network, surface) in zip(panels[1:], surfaces.items(), strict=True):
        side = round(len(surface) ** 0.5)
        grid = found.values(network, "best", "grid")[0]
        image = panel.contourf(grid, grid, surface.reshape(side, side).T, np.linspace(low, high, 15), cmap="viridis")
        panel.plot(0, 0, "+", color=ON_DARK)
        panel.set_title(f"{network}, on a plane")
        panel.set_aspect("equal")
        _label(panel, "first direction", "second direction", whole=False)
    if image is not None:
        bar = figure.colorbar(image, ax=panels[1:], shrink=0.8, label="loss (nats, logarithmic)")
        ticks = np.linspace(low, high, 5)
        bar.set_ticks(ticks.tolist(), labels=[f"{10**tick:.2g}" for tick in ticks])
    note = (
        "Best epoch; filter-normalized random directions, the same for all seeds, one colour scale; "
        f"planes are means over seeds. {SEEDS_NOTE}"
    )
    frame(figure, "The loss around the trained networks", note, warning=warning)
    return figure


def _curvature(found: Measured, warning: str) -> Figure:
    figure, panels = _panels(2, 4.2)
    for panel, key, title in zip(
        panels, ("largest", "trace"), ("Largest eigenvalue (Lanczos)", "Trace (Hutchinson)"), strict=True
    ):
        for network in found.networks:
            shift = 0.12 * (found.networks.index(network) - (len(found.networks) - 1) / 2)
            for place, at in enumerate(("init", "best")):
                values, errors = found.values(network, at, key), found.values(network, at, "trace_error")
                if not values.size:
                    continue
                spread = np.linspace(-0.03, 0.03, len(values)) if len(values) > 1 else np.zeros(1)
                bars = errors.ravel() if key == "trace" else None
                panel.errorbar(
                    place + shift + spread,
                    values.ravel(),
                    yerr=bars,
                    linestyle="",
                    label=network if place == 0 else None,
                    **found.look(network),
                )
        if key == "largest":
            logarithmic(panel)
        panel.set_xticks([0, 1], [AT["init"], AT["best"]])
        panel.set_xlim(-0.5, 1.5)
        panel.set_title(title)
    panels[0].legend()
    note = "A mark is a seed; bars: the standard error of the trace over random vectors. Loss by batch statistics."
    frame(figure, "Curvature of the loss", note, warning=warning)
    return figure


def _linear(found: Measured, warning: str) -> Figure:
    figure, (panel,) = _panels(1, 5.6, 3.6)
    found.draw(panel, "best", "accuracy", change=lambda values: 100 * values)
    _label(panel, "block (last: the output)", "validation accuracy (%)")
    panel.legend()
    note = f"Logistic regression on the input of a block, averaged over pixels. {SEEDS_NOTE}"
    frame(figure, "How separable the classes are at each depth", note, warning=warning)
    return figure


def _connectivity(found: Measured, warning: str) -> Figure:
    figure, panels = _panels(2, 4.2)
    for panel, key, title in zip(
        panels, ("as_they_are", "matched"), ("Channels as they are", "Channels matched"), strict=True
    ):
        found.draw(panel, "best", key, x="shares")
        panel.set_title(title)
        _label(panel, "share of the other seed", "validation loss (nats)", whole=False)
    panels[1].sharey(panels[0])
    panels[0].legend()
    note = f"Batch norm statistics are re-estimated at each point. {SEEDS_NOTE}"
    frame(figure, "The loss between the networks of two seeds", note, warning=warning)
    return figure


_DRAWN: dict[str, Callable[[Measured, str], Figure]] = {
    "gradients": _gradients,
    "signals": _signals,
    "shattering": _shattering,
    "lesions": _lesions,
    "dose": _dose,
    "landscape": _landscape,
    "curvature": _curvature,
    "linear": _linear,
    "connectivity": _connectivity,
}


def _label(panel: Axes, x: str, y: str, *, whole: bool = True) -> None:
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    if whole:
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=6))


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean over seeds; where one has no number, nor has the mean."""
    return values.mean(0)
