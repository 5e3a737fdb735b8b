"""The figures of a run, drawn from its records alone: learning curves, confusion matrices, recalls, paired seeds."""

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from resjax.records import Comparison, Summary
from resjax.records.run_records import read_run_records
from resjax.report.figures.class_figures import confusion_figure, recall_figure
from resjax.report.figures.curves import AXIS_LABELS, draw_mean_and_band, draw_seeds, label_epochs
from resjax.report.figures.depth_figure import depth_figure
from resjax.report.figures.drawn_run import DrawnNetwork, DrawnRun, conclusion, drawn_run
from resjax.report.figures.probe_figures import probe_figures
from resjax.report.figures.split_figures import leaks_figure
from resjax.report.figures.style import QUIET, STRIPE, frame, save
from resjax.report.words import SIDES, change, change_interval, known, metric_heading, points, unit_of, with_width

PAIRS_NOTE = "each mark is a seed at its best epoch on validation; a line joins the marks of one seed; bars are means."
DIFFERENCES_NOTE = "each mark is the difference of one seed; the bar is their mean with its interval."
MOST_IN_PANEL_LEGEND = 3
MOST_MATRICES = 4
"""Confusion matrices side by side; of more networks each has its own figure."""
MOST_PAIRS = 10
"""Comparisons whose differences are drawn; a report has them all."""


def draw_figures(workdir: Path | str) -> list[Path]:
    """Draws every figure of a run into `workdir`/figures, as PNG and as SVG, and returns their paths.

    Replicas without a result, and those that diverged, are left out, and the figures say so; there are no figures
    where no replica is done. Accuracies are in per cent, losses in nats per image.

    Raises:
      RecordError: names the record that cannot be read.
    """
    records = read_run_records(Path(workdir))
    run = drawn_run(records)
    if not run.networks:
        return []
    measured = probe_figures(records.probes, run.warning) if records.probes else []
    return save(chain(_figures(run, records.summary), measured), Path(workdir) / "figures")


def _figures(run: DrawnRun, summary: Summary) -> Iterator[tuple[str, Figure]]:
    """The figures by name. No panel is in two of them."""
    trained = [network for network in run.networks if network.curves("val", "loss").size]
    if trained:
        yield "answer", _answer(run, trained, [pair for pair in summary.comparisons if pair.differences])
        yield "history", _histories(run, trained)
    else:
        yield "seeds", _seeds(run)
    if len(run.networks) <= MOST_MATRICES:
        yield "confusion", _confusion(run, run.networks, run.left_out)
    else:
        for network in run.networks:
            yield f"confusion_{network.name}", _confusion(run, [network], network.left_out)
    yield "recall", recall_figure(run)
    if any(network.accuracies_on("leaked") for network in run.networks):
        yield "leaks", leaks_figure(run)
    for index, family in enumerate(family for family in summary.depth or [] if family.seeds):
        yield f"depth{index or ''}", depth_figure(family, run.warning)
    for network in trained:
        yield f"history_{network.name}", _history(run, network)


def _answer(run: DrawnRun, trained: Sequence[DrawnNetwork], compared: Sequence[Comparison]) -> Figure:
    pairs = compared[:MOST_PAIRS]
    crowd = max(0, len(run.networks) - MOST_IN_PANEL_LEGEND)
    above, below = 4.2 + 0.2 * crowd, (0.7 + 0.6 * len(pairs)) * bool(pairs)
    figure = Figure(figsize=(8.5 + 1.2 * crowd, above + below), layout="constrained")
    heights = (above, below) if pairs else (above,)
    grid = figure.add_gridspec(len(heights), 2, width_ratios=(3, 2 + 0.5 * crowd), height_ratios=heights)
    left, right = (figure.add_subplot(grid[0, column]) for column in range(2))
    for network in trained:
        label = f"{network.name}, {network.seeds}"
        draw_mean_and_band(left, network.curves("val", "accuracy"), network.color, network.marker, label=label)
    left.set_title("Validation accuracy after each epoch")
    label_epochs(left, "accuracy", "validation ")
    _draw_legend(left, run)
    _draw_pairs(right, run)
    right.set_title("Best epoch of each seed")
    note = f"Left: mean over seeds{_band_words(run.networks)}. Right: {PAIRS_NOTE} "
    if pairs:
        _draw_differences(figure.add_subplot(grid[1, :]), run, pairs)
        note += f"Below: {DIFFERENCES_NOTE} "
        note += f"These are the first {MOST_PAIRS} of {len(compared)} comparisons. " * (len(compared) > MOST_PAIRS)
    frame(figure, conclusion(run), note + run.images, warning=run.warning, left_out=run.left_out)
    return figure


def _draw_differences(panel: Axes, run: DrawnRun, pairs: Sequence[Comparison]) -> None:
    """A row for each comparison: the seeds' differences, their mean and its interval, and these in words above."""
    metric, looks = pairs[0].metric, {network.name: network for network in run.networks}
    scale = 100 if unit_of(metric) == "points" else 1
    back = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    panel.axvline(0, color=QUIET, linewidth=1, dashes=(4, 3))
    if asked := known(pairs[0].equivalence):
        panel.axvspan(-scale * asked.margin, scale * asked.margin, color=STRIPE, zorder=0)
    for row, pair in enumerate(pairs):
        network, values = looks[pair.candidate], scale * np.array(pair.differences)
        panel.plot(
            values, np.full(len(values), row - 0.02), network.marker, color=network.color, mec="white", mew=0.5, ms=6.5
        )
        said = f"{pair.candidate} minus {pair.baseline}: {change(pair.mean, metric)} {unit_of(metric)}"
        if interval := with_width(pair.ci95):
            low, high = (scale * end for end in interval)
            bar = {"fmt": "none", "color": "black", "capsize": 4, "zorder": 3}
            panel.errorbar([(low + high) / 2], [row + 0.22], xerr=[(high - low) / 2], **bar)
            said += f", {100 * (1 - pair.level):.3g} % interval {change_interval(interval, metric)}"
        p = pair.p_value if pair.holm_p_value is None else pair.holm_p_value
        said += f", p = {p:.2g}" if p is not None else ""
        panel.plot([values.mean()], [row + 0.22], "|", color="black", markersize=11, markeredgewidth=2.5)
        panel.text(0.005, row - 0.22, said, transform=panel.get_yaxis_transform(), va="bottom", bbox=back)
    panel.set_ylim(len(pairs) - 0.55, -0.65)
    panel.set_yticks([])
    panel.spines["left"].set_visible(False)
    panel.margins(x=0.06)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=9, steps=[1, 2, 5, 10]))
    if scale == 100:
        panel.xaxis.set_major_formatter(lambda value, _: points(value / 100, 0 if value == round(value) else 1))
    unit = "percentage points" if scale == 100 else unit_of(metric)
    panel.set_xlabel(f"difference in {metric_heading(metric, 'validation')} ({unit})")


def _histories(run: DrawnRun, trained: Sequence[DrawnNetwork]) -> Figure:
    wide = len(run.networks) > MOST_IN_PANEL_LEGEND
    figure = Figure(figsize=(10.5 if wide else 8.5, 6.4), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    for row, quantity in zip(panels, AXIS_LABELS, strict=True):
        for panel, side in zip(row, ("train", "val"), strict=True):
            for network in trained:
                label = f"{network.name}, {network.seeds}"
                draw_mean_and_band(panel, network.curves(side, quantity), network.color, network.marker, label=label)
            panel.set_title(f"{SIDES[side].capitalize()} {quantity}")
            label_epochs(panel, quantity)
            panel.label_outer()
    _draw_legend(panels[0, 0], run)
    note = f"Line: mean over seeds{_band_words(run.networks)}. {run.images}"
    frame(figure, "Loss and accuracy while training", note, warning=run.warning, left_out=run.left_out)
    return figure


def _history(run: DrawnRun, network: DrawnNetwork) -> Figure:
    figure = Figure(figsize=(8.5, 4.0), layout="constrained")
    for panel, quantity in zip(figure.subplots(1, 2), AXIS_LABELS, strict=True):
        for side, color, marker, line in (("train", QUIET, "x", "--"), ("val", network.color, network.marker, "-")):
            curves = network.curves(side, quantity)
            draw_mean_and_band(panel, curves, color, marker, label=SIDES[side], line=line)
            draw_seeds(panel, curves, color, line)
        panel.set_title(quantity.capitalize())
        label_epochs(panel, quantity)
        panel.legend(loc="best")
    note = f"Thick line: mean over seeds{_band_words([network])}. Thin lines: the seeds."
    title = f"{network.name}: training against validation, {network.seeds}"
    frame(figure, title, note, warning=run.warning, left_out=network.left_out)
    return figure


def _confusion(run: DrawnRun, networks: Sequence[DrawnNetwork], left_out: str) -> Figure:
    panels = {
        f"{network.name}, {network.seeds}{' together' if len(network.results) > 1 else ''}": network.confusion()
        for network in networks
    }
    note = "Images are counted once for each seed, at its best epoch on validation."
    title = f"Confusion matrix on the {run.side} images"
    return confusion_figure(panels, run.classes, title, note, warning=run.warning, left_out=left_out)


def _seeds(run: DrawnRun) -> Figure:
    figure = Figure(figsize=(max(4.5, 1.1 * len(run.networks) + 2.5), 4.5), layout="constrained")
    panel = figure.subplots()
    _draw_pairs(panel, run)
    frame(figure, conclusion(run), PAIRS_NOTE.capitalize(), warning=run.warning, left_out=run.left_out)
    return figure


def _draw_pairs(panel: Axes, run: DrawnRun) -> None:
    seeds = sorted({seed for network in run.networks for seed in network.results})
    # Side by side by a little, so that equal accuracies do not hide each other.
    aside = dict(zip(seeds, np.linspace(-0.08, 0.08, len(seeds)) if len(seeds) > 1 else [0.0], strict=True))
    accuracies = [network.accuracies() for network in run.networks]
    for place, (first, second) in enumerate(pairwise(accuracies)):
        for seed in (seed for seed in first if seed in second):
            places = [place + aside[seed], place + 1 + aside[seed]]
            panel.plot(places, [first[seed], second[seed]], color="#9A9A9A", linewidth=0.9)
    for place, (network, values) in enumerate(zip(run.networks, accuracies, strict=True)):
        mean = float(np.mean(list(values.values())))
        panel.plot([place - 0.22, place + 0.22], [mean, mean], color="black", linewidth=2.2, solid_capstyle="butt")
        places = [place + aside[seed] for seed in values]
        panel.plot(places, list(values.values()), network.marker, color=network.color, mec="white", mew=0.5, ms=6.5)
        # The first mean stands on the outer side, clear of the lines.
        outer = {"x": place - 0.25, "ha": "right"} if place == 0 else {"x": place + 0.25, "ha": "left"}
        back = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        panel.text(y=mean, s=f"{mean:.1f}", va="center", fontweight="bold", bbox=back, **outer)
    crowded = len(run.networks) > 2
    panel.set_xticks(
        range(len(run.networks)),
        [network.name for network in run.networks],
        rotation=30 if crowded else 0,
        ha="right" if crowded else "center",
        rotation_mode="anchor",
    )
    panel.set_xlim(-0.7, len(run.networks) - 0.3)
    panel.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    panel.grid(False, axis="x")
    panel.set_ylabel(f"{run.side} accuracy (%)")


def _draw_legend(panel: Axes, run: DrawnRun) -> None:
    if len(run.networks) <= MOST_IN_PANEL_LEGEND:
        panel.legend(loc="best")
    else:
        panel.figure.legend(*panel.get_legend_handles_labels(), loc="outside right center")


def _band_words(networks: Sequence[DrawnNetwork]) -> str:
    return (
        "; band: ± 1 standard deviation, within the range of the seeds"
        if any(len(network.results) > 1 for network in networks)
        else ""
    )
