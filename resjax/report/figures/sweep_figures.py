"""The figures of a sweep: accuracy against depth, along a condition, and over learning rate and weight decay."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from resjax.records import Condition, Described, Sweep, TunedNetwork
from resjax.report.cautions import leak_warning
from resjax.report.figures.sheet import Sheet, sheet_figure
from resjax.report.figures.style import COLORS, MARKERS, ON_DARK, ON_LIGHT, frame, save
from resjax.report.figures.sweep_maps import (
    AccuracyMap,
    SensitivityMaps,
    has_finished,
    numbered,
    reported_accuracy,
    sensitivity_maps,
)
from resjax.report.words import SIDES

CHOSEN = "Each network at the learning rate and weight decay that are best for it on validation."
SEEDS_NOTE = "Small dots: the seeds. Bars: 95 % interval of the mean over seeds."


def draw_sweep(record: Sweep, workdir: Path) -> list[Path]:
    """Draws all figures of a sweep into `workdir`/figures, as PNG and SVG, and returns the paths."""
    return save(sweep_figures(record), workdir / "figures")


def sweep_figures(record: Sweep) -> Iterator[tuple[str, Figure]]:
    """The figures of a sweep by the names of their files; none where nothing has finished."""
    warning, left_out = leak_warning(record.dataset), _left_out(record)
    for name, sheet in sweep_sheets(record).items():
        yield name, sheet_figure(sheet, warning=warning, left_out=left_out)
    for name, maps in sensitivity_maps(record).items():
        yield name, _sensitivity(record, maps)


def sweep_sheets(record: Sweep) -> dict[str, Sheet]:
    """What a sweep shows in curves: accuracy against depth under each condition, and along the one that differs."""
    conditions = record.conditions
    sheets = {
        numbered("depth", record, place): _depth(record, condition)
        for place, condition in enumerate(conditions)
        if has_finished(condition) and len({network.depth for network in condition.networks.values()}) > 1
    }
    along = [name for name in conditions[0].condition if len({str(each.condition[name]) for each in conditions}) > 1]
    if record.counts.done and len(along) == 1:
        sheets[f"along_{along[0]}"] = _along(record, along[0])
    return sheets


def families(condition: Condition) -> list[str]:
    """The families of networks of a condition, in the order of their colours and marks in curves over depth."""
    return list(dict.fromkeys(each.family for each in condition.networks.values() if each.depth is not None))


def _depth(record: Sweep, condition: Condition) -> Sheet:
    """Accuracy of each family's networks over their depth, in training and on the images that are reported on."""
    networks = [network for network in condition.networks.values() if network.depth is not None]

    def draws(key: str) -> Callable[[Axes], None]:
        def draw(panel: Axes) -> None:
            for place, family in enumerate(families(condition)):
                of_family = [network for network in networks if network.family == family]
                _curve(panel, [(network.depth or 0, _chosen(network, key)) for network in of_family], place, family)
            panel.set_xticks(sorted({network.depth or 0 for network in networks}))
            panel.set_xlabel("layers")
            _label_accuracy(panel)

        return draw

    title = "Accuracy against depth" + (f": {condition.label}" if condition.label else "")
    panels = {words: draws(key) for key, words in _measures(record)}
    return Sheet(title, _note(record), panels, 2, (4.3, 3.9))


def _along(record: Sweep, name: str) -> Sheet:
    """Accuracy of each network over the values of the one condition that differs."""
    conditions = record.conditions
    values = [condition.condition[name] for condition in conditions]
    numbers = all(isinstance(value, int | float) for value in values)
    places = [float(value) for value in values] if numbers else list(range(len(values)))
    is_logarithmic = numbers and min(places) > 0 and max(places) / min(places) > 3

    def draws(key: str) -> Callable[[Axes], None]:
        def draw(panel: Axes) -> None:
            for index, network in enumerate(conditions[0].networks):
                each = [_chosen(condition.networks[network], key) for condition in conditions]
                _curve(panel, list(zip(places, each, strict=True)), index, network)
            if is_logarithmic:
                panel.set_xscale("log")
                panel.minorticks_off()
            panel.set_xticks(places, [str(value) for value in values])
            panel.set_xlabel(name.replace("_", " ") + ", log scale" * is_logarithmic)
            _label_accuracy(panel)

        return draw

    panels = {words: draws(key) for key, words in _measures(record)}
    return Sheet(f"Accuracy along {name.replace('_', ' ')}", _note(record), panels, 2, (4.3, 3.9))


def _note(record: Sweep) -> str:
    return f"{CHOSEN} {SEEDS_NOTE}" if record.tuned else SEEDS_NOTE


def _measures(record: Sweep) -> list[tuple[str, str]]:
    last, best = "final_train_accuracy", reported_accuracy(record)
    return [(last, "Training, last epoch"), (best, f"{SIDES[record.reported_on].capitalize()}, best epoch")]


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


def _label_accuracy(panel: Axes) -> None:
    panel.set_ylabel("accuracy (%)")
    panel.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))


def _sensitivity(record: Sweep, found: SensitivityMaps) -> Figure:
    """Accuracy over learning rate and decay: a row a pair of networks, with their difference at equal settings."""
    columns = max(len(row) for row in found.rows)
    width, height = max(2.7, 0.75 * len(found.rates) + 1.2), max(1.6, 0.42 * len(found.decays) + 1.1)
    figure = Figure(figsize=(columns * width + 0.9, len(found.rows) * height + 1.3), layout="constrained")
    panels = figure.subplots(len(found.rows), columns, squeeze=False)
    for row, maps in zip(panels, found.rows, strict=True):
        for panel, each in zip(row, maps, strict=True):
            _draw_map(panel, found, each, len(record.seeds))
    networks = min(columns, 2)
    figure.colorbar(panels[0, 0].images[0], ax=panels[:, :networks], label="accuracy (%)", shrink=0.8)
    if columns > networks:
        figure.colorbar(panels[0, 2].images[0], ax=panels[:, 2], label="points", shrink=0.8)
    frame(figure, found.title, found.note, warning=leak_warning(record.dataset), left_out=_left_out(record))
    return figure


def _draw_map(panel: Axes, found: SensitivityMaps, each: AccuracyMap, seeds: int) -> None:
    """A map in colours, in each cell its number, and of how many seeds it is where these are not all."""
    low, high = found.apart if each.baseline else found.reach
    numbers = np.array([[np.nan if value is None else value for value in row] for row in each.values])
    image = panel.imshow(numbers, cmap="RdBu" if each.baseline else "viridis", vmin=low, vmax=high, aspect="auto")
    panel.grid(False)
    panel.set_facecolor("#D9D9D9")
    panel.set_title(each.title)
    panel.set_xticks(range(len(found.rates)), found.rates)
    panel.set_yticks(range(len(found.decays)), found.decays)
    panel.set_xlabel("learning rate")
    panel.set_ylabel("decay")
    for row, values in enumerate(each.values):
        for column, value in enumerate(values):
            text = each.text(value)
            if each.seeds[row][column] != seeds:
                text += f"\n{each.seeds[row][column]} of {seeds}"
            color = ON_LIGHT if value is None else _readable_on(np.asarray(image.cmap(image.norm(np.array(value)))))
            panel.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
    if each.chosen:
        x, y = each.chosen
        panel.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor=COLORS[0], lw=2.5, clip_on=False))


def _readable_on(color: np.ndarray) -> str:
    """Dark or light, whichever stands out from a colour (red, green, blue from 0 to 1)."""
    return ON_LIGHT if np.dot(color[:3], (0.299, 0.587, 0.114)) > 0.5 else ON_DARK


def _left_out(record: Sweep) -> str:
    counts = record.counts
    others = {"diverged": counts.diverged, "failed": counts.failed, "pending": counts.pending}
    return ", ".join(f"{count} {kind}" for kind, count in others.items() if count)
