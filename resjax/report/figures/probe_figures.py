"""The figures of the probes, drawn from `probes.json` alone."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from resjax.records import Probes
from resjax.report.figures.curves import logarithmic, logarithmic_ticks
from resjax.report.figures.sheet import Sheet, sheet_figure
from resjax.report.figures.style import COLORS, MARKERS, ON_DARK, QUIET
from resjax.report.words import plain_number

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
BY_BLOCK = "block (last: the output)"


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
    for name, sheet in probe_sheets(record).items():
        yield f"probe_{name}", sheet_figure(sheet, warning=warning)


def probe_sheets(record: Probes) -> dict[str, Sheet]:
    """What each probe shows that measured something, in the order of the report."""
    return {
        name: make(Measured(record, name))
        for name, make in _SHEETS.items()
        if (probe := record.probes.get(name)) and probe.measurements
    }


def _gradients(found: Measured) -> Sheet:
    def inputs(at: str) -> Callable[[Axes], None]:
        def draw(panel: Axes) -> None:
            found.draw(panel, at, "block_inputs", change=lambda values: values / values[:, -1:])
            _label(panel, BY_BLOCK, "")
            logarithmic(panel, "relative gradient")

        return draw

    def kernels(panel: Axes) -> None:
        found.draw(panel, "init", "kernels")
        _label(panel, "layer", "")
        logarithmic(panel, "|gradient| / |kernel|")

    states = [at for at in AT if any(found.values(network, at, "block_inputs").size for network in found.networks)]
    panels = {f"Block inputs, {AT[at]}": inputs(at) for at in states} | {"Kernels, before training": kernels}
    note = f"Left is the input. Relative: divided by the gradient at the last block. {SEEDS_NOTE}"
    return Sheet("How much of the gradient reaches each depth", note, panels, len(panels), (3.1, 3.4))


def _signals(found: Measured) -> Sheet:
    def draws(at: str, mode: str, quantity: str) -> Callable[[Axes], None]:
        def draw(panel: Axes) -> None:
            found.draw(panel, at, f"{mode}_{quantity}")
            _label(panel, BY_BLOCK, "correlation between images")
            if quantity == "variance":
                logarithmic(panel, quantity)

        return draw

    shown = {"training": ("init", "batch statistics"), "inference": ("best", "running statistics")}
    panels = {
        f"{quantity.capitalize()}, {AT[at]}, {statistics}": draws(at, mode, quantity)
        for quantity in ("variance", "correlation")
        for mode, (at, statistics) in shown.items()
    }
    note = f"Left is the input. Correlation: Pearson's, between two images, mean over pairs. {SEEDS_NOTE}"
    return Sheet("Activations of the images by depth", note, panels, 2, (4.3, 2.9))


def _shattering(found: Measured) -> Sheet:
    def autocorrelation(panel: Axes) -> None:
        found.draw(panel, "init", "autocorrelation")
        _label(panel, "distance (steps of 1/63 of the line)", "autocorrelation")
        panel.axhline(0, color="black", linewidth=0.8)

    def whiteness(at: str) -> Callable[[Axes], None]:
        def draw(panel: Axes) -> None:
            found.draw(panel, at, "whiteness")
            _label(panel, BY_BLOCK, "1 − cosine of neighbours")

        return draw

    panels = {"Gradient by the image, before training": autocorrelation}
    panels |= {f"Whiteness by depth, {AT[at]}": whiteness(at) for at in ("init", "best")}
    note = f"64 images on the line between two. Whiteness 0: equal gradients; 1: white noise. {SEEDS_NOTE}"
    return Sheet("How similar are the gradients at neighbouring images?", note, panels, 3, (3.1, 3.4))


def _lesions(found: Measured) -> Sheet:
    measured = [network for network in found.networks if found.values(network, "best", "without_block").size]

    def without_one(panel: Axes) -> None:
        for network in measured:
            look, without = found.look(network), 100 * found.values(network, "best", "without_block")
            intact = 100 * found.values(network, "best", "intact").mean()
            panel.axhline(intact, color=look["color"], linestyle=":", linewidth=1)
            panel.plot(without.T, look["marker"], color=look["color"], alpha=0.25, markersize=3)
            panel.plot(_mean(without), label=network, **look)
        _label(panel, "block", "accuracy (%)")

    def without_several(panel: Axes) -> None:
        for network in measured:
            look, intact = found.look(network), 100 * found.values(network, "best", "intact").mean()
            sizes = found.values(network, "best", "deleted")[0]
            after = _mean(100 * found.values(network, "best", "without_random"))
            counts = np.unique(sizes)
            means = [float(np.mean(after[sizes == count])) for count in counts]
            panel.plot(sizes, after, look["marker"], color=look["color"], alpha=0.3, markersize=3)
            panel.plot([0, *counts], [intact, *means], label=network, **look)
        _label(panel, "blocks deleted at random", "accuracy (%)")

    note = (
        "Dotted: the whole network. A residual block keeps its shortcut and loses its branch; a plain block is "
        "replaced by the identity, which is impossible where it changes the shape (gaps). Only blocks that keep the "
        "shape are deleted at random. Lines: means over seeds and draws."
    )
    panels = {"Without one block": without_one, "Without several blocks": without_several}
    return Sheet("Accuracy of a trained network without some of its blocks", note, panels, 2, (4.6, 3.4))


def _dose(found: Measured) -> Sheet:
    def draw(panel: Axes) -> None:
        found.draw(panel, "best", "accuracy", x="doses", change=lambda values: 100 * values)
        for network in found.networks:
            old = 100 * found.values(network, "best", "accuracy_by_old_statistics")
            if old.size:
                places = found.values(network, "best", "doses")[0]
                panel.plot(places, old.mean(0), "--", color=QUIET, label=f"{network}, old statistics")
            trained = 100 * found.values(network, "best", "trained_accuracy")
            if trained.size:
                places = found.values(network, "best", "trained_doses")
                panel.plot(places.ravel(), trained.ravel(), "k*", ms=9, label=f"{network}, trained at that dose")
        _label(panel, "factor on every shortcut", "accuracy (%)", whole=False)

    note = (
        "Batch norm statistics are re-estimated at each dose; dashed: without that. Stars: trained at that dose. "
        f"{SEEDS_NOTE}"
    )
    title = "Accuracy of a trained network with its shortcuts scaled down"
    return Sheet(title, note, {"Accuracy by dose": draw}, 1, (6.4, 3.6))


def _landscape(found: Measured) -> Sheet:
    surfaces = {
        network: np.log10(_mean(surface))
        for network in found.networks
        if (surface := found.values(network, "best", "surface")).size
    }
    # The same colours for all networks.
    low, high = (float(function(list(surfaces.values()))) for function in (np.min, np.max))

    def line(panel: Axes) -> None:
        found.draw(panel, "best", "line", x="line_at")
        _label(panel, "distance (filter lengths)", "", whole=False)
        logarithmic(panel, "loss (nats)")

    def plane(network: str) -> Callable[[Axes], None]:
        def draw(panel: Axes) -> None:
            surface, side = surfaces[network], round(len(surfaces[network]) ** 0.5)
            grid = found.values(network, "best", "grid")[0]
            levels = np.linspace(low, high, 15)
            image = panel.contourf(grid, grid, surface.reshape(side, side).T, levels, cmap="viridis")
            panel.plot(0, 0, "+", color=ON_DARK)
            panel.set_aspect("equal")
            _label(panel, "first direction", "second direction", whole=False)
            bar = panel.figure.colorbar(image, ax=panel, shrink=0.8, label="loss (nats), log scale")
            ticks = logarithmic_ticks(10**low, 10**high)
            bar.set_ticks(np.log10(ticks).tolist(), labels=[*map(plain_number, ticks)])

        return draw

    note = (
        "Best epoch; filter-normalized random directions, the same for all seeds, one colour scale; "
        f"planes are means over seeds. {SEEDS_NOTE}"
    )
    panels = {"On a line": line} | {f"{network}, on a plane": plane(network) for network in surfaces}
    return Sheet("The loss around the trained networks", note, panels, len(panels), (3.8, 3.5))


def _curvature(found: Measured) -> Sheet:
    def draws(key: str) -> Callable[[Axes], None]:
        def draw(panel: Axes) -> None:
            for network in found.networks:
                shift = 0.12 * (found.networks.index(network) - (len(found.networks) - 1) / 2)
                for place, at in enumerate(("init", "best")):
                    values, errors = found.values(network, at, key), found.values(network, at, "trace_error")
                    if not values.size:
                        continue
                    spread = np.linspace(-0.03, 0.03, len(values)) if len(values) > 1 else np.zeros(1)
                    bars = errors.ravel() if key == "trace" else None
                    label, look = network if place == 0 else None, found.look(network)
                    places = place + shift + spread
                    panel.errorbar(places, values.ravel(), yerr=bars, linestyle="", label=label, **look)
            if key == "largest":
                logarithmic(panel, "largest eigenvalue")
            else:
                panel.set_ylabel("trace")
                panel.yaxis.set_major_formatter(lambda value, _: plain_number(value).replace("-", "−"))
            panel.set_xticks([0, 1], [AT["init"], AT["best"]])
            panel.set_xlim(-0.5, 1.5)

        return draw

    note = "A mark is a seed; bars: the standard error of the trace over random vectors. Loss by batch statistics."
    panels = {"Largest eigenvalue (Lanczos)": draws("largest"), "Trace (Hutchinson)": draws("trace")}
    return Sheet("Curvature of the loss", note, panels, 2, (4.2, 3.4))


def _linear(found: Measured) -> Sheet:
    def draw(panel: Axes) -> None:
        found.draw(panel, "best", "accuracy", change=lambda values: 100 * values)
        _label(panel, BY_BLOCK, "validation accuracy (%)")

    note = f"Logistic regression on the input of a block, averaged over pixels. {SEEDS_NOTE}"
    return Sheet("How separable the classes are at each depth", note, {"Accuracy by depth": draw}, 1, (5.6, 3.6))


def _connectivity(found: Measured) -> Sheet:
    keys = {"Channels as they are": "as_they_are", "Channels matched": "matched"}
    losses = [found.values(network, "best", key) for network in found.networks for key in keys.values()]
    low, high = (float(function([function(each) for each in losses if each.size])) for function in (np.min, np.max))

    def draws(key: str) -> Callable[[Axes], None]:
        def draw(panel: Axes) -> None:
            found.draw(panel, "best", key, x="shares")
            _label(panel, "share of the other seed", "validation loss (nats)", whole=False)
            # One scale for both panels.
            panel.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))

        return draw

    note = f"Batch norm statistics are re-estimated at each point. {SEEDS_NOTE}"
    panels = {title: draws(key) for title, key in keys.items()}
    return Sheet("The loss between the networks of two seeds", note, panels, 2, (4.2, 3.4))


_SHEETS: dict[str, Callable[[Measured], Sheet]] = {
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
