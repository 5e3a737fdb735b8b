"""The page of a reproduction: published numbers and our own side by side, and in what the experiments differ."""

import base64
import io
from collections.abc import Mapping
from typing import Any

from resjax.report.page.render import render
from resjax.report.page.reproduction_tables import sentences, tables

FIGURE_DPI = 110


def reproduction_page(record: Mapping[str, Any]) -> str:
    """The page as HTML: one file, nothing loaded from elsewhere; `reports` are linked beside it."""
    seconds = record["replica_seconds"]
    return render(
        "reproduction.html",
        record=record,
        sentences=sentences(record),
        tables=tables(record),
        figures=[_embedded(family, record) for family in record["depth"] or [] if family["seeds"]],
        sources=dict.fromkeys((each["who"], each["where"]) for each in record["published"]),
        hours=f"{seconds / 3600:.1f} hours" if seconds > 5400 else f"{seconds / 60:.0f} minutes",
        unfinished=[
            f"{own['arm']}{', split ' + own['split'] if own['split'] else ''}: seed {seed} {status}"
            for own in record["own"]
            for seed, status in own["status"].items()
            if status != "done"
        ],
    )


def _embedded(family: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """The figure of depth as a data URI."""
    # They import matplotlib, which a page without the figure does without.
    import matplotlib.style

    from resjax.report.figures.depth_figure import depth_figure
    from resjax.report.figures.style import STYLE

    with matplotlib.style.context(["default", STYLE]):
        file = io.BytesIO()
        figure = depth_figure(family, "\n".join(record["notes"]))
        figure.savefig(file, format="png", dpi=FIGURE_DPI, metadata={"Software": None})
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
