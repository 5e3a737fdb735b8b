"""The page of a reproduction: published numbers and our own side by side, and in what the experiments differ."""

from collections.abc import Iterator, Mapping

from matplotlib.figure import Figure

from resjax.records import ReproductionRecord
from resjax.report.figures.depth_figure import depth_figure
from resjax.report.figures.style import draw, inline
from resjax.report.page.html import render
from resjax.report.reproduction_text import sentences, tables


def reproduction_figures(record: ReproductionRecord) -> Iterator[tuple[str, Figure]]:
    """The figure of depth of each family of twins, by the name of its file."""
    for index, family in enumerate(record.depth or []):
        if family.seeds:
            yield f"depth{index or ''}", depth_figure(family, "\n".join(record.notes))


def reproduction_page(record: ReproductionRecord, drawn: Mapping[str, str] | None = None) -> str:
    """The page as HTML: one file, nothing loaded from elsewhere; `reports` are linked beside it.

    Args:
      drawn: the SVG of all figures of this record, by name, where they are drawn already.
    """
    seconds = record.replica_seconds
    figures = draw(reproduction_figures(record)) if drawn is None else drawn
    return render(
        "reproduction.html",
        record=record,
        sentences=sentences(record),
        tables=tables(record),
        figures=[inline(svg, name) for name, svg in figures.items()],
        sources=dict.fromkeys((each.who, each.where) for each in record.published),
        hours=f"{seconds / 3600:.1f} hours" if seconds > 5400 else f"{seconds / 60:.0f} minutes",
        unfinished=[
            f"{own.network}{f', split {own.split}' if own.split else ''}: seed {seed} {status}"
            for own in record.own
            for seed, status in own.status.items()
            if status != "done"
        ],
    )
