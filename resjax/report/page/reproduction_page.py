"""The page of a reproduction: published numbers and our own side by side, and in what the experiments differ."""

import re
from collections.abc import Iterator

from matplotlib.figure import Figure

from resjax.records import ReproductionRecord
from resjax.report.figures.depth_figure import depth_figure, depth_sheet
from resjax.report.figures.sheet import charts_of_page
from resjax.report.page.html import render
from resjax.report.reproduction_text import sections, sentences
from resjax.report.words import counted, known
from resjax.terminal import duration


def reproduction_figures(record: ReproductionRecord) -> Iterator[tuple[str, Figure]]:
    """The figure of depth of each family of twins, by the name of its file."""
    for index, family in enumerate(record.depth or []):
        if family.seeds:
            yield f"depth{index or ''}", depth_figure(family, "\n".join(record.notes))


def reproduction_page(record: ReproductionRecord) -> str:
    """The page as HTML: one file, nothing loaded from elsewhere; `reports` are linked beside it."""
    return render(
        "reproduction.html",
        record=record,
        sentences=sentences(record),
        tables=sections(record),
        sheets=[
            (sheet, charts_of_page(f"depth{place}_", sheet))
            for place, sheet in enumerate(depth_sheet(family) for family in record.depth or [] if family.seeds)
        ],
        with_interval=_with_interval,
        sources=dict.fromkeys((each.who, each.where) for each in record.published),
        machine=_machine(record),
        duration=duration(record.replica_seconds),
        unfinished=[
            f"{own.network}{f', split {own.split}' if own.split else ''}: seed {seed} {status}"
            for own in record.own
            for seed, status in own.status.items()
            if status != "done"
        ],
    )


def _machine(record: ReproductionRecord) -> str:
    """What the networks were trained on, and with what."""
    environment = record.environment
    processor = known(environment.processor)
    parts = [processor] if processor else []
    parts += [counted(environment.cpu_count, "processor")] if environment.cpu_count else []
    parts.append(f"{counted(environment.device_count, 'device')} ({environment.device_kind})")
    return ", ".join([*parts, f"jax {environment.jax}", f"flax {environment.flax}"])


def _with_interval(cell: str) -> tuple[str, str]:
    """A cell of a table in two parts: its number, and the interval that it has in brackets, or nothing.

    >>> _with_interval("40.0 ± 2.0 (35.0 to 45.0)"), _with_interval("about 9 to 12.5")
    (('40.0 ± 2.0', '35.0 to 45.0'), ('about 9 to 12.5', ''))
    """
    found = re.fullmatch(r"(.+) \((.+ to .+)\)", cell)
    return (found[1], found[2]) if found else (cell, "")
