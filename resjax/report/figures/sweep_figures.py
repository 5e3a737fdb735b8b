"""The pictures of a sweep: accuracy against depth, along a condition, and over learning rate and weight decay."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from resjax.report.figures.run import COLORS, MARKERS, leak_warning, split_of
from resjax.report.figures.style import frame, save
from resjax.report.page.sweep_words import SIDES

Record = Mapping[str, Any]
MOST_PAIRS = 6
"""Rows of a sensitivity map; the numbers of all are in `sweep.json`."""
CHOSEN = "Each network at the learning rate and decay that is best for it on validation."


def draw_sweep(record: Record, workdir: Path) -> list[Path]:
    """Draws all pictures of a sweep into `workdir`/figures, as PNG and SVG, and returns the paths."""
    return save(sweep_figures(record), workdir / "figures")


def sweep_figures(record: Record) -> Iterator[tuple[str, Figure]]:
    """The pictures of a sweep by the names of their files; none where nothing has finished."""
    if not record["counts"]["done"]:
        return
    conditions = record["conditions"]
    for number, condition in enumerate(conditions, start=1):
        if not any(arm["chosen"] for arm in condition["arms"].values()):
            continue
        suffix = f"_{number}" if len(conditions) > 1 else ""
        if len({arm["depth"] for arm in condition["arms"].values()}) > 1:
            yield f"depth{suffix}", _depth(record, condition)
        if record["tuned"]:
            yield f"sensitivity{suffix}", _sensitivity(record, condition)
    along = [name for name in conditions[0]["condition"] if len({str(c["condition"][name]) for c in conditions}) > 1]
    if len(along) == 1:
        yield f"along_{along[0]}", _along(record, along[0])


def _depth(record: Record, condition: Record) -> Figure:
    """Accuracy of each family's networks over their depth, in training and on the images that are reported on."""
    figure = Figure(figsize=(8.6, 4.2), layout="constrained")
    families: dict[str, list[Record]] = {}
    for arm in condition["arms"].values():
        families.setdefault(arm["family"], []).append(arm)
    depths = sorted({arm["depth"] for arm in condition["arms"].values()})
    for panel, (key, title) in zip(figure.subplots(1, 2), _measures(record), strict=True):
        for place, (family, arms) in enumerate(families.items()):
            drawn = [(arm["depth"], _chosen(arm, key)) for arm in sorted(arms, key=lambda arm: arm["depth"])]
            _curve(panel, [(depth, found) for depth, found in drawn if found], place, len(families), family)
        panel.set_title(title)
        panel.set_xticks(depths)
        panel.set_xlabel("layers")
        panel.set_ylabel("accuracy (%)")
        if panel.get_legend_handles_labels()[0]:
            panel.legend(loc="best")
    title = "Accuracy against depth" + (f": {condition['label']}" if condition["label"] else "")
    _frame(figure, record, title, f"{CHOSEN} Bars: 95 % interval of the mean over seeds.")
    return figure


def _along(record: Record, name: str) -> Figure:
    """Accuracy of each network over the values of the one condition that differs."""
    figure = Figure(figsize=(8.6, 4.2), layout="constrained")
    conditions = record["conditions"]
    values = [condition["condition"][name] for condition in conditions]
    numbers = all(isinstance(value, int | float) for value in values)
    places = [float(value) for value in values] if numbers else list(range(len(values)))
    arms = list(conditions[0]["arms"])
    for panel, (key, title) in zip(figure.subplots(1, 2), _measures(record), strict=True):
        for index, arm in enumerate(arms):
            drawn = [(place, _chosen(each["arms"][arm], key)) for place, each in zip(places, conditions, strict=True)]
            _curve(panel, sorted((place, found) for place, found in drawn if found), index, len(arms), arm)
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


def _measures(record: Record) -> list[tuple[str, str]]:
    reported = record["reported_on"]
    key = "test_accuracy" if reported == "test" else "best_val_accuracy"
    return [("final_train_accuracy", "Training, last epoch"), (key, f"{SIDES[reported].capitalize()}, best epoch")]


def _chosen(arm: Record, key: str) -> Record | None:
    """What the arm comes to at its best setting, None where nothing has finished."""
    found = arm["settings"][arm["chosen"]][key] if arm["chosen"] else None
    return found if found and found["mean"] is not None else None


def _curve(panel: Axes, points: Sequence[tuple[float, Record]], place: int, of: int, label: str) -> None:
    if not points:
        return
    color, marker = COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)]
    means = [100 * found["mean"] for _, found in points]
    panel.plot([x for x, _ in points], means, marker + "-", color=color, markeredgecolor="black", label=label)
    for x, found in points:
        values = 100 * np.array(found["values"])
        panel.plot([x] * len(values), values, ".", color=color, alpha=0.4)
        if found["ci95"]:
            low, high = (min(max(100 * end, 0), 100) for end in found["ci95"])
            panel.plot([x, x], [low, high], color=color, linewidth=1.2, alpha=0.8)


def _sensitivity(record: Record, condition: Record) -> Figure:
    """Reported accuracy over learning rate and decay: a row a pair of arms, and their difference at equal settings."""
    pairs = [(each["baseline"], each["candidate"], each["points"]) for each in condition["at_equal_settings"]]
    if not pairs:
        pairs = [(name, name, {}) for name in condition["arms"]]
    rates, decays = _axis(record, "learning_rate"), _axis(record, "weight_decay")
    shown = pairs[:MOST_PAIRS]
    columns = 3 if pairs[0][2] else 1
    width = max(2.7, 0.75 * len(rates) + 1.2)
    height = max(1.6, 0.42 * len(decays) + 1.1)
    figure = Figure(figsize=(columns * width + 0.9, len(shown) * height + 1.3), layout="constrained")
    grids = figure.subplots(len(shown), columns, squeeze=False)
    arms = list(dict.fromkeys(name for pair in shown for name in pair[:2]))
    maps = {
        arm: _map(record, condition, lambda point, arm=arm: _reported(record, condition, arm, point)) for arm in arms
    }
    everything = np.concatenate([grid.ravel() for grid in maps.values()])
    low, high = (
        (float(np.nanmin(everything)), float(np.nanmax(everything))) if np.isfinite(everything).any() else (0, 1)
    )
    differences = [
        _map(record, condition, lambda point, of=pair[2]: _scaled(of[point]["mean"])) for pair in shown if pair[2]
    ]
    finite = [np.nanmax(np.abs(grid)) for grid in differences if np.isfinite(grid).any()]
    reach = max([1.0, *map(float, finite)])
    accuracy = apart = None
    for row, (baseline, candidate, points) in enumerate(shown):
        for column, arm in enumerate((baseline, candidate)[: 2 if points else 1]):
            panel = grids[row][column]
            accuracy = panel.imshow(maps[arm], cmap="viridis", vmin=low, vmax=max(high, low + 1), aspect="auto")
            _label_map(
                panel, rates, decays, maps[arm], lambda point, arm=arm: _seeds(condition, arm, point), record, condition
            )
            chosen = condition["arms"][arm]["chosen"]
            if chosen:
                x, y = _cell(record, chosen)
                panel.add_patch(
                    Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor="#D55E00", lw=2.5, clip_on=False)
                )
            panel.set_title(arm)
        if points:
            panel, grid = grids[row][2], differences[row]
            apart = panel.imshow(grid, cmap="RdBu", vmin=-reach, vmax=reach, aspect="auto")
            _label_map(
                panel, rates, decays, grid, lambda point, of=points: f"{of[point]['seeds']}", record, condition, "+.1f"
            )
            panel.set_title(f"{candidate} − {baseline}")
    if accuracy is not None:
        figure.colorbar(accuracy, ax=grids[:, : 2 if columns == 3 else 1], label="accuracy (%)", shrink=0.8)
    if apart is not None:
        figure.colorbar(apart, ax=grids[:, 2], label="points", shrink=0.8)
    note = (
        f"{SIDES[record['reported_on']].capitalize()} accuracy at the best epoch, mean over finished seeds; one "
        "scale for all. Framed: what is chosen on validation. Small: how many seeds, where not all. "
        "Right: at equal settings, over seeds that both have finished."
    )
    if len(pairs) > len(shown):
        note += f" {len(pairs) - len(shown)} more pairs are in sweep.json."
    title = "Sensitivity to learning rate and weight decay" + (f": {condition['label']}" if condition["label"] else "")
    _frame(figure, record, title, note)
    return figure


def _axis(record: Record, name: str) -> list[Any]:
    return sorted(record["grid"].get(name, [record["config"].get(name)]), key=lambda value: (value is None, value))


def _cell(record: Record, point: str) -> tuple[int, int]:
    """Column and row of a point in the maps."""
    choices = record["points"][point]
    places = []
    for name in ("learning_rate", "weight_decay"):
        axis = _axis(record, name)
        places.append(axis.index(choices[name]) if name in choices else 0)
    return places[0], places[1]


def _map(record: Record, condition: Record, value) -> np.ndarray:
    """(decay, learning rate) in per cent, NaN where there is nothing."""
    grid = np.full((len(_axis(record, "weight_decay")), len(_axis(record, "learning_rate"))), np.nan)
    for point in condition["points"]:
        x, y = _cell(record, point)
        found = value(point)
        grid[y, x] = np.nan if found is None else found
    return grid


def _scaled(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def _reported(record: Record, condition: Record, arm: str, point: str) -> float | None:
    key = "test_accuracy" if record["reported_on"] == "test" else "best_val_accuracy"
    found = condition["arms"][arm]["settings"][point][key]
    return None if not found else _scaled(found["mean"])


def _seeds(condition: Record, arm: str, point: str) -> str:
    status = condition["arms"][arm]["settings"][point]["status"]
    return str(sum(each == "done" for each in status.values()))


def _label_map(
    panel: Axes,
    rates: Sequence,
    decays: Sequence,
    grid: np.ndarray,
    seeds,
    record: Record,
    condition: Record,
    form: str = ".1f",
) -> None:
    """Axes, and in each cell its number, with how many seeds it is of where these are not all."""
    panel.grid(False)
    panel.set_facecolor("#D9D9D9")
    panel.set_xticks(range(len(rates)), [_tick(rate) for rate in rates])
    panel.set_yticks(range(len(decays)), [_tick(decay) for decay in decays])
    panel.set_xlabel("learning rate")
    panel.set_ylabel("decay")
    for point in condition["points"]:
        x, y = _cell(record, point)
        number, count = grid[y, x], seeds(point)
        text = "–" if np.isnan(number) else f"{round(number, 1) + 0.0:{form}}".replace("-", "−")
        if count != str(len(record["seeds"])):
            text += f"\n{count} of {len(record['seeds'])}"
        panel.text(
            x,
            y,
            text,
            ha="center",
            va="center",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.65, "pad": 1},
        )


def _tick(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _frame(figure: Figure, record: Record, title: str, note: str) -> None:
    for panel in figure.axes:
        if panel.get_ylabel() == "accuracy (%)" and panel.images == []:
            panel.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    left_out = ", ".join(f"{count} {kind}" for kind, count in record["counts"].items() if count and kind != "done")
    frame(figure, title, note, warning=leak_warning(split_of(record["dataset"])), left_out=left_out)
