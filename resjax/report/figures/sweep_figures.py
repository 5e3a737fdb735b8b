"""The figures of a sweep: accuracy against depth, along a condition, and over learning rate and weight decay."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from resjax.records import Condition, Described, Sweep, TunedNetwork
from resjax.report.cautions import leak_warning
from resjax.report.figures.style import COLORS, MARKERS, ON_DARK, ON_LIGHT, frame, save
from resjax.report.words import SIDES

MOST_PAIRS = 6
"""Rows of a sensitivity map; the numbers of all are in `sweep.json`."""
CHOSEN = "Each network at the learning rate and decay that is best for it on validation."


def draw_sweep(record: Sweep, workdir: Path) -> list[Path]:
    """Draws all figures of a sweep into `workdir`/figures, as PNG and SVG, and returns the paths."""
    return save(sweep_figures(record), workdir / "figures")


def sweep_figures(record: Sweep) -> Iterator[tuple[str, Figure]]:
    """The figures of a sweep by the names of their files; none where nothing has finished."""
    if not record.counts.done:
        return
    conditions = record.conditions
    for number, condition in enumerate(conditions, start=1):
        if not any(network.chosen for network in condition.networks.values()):
            continue
        suffix = f"_{number}" if len(conditions) > 1 else ""
        if len({network.depth for network in condition.networks.values()}) > 1:
            yield f"depth{suffix}", _depth(record, condition)
        if record.tuned:
            yield f"sensitivity{suffix}", _sensitivity(record, condition)
    along = [name for name in conditions[0].condition if len({str(c.condition[name]) for c in conditions}) > 1]
    if len(along) == 1:
        yield f"along_{along[0]}", _along(record, along[0])


def _depth(record: Sweep, condition: Condition) -> Figure:
    """Accuracy of each family's networks over their depth, in training and on the images that are reported on."""
    figure = Figure(figsize=(8.6, 4.2), layout="constrained")
    families: dict[str, list[tuple[int, TunedNetwork]]] = {}
    for network in condition.networks.values():
        if network.depth is not None:
            families.setdefault(network.family, []).append((network.depth, network))
    depths = sorted({depth for networks in families.values() for depth, _ in networks})
    for panel, (key, title) in zip(figure.subplots(1, 2), _measures(record), strict=True):
        for place, (family, networks) in enumerate(families.items()):
            _curve(panel, [(depth, _chosen(network, key)) for depth, network in networks], place, family)
        panel.set_title(title)
        panel.set_xticks(depths)
        panel.set_xlabel("layers")
        panel.set_ylabel("accuracy (%)")
        if panel.get_legend_handles_labels()[0]:
            panel.legend(loc="best")
    title = "Accuracy against depth" + (f": {condition.label}" if condition.label else "")
    _frame(figure, record, title, f"{CHOSEN} Bars: 95 % interval of the mean over seeds.")
    return figure


def _along(record: Sweep, name: str) -> Figure:
    """Accuracy of each network over the values of the one condition that differs."""
    figure = Figure(figsize=(8.6, 4.2), layout="constrained")
    conditions = record.conditions
    values = [condition.condition[name] for condition in conditions]
    numbers = all(isinstance(value, int | float) for value in values)
    places = [float(value) for value in values] if numbers else list(range(len(values)))
    networks = list(conditions[0].networks)
    for panel, (key, title) in zip(figure.subplots(1, 2), _measures(record), strict=True):
        for index, network in enumerate(networks):
            each = [_chosen(condition.networks[network], key) for condition in conditions]
            _curve(panel, list(zip(places, each, strict=True)), index, network)
        panel.set_title(title)
        if numbers and min(places) > 0 and max(places) / min(places) > 3:
            panel.set_xscale("log")
            panel.minorticks_off()
        panel.set_xticks(places, [str(value) for value in values])
        panel.set_xlabel(name.replace("_", " "))
        panel.set_ylabel("accuracy (%)")
        panel.legend(loc="best")
    _frame(figure, record, f"Accuracy along {name.replace('_', ' ')}", f"{CHOSEN} Bars: 95 % interval over seeds.")
    return figure


def _measures(record: Sweep) -> list[tuple[str, str]]:
    reported = record.reported_on
    key = "test_accuracy" if reported == "test" else "best_val_accuracy"
    return [("final_train_accuracy", "Training, last epoch"), (key, f"{SIDES[reported].capitalize()}, best epoch")]


def _chosen(network: TunedNetwork, key: str) -> Described | None:
    """What the network comes to at its best setting, None where nothing has finished."""
    found = getattr(network.settings[network.chosen], key) if network.chosen else None
    return found if found and found.mean is not None else None


def _curve(panel: Axes, points: Sequence[tuple[float, Described | None]], place: int, label: str) -> None:
    found = sorted(((x, each) for x, each in points if each and each.mean is not None), key=lambda point: point[0])
    if not found:
        return
    color, marker = COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)]
    means = [100 * (each.mean or 0) for _, each in found]
    panel.plot([x for x, _ in found], means, marker + "-", color=color, markeredgecolor="black", label=label)
    for x, each in found:
        panel.plot([x] * len(each.values), 100 * np.array(each.values), ".", color=color, alpha=0.4)
        if each.ci95:
            low, high = (min(max(100 * end, 0), 100) for end in each.ci95)
            panel.plot([x, x], [low, high], color=color, linewidth=1.2, alpha=0.8)


class _Grid:
    """Learning rates and weight decays of a sweep as columns and rows of a map."""

    def __init__(self, record: Sweep, condition: Condition):
        self.record, self.points = record, condition.points
        self.rates, self.decays = self._axis("learning_rate"), self._axis("weight_decay")

    def _axis(self, name: str) -> list[Any]:
        values = self.record.grid.get(name, [self.record.config.get(name)])
        return sorted(values, key=lambda value: (value is None, value))

    def place(self, point: str) -> tuple[int, int]:
        """Column and row of a point."""
        choices = self.record.points[point]
        rate, decay = choices.get("learning_rate", self.rates[0]), choices.get("weight_decay", self.decays[0])
        return self.rates.index(rate), self.decays.index(decay)

    def map(self, value: Callable[[str], float | None]) -> np.ndarray:
        """(decay, learning rate) of a fraction at each point, in per cent; NaN where there is none."""
        grid = np.full((len(self.decays), len(self.rates)), np.nan)
        for point in self.points:
            column, row = self.place(point)
            found = value(point)
            grid[row, column] = np.nan if found is None else 100 * found
        return grid

    def draw(
        self, panel: Axes, values: np.ndarray, seeds: Callable[[str], int], cmap: str, reach: tuple[float, float]
    ) -> None:
        """The map in colours, in each cell its number, and of how many seeds it is where these are not all."""
        image = panel.imshow(values, cmap=cmap, vmin=reach[0], vmax=reach[1], aspect="auto")
        panel.grid(False)
        panel.set_facecolor("#D9D9D9")
        for set_ticks, axis in ((panel.set_xticks, self.rates), (panel.set_yticks, self.decays)):
            set_ticks(range(len(axis)), ["" if value is None else f"{value:g}" for value in axis])
        panel.set_xlabel("learning rate")
        panel.set_ylabel("decay")
        form = "+.1f" if reach[0] < 0 else ".1f"
        for point in self.points:
            column, row = self.place(point)
            number, count = values[row, column], seeds(point)
            text = "–" if np.isnan(number) else f"{round(number, 1) + 0.0:{form}}".replace("-", "−")
            if count != len(self.record.seeds):
                text += f"\n{count} of {len(self.record.seeds)}"
            color = ON_LIGHT if np.isnan(number) else _readable_on(np.asarray(image.cmap(image.norm(number))))
            panel.text(column, row, text, ha="center", va="center", fontsize=8, color=color)


def _readable_on(color: np.ndarray) -> str:
    """Dark or light, whichever stands out from a colour (red, green, blue from 0 to 1)."""
    return ON_LIGHT if np.dot(color[:3], (0.299, 0.587, 0.114)) > 0.5 else ON_DARK


def _sensitivity(record: Sweep, condition: Condition) -> Figure:
    """Accuracy over learning rate and decay: a row a pair of networks, with their difference at equal settings."""
    grid = _Grid(record, condition)
    pairs = condition.at_equal_settings[:MOST_PAIRS]
    rows = [[pair.baseline, pair.candidate] for pair in pairs] or [
        [name] for name in [*condition.networks][:MOST_PAIRS]
    ]
    key = _measures(record)[1][0]
    maps = {
        name: grid.map(lambda point, name=name: _mean(condition.networks[name], point, key))
        for name in dict.fromkeys(name for row in rows for name in row)
    }
    accuracies = _reach(list(maps.values()))
    differences = [grid.map(lambda point, pair=pair: pair.points[point].mean) for pair in pairs]
    apart = max([1.0, *(float(np.nanmax(np.abs(each))) for each in differences if np.isfinite(each).any())])
    width, height = max(2.7, 0.75 * len(grid.rates) + 1.2), max(1.6, 0.42 * len(grid.decays) + 1.1)
    columns = 3 if pairs else 1
    figure = Figure(figsize=(columns * width + 0.9, len(rows) * height + 1.3), layout="constrained")
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for row, names in enumerate(rows):
        for panel, name in zip(panels[row], names, strict=False):
            network = condition.networks[name]
            grid.draw(panel, maps[name], lambda point, network=network: _done(network, point), "viridis", accuracies)
            if network.chosen:
                x, y = grid.place(network.chosen)
                chosen = Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor=COLORS[0], lw=2.5, clip_on=False)
                panel.add_patch(chosen)
            panel.set_title(name)
    figure.colorbar(panels[0, 0].images[0], ax=panels[:, : 2 if pairs else 1], label="accuracy (%)", shrink=0.8)
    for row, (pair, difference) in enumerate(zip(pairs, differences, strict=True)):
        panel = panels[row, 2]
        grid.draw(panel, difference, lambda point, pair=pair: pair.points[point].seeds, "RdBu", (-apart, apart))
        panel.set_title(f"{pair.candidate} − {pair.baseline}")
    if pairs:
        figure.colorbar(panels[0, 2].images[0], ax=panels[:, 2], label="points", shrink=0.8)
    note = (
        f"{SIDES[record.reported_on].capitalize()} accuracy at the best epoch, mean over finished seeds; one "
        "scale for all. Framed: chosen on validation. Small: how many seeds, where not all. "
        "Right: at equal settings, over seeds that both have finished."
    )
    more = len(condition.at_equal_settings or condition.networks) - len(rows)
    if more:
        note += f" {more} more are in sweep.json."
    title = "Sensitivity to learning rate and weight decay" + (f": {condition.label}" if condition.label else "")
    _frame(figure, record, title, note)
    return figure


def _reach(maps: Sequence[np.ndarray]) -> tuple[float, float]:
    """The least and the largest number of maps, at least one apart; 0 and 1 without numbers."""
    numbers = np.concatenate([each.ravel() for each in maps])
    if not np.isfinite(numbers).any():
        return 0.0, 1.0
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    return low, max(high, low + 1)


def _mean(network: TunedNetwork, point: str, key: str) -> float | None:
    found = getattr(network.settings[point], key)
    return found.mean if found else None


def _done(network: TunedNetwork, point: str) -> int:
    return sum(status == "done" for status in network.settings[point].status.values())


def _frame(figure: Figure, record: Sweep, title: str, note: str) -> None:
    for panel in figure.axes:
        if panel.get_ylabel() == "accuracy (%)" and not panel.images:
            panel.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    counts = record.counts
    others = {"diverged": counts.diverged, "failed": counts.failed, "pending": counts.pending}
    left_out = ", ".join(f"{count} {kind}" for kind, count in others.items() if count)
    frame(figure, title, note, warning=leak_warning(record.dataset), left_out=left_out)
