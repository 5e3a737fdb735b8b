"""Figures of the effect of leaks: leaked and clean images of one run, and several splits side by side."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from resjax.records import CrossValidation, NetworkOnSplit, PooledNetwork, Side, Splits, SplitSummary, read_record
from resjax.report.cautions import leak_warning
from resjax.report.figures.drawn_run import DrawnRun
from resjax.report.figures.style import COLORS, MARKERS, frame, save
from resjax.report.words import SIDES, known

MEANS = "Large marks and numbers are means, small marks the seeds, at their best epoch on validation."
LEAKED = (
    "hollow marks are of the images that are also on another side, themselves or as a copy; filled ones of the rest."
)


def leaks_figure(run: DrawnRun) -> Figure:
    """Accuracy of every network of a run on the clean and on the leaked images."""
    figure = Figure(figsize=(max(4.8, 1.5 * len(run.networks) + 2), 4.4), layout="constrained")
    panel = figure.subplots()
    gains = []
    for place, network in enumerate(run.networks):
        clean, leaked = (list(network.accuracies_on(part).values()) for part in ("clean", "leaked"))
        _draw_parts(panel, place, network.color, network.marker, clean, leaked)
        if clean and leaked:
            gains.append(f"{network.name} {np.mean(leaked) - np.mean(clean):+.1f}")
    panel.set_xticks(range(len(run.networks)), [network.name for network in run.networks])
    _label(panel, len(run.networks), run.side)
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

    There is no figure where no replica is done.

    Raises:
      ValueError: where the record cannot be read.
    """
    record = read_record(Path(workdir) / "splits.json", Splits)
    return save(_figures(record), Path(workdir) / "figures")


class _Place(NamedTuple):
    """A place on the axis: a split, or all folds together, with each network's accuracies (%) by seed."""

    words: str
    whole: Mapping[str, Sequence[float]]
    clean: Mapping[str, Sequence[float]]
    leaked: Mapping[str, Sequence[float]]


def _figures(record: Splits) -> Iterator[tuple[str, Figure]]:
    splits, pooled = record.splits, record.cross_validated
    networks = list(next(iter(splits.values())).architectures)
    tested = any(known(each.test_accuracy) for split in splits.values() for each in split.architectures.values())
    # Folds are pooled over their val images: those stand beside the pool, also where there is a test side.
    side: Side = "test" if tested and not pooled else "val"
    metric = "test_accuracy" if side == "test" else "best_val_accuracy"
    places = [_place(name, split, side, metric) for name, split in splits.items()]
    if pooled:
        places.append(_Place("all folds\ntogether", _values(pooled.architectures, metric), {}, {}))
    if not any(values for place in places for values in place.whole.values()):
        return
    has_parts = tested == (side == "test") and any(place.leaked for place in places)
    width = (1 + has_parts) * (max(1.05, 0.5 * len(networks)) * len(places) + 0.9)
    figure = Figure(figsize=(max(6.0, width), 4.6), layout="constrained")
    panels = figure.subplots(1, 1 + has_parts, sharey=True, squeeze=False)[0]
    for index, network in enumerate(networks):
        aside = (index - (len(networks) - 1) / 2) * 0.8 / len(networks)
        color, marker = COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
        for number, place in enumerate(places):
            _draw_mean(panels[0], number + aside, color, marker, place.whole.get(network, ()), above=True)
            if has_parts:
                reach = 0.12 if len(networks) < 4 else 0.05
                parts = place.clean.get(network, ()), place.leaked.get(network, ())
                _draw_parts(panels[1], number + aside, color, marker, *parts, reach=reach)
    for panel, title in zip(panels, (f"All {SIDES[side]} images", "Their clean and their leaked part"), strict=False):
        panel.set_title(title)
        panel.set_xticks(range(len(places)), [place.words for place in places])
        _label(panel, len(places), SIDES[side])
    handles = [
        Line2D([], [], color=COLORS[i % len(COLORS)], marker=MARKERS[i % len(MARKERS)], linestyle="", label=network)
        for i, network in enumerate(networks)
    ]
    panels[0].legend(handles=handles, loc="best")
    warnings = [text for split in splits.values() if (text := leak_warning(split))]
    note = f"{MEANS} Right: {LEAKED}" if has_parts else MEANS
    frame(figure, _title(record, networks, SIDES[side], metric), note, warning="\n".join(warnings))
    yield "splits", figure


def _place(name: str, split: SplitSummary, side: Side, metric: str) -> _Place:
    networks, leaked, images = split.architectures, split.leaked[side], split.sides[side]
    words = [name] + ["faulty"] * split.is_faulty + [f"{leaked} of {images} leak" if leaked else f"{images} images"]
    whole = _values(networks, metric)
    if not split.leaked_images:
        return _Place("\n".join(words), whole, whole, {})
    return _Place("\n".join(words), whole, _values(networks, "clean_accuracy"), _values(networks, "leaked_accuracy"))


def _values(
    networks: Mapping[str, NetworkOnSplit] | Mapping[str, PooledNetwork], metric: str
) -> dict[str, list[float]]:
    found = {name: known(getattr(network, metric)) for name, network in networks.items()}
    return {name: [100 * value for value in described.values] for name, described in found.items() if described}


def _title(record: Splits, networks: Sequence[str], side: str, metric: str) -> str:
    """The paired difference of two networks on each split; means where there are more networks, or one."""
    pooled = record.cross_validated
    parts: Mapping[str, SplitSummary | CrossValidation] = record.splits
    if pooled:
        parts = {f"all {pooled.images} images": pooled}
    kind = "cross-validated accuracy" if pooled else f"{side} accuracy"
    found = []
    for name, part in parts.items():
        pairs = [pair.mean for pair in part.comparisons if pair.metric == metric]
        if len(networks) == 2 and pairs and pairs[0] is not None:
            found.append(f"{name} {100 * pairs[0]:+.1f}")
        else:
            values = _values(part.architectures, metric)
            means = [f"{np.mean(values[network]):.1f}" if values.get(network) else "-" for network in networks]
            found.append(f"{name} {' and '.join(means)} %")
    if len(networks) == 2:
        return f"Points of {kind} of {networks[1]} above {networks[0]}: {', '.join(found)}"
    return f"{kind.capitalize()} of {' and '.join(networks)}: {', '.join(found)}"


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
