"""The picture of a plan: which difference so many seeds will show."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from resjax.records.kinds.plan import Plan
from resjax.report.figures.style import COLORS, MARKERS, QUIET, frame, save
from resjax.report.plan_text import POWER


def draw_plan(plan: Plan, folder: Path) -> list[Path]:
    """Draws a plan as plan.png and plan.svg in a folder, and returns their paths."""
    # Made when `save` takes it, in its style.
    return save((("plan", plan_figure(each)) for each in [plan]), folder)


def plan_figure(plan: Plan) -> Figure:
    """The detectable difference and the margin of equivalence over the number of seeds."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    panel = figure.subplots()
    is_loss = plan.metric.endswith("log_loss")
    scale = 1.0 if is_loss else 100.0
    for place, (name, words) in enumerate(
        (("detectable", "difference that is found"), ("margin", "margin within which equal networks are shown"))
    ):
        known = [each for each in plan.by_seeds if getattr(each, name) is not None]
        panel.plot(
            [each.seeds for each in known],
            [scale * getattr(each, name) for each in known],
            color=COLORS[place],
            marker=MARKERS[place],
            label=words,
        )
    for wanted, words in ((plan.difference, "difference asked for"), (plan.margin, "margin")):
        if wanted is not None:
            panel.axhline(scale * wanted, color=QUIET, linestyle="--", linewidth=1, zorder=0)
            panel.annotate(words, (1, scale * wanted), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    panel.set_xscale("log")
    panel.set_xticks([each.seeds for each in plan.by_seeds])
    panel.xaxis.set_major_formatter(ScalarFormatter())
    panel.minorticks_off()
    panel.set_ylim(bottom=0)
    panel.set_xlabel("seeds, log scale")
    panel.set_ylabel("nats" if is_loss else "points")
    panel.legend()
    images = f"{plan.images:,} images"
    if plan.groups < plan.images:
        images += f", {plan.groups:,} without their copies"
    together = f" of {plan.comparisons} comparisons" if plan.comparisons > 1 else ""
    frame(
        figure,
        f"Which difference will be found on {images}",
        f"Each with {POWER} % probability, at {100 * plan.level:.2g} % false verdicts{together}. "
        f"{plan.pilot or 'From assumptions; see plan.json'}.",
    )
    return figure
