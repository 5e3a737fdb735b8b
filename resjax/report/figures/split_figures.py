"""Pictures of what leaks cost: the leaked and the clean images of one run, and several splits side by side."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from resjax.report.figures.run import COLORS, MARKERS, SIDES, Run, leak_warning
from resjax.report.figures.style import frame, save
from resjax.report.records import read_json

MEANS = "Large marks and numbers are means, small marks the seeds, at their best epoch on validation."
LEAKED = (
    "hollow marks are of the images that lie on another side too, themselves or as a copy; filled ones of the rest."
)


def leaks_figure(run: Run) -> Figure:
    """Accuracy of every arm of a run on the clean and on the leaked images."""
    figure = Figure(figsize=(max(4.8, 1.5 * len(run.arms) + 2), 4.4), layout="constrained")
    panel = figure.subplots()
    gains = []
    for place, arm in enumerate(run.arms):
        clean, leaked = (list(arm.accuracies_on(part).values()) for part in ("clean", "leaked"))
        _draw_parts(panel, place, arm.color, arm.marker, clean, leaked)
        if clean and leaked:
            gains.append(f"{arm.name} {np.mean(leaked) - np.mean(clean):+.1f}")
    panel.set_xticks(range(len(run.arms)), [arm.name for arm in run.arms])
    _label(panel, len(run.arms), run.side)
    found = f"points above clean ones: {', '.join(gains)}" if gains else "no seed has both kinds"
    frame(
        figure,
        f"{run.side.capitalize()} accuracy on leaked images, {found}",
        f"{MEANS} {LEAKED.capitalize()}",
        warning=run.warning,
        left_out=run.left_out,
    )
    return figure


def draw_splits(workdir: Path | str) -> list[Path]:
    """Draws the splits of `splits.json` side by side into `workdir`/figures, as PNG and SVG, and returns the paths.

    There is no picture where no replica is done.

    Raises:
      ValueError: where the record cannot be read.
    """
    record = read_json(Path(workdir) / "splits.json")
    return save(_figures(record), Path(workdir) / "figures")


class _Place(NamedTuple):
    """A place on the axis: a split, or all folds together, with each arm's accuracies (%) by seed."""

    words: str
    whole: Mapping[str, Sequence[float]]
    clean: Mapping[str, Sequence[float]]
    leaked: Mapping[str, Sequence[float]]


def _figures(record: dict[str, Any]) -> Iterator[tuple[str, Figure]]:
    splits, pooled = record["splits"], record["cross_validated"]
    arms = list(next(iter(splits.values()))["architectures"])
    tested = any("test_accuracy" in arm for split in splits.values() for arm in split["architectures"].values())
    # Folds are pooled over their val images: those stand beside the pool, also where there is a test side.
    side = "test" if tested and not pooled else "val"
    metric = "test_accuracy" if side == "test" else "best_val_accuracy"
    places = [_place(name, split, side, metric) for name, split in splits.items()]
    if pooled:
        places.append(_Place("all folds\ntogether", _values(pooled["architectures"], metric), {}, {}))
    if not any(values for place in places for values in place.whole.values()):
        return
    has_parts = tested == (side == "test") and any(place.leaked for place in places)
    width = (1 + has_parts) * (max(1.05, 0.5 * len(arms)) * len(places) + 0.9)
    figure = Figure(figsize=(max(6.0, width), 4.6), layout="constrained")
    panels = figure.subplots(1, 1 + has_parts, sharey=True, squeeze=False)[0]
    for index, arm in enumerate(arms):
        aside = (index - (len(arms) - 1) / 2) * 0.8 / len(arms)
        color, marker = COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
        for number, place in enumerate(places):
            _draw_mean(panels[0], number + aside, color, marker, place.whole.get(arm, ()), above=True)
            if has_parts:
                reach = 0.12 if len(arms) < 4 else 0.05
                parts = place.clean.get(arm, ()), place.leaked.get(arm, ())
                _draw_parts(panels[1], number + aside, color, marker, *parts, reach=reach)
    for panel, title in zip(panels, (f"All {SIDES[side]} images", "Their clean and their leaked part"), strict=False):
        panel.set_title(title)
        panel.set_xticks(range(len(places)), [place.words for place in places])
        _label(panel, len(places), SIDES[side])
    handles = [
        Line2D([], [], color=COLORS[i % len(COLORS)], marker=MARKERS[i % len(MARKERS)], linestyle="", label=arm)
        for i, arm in enumerate(arms)
    ]
    panels[0].legend(handles=handles, loc="best")
    warnings = [text for split in splits.values() if (text := leak_warning(split))]
    note = f"{MEANS} Right: {LEAKED}" if has_parts else MEANS
    frame(figure, _title(record, arms, SIDES[side], metric), note, warning="\n".join(warnings))
    yield "splits", figure


def _place(name: str, split: dict[str, Any], side: str, metric: str) -> _Place:
    arms, leaked, images = split["architectures"], split["leaked"][side], split["sides"][side]
    words = [name] + ["faulty"] * split["is_faulty"] + [f"{leaked} of {images} leak" if leaked else f"{images} images"]
    whole = _values(arms, metric)
    if not split["leaked_images"]:
        return _Place("\n".join(words), whole, whole, {})
    return _Place("\n".join(words), whole, _values(arms, "clean_accuracy"), _values(arms, "leaked_accuracy"))


def _values(arms: Mapping[str, Mapping], metric: str) -> dict[str, list[float]]:
    return {name: [100 * value for value in arm[metric]["values"]] for name, arm in arms.items() if arm.get(metric)}


def _title(record: dict[str, Any], arms: Sequence[str], side: str, metric: str) -> str:
    """The paired difference of two arms on each split; the means where there are more arms, or one."""
    pooled = record["cross_validated"]
    parts = {f"all {pooled['images']} images": pooled} if pooled else record["splits"]
    kind = "cross-validated accuracy" if pooled else f"{side} accuracy"
    found = []
    for name, part in parts.items():
        pairs = [pair["mean"] for pair in part["comparisons"] if pair["metric"] == metric]
        if len(arms) == 2 and pairs and pairs[0] is not None:
            found.append(f"{name} {100 * pairs[0]:+.1f}")
        else:
            values = _values(part["architectures"], metric)
            means = [f"{np.mean(values[arm]):.1f}" if values.get(arm) else "-" for arm in arms]
            found.append(f"{name} {' and '.join(means)} %")
    if len(arms) == 2:
        return f"Points of {kind} of {arms[1]} above {arms[0]}: {', '.join(found)}"
    return f"{kind.capitalize()} of {' and '.join(arms)}: {', '.join(found)}"


def _draw_parts(
    panel: Axes,
    place: float,
    color: str,
    marker: str,
    clean: Sequence[float],
    leaked: Sequence[float],
    *,
    reach: float = 0.18,
) -> None:
    """Clean accuracies left of `place`, leaked ones right of it, and a line from one to the other for each seed."""
    for pair in zip(clean, leaked, strict=False):
        panel.plot([place - reach, place + reach], pair, color="#9A9A9A", linewidth=0.8)
    higher = not clean or not leaked or np.mean(leaked) >= np.mean(clean)
    aside = reach if leaked else 0
    _draw_mean(panel, place - aside, color, marker, clean, above=not leaked or not higher)
    _draw_mean(panel, place + reach, color, marker, leaked, above=bool(higher), fill="white")


def _draw_mean(
    panel: Axes, place: float, color: str, marker: str, values: Sequence[float], *, above: bool, fill: str | None = None
) -> None:
    if not values:
        return
    mean = float(np.mean(values))
    panel.plot([place] * len(values), values, marker, color=color, mfc=fill or color, ms=3.5, alpha=0.5)
    panel.plot(
        [place], [mean], marker, mfc=fill or color, mec=color if fill else "black", ms=8, mew=1.4 if fill else 0.8
    )
    panel.annotate(
        f"{mean:.1f}",
        (place, mean),
        xytext=(0, 7 if above else -7),
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "top",
        fontweight="bold",
        fontsize=8,
        # Seeds and lines behind the number show through.
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.6, "pad": 0.5},
    )


def _label(panel: Axes, places: int, side: str) -> None:
    panel.set_xlim(-0.6, places - 0.4)
    panel.margins(y=0.14)
    panel.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    panel.tick_params(labelleft=True)
    panel.grid(False, axis="x")
    panel.set_ylabel(f"{side} accuracy (%)")
