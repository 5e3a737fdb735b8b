"""The report of a sweep as one HTML page, made from `sweep.json` alone."""

from collections.abc import Iterator
from typing import Any

from resjax.records import Condition, Depth, Sweep
from resjax.report.cautions import leak_warning
from resjax.report.figures.sheet import charts_of_page
from resjax.report.figures.style import COLORS
from resjax.report.figures.sweep_figures import families, sweep_sheets
from resjax.report.figures.sweep_maps import AccuracyMap, sensitivity_maps
from resjax.report.majority import majority_of_sweep
from resjax.report.page.html import command_line, render
from resjax.report.sweep_text import choice_caution, choice_table, failures, headline, setting_words, value_words
from resjax.report.words import DASH, SIDES, known, listed, points, points_interval
from resjax.terminal import duration

SLOPES = {
    "train_accuracy": "training accuracy",
    "val_accuracy": "validation accuracy",
    "gap": "training minus validation accuracy",
}


def sweep_page(record: Sweep) -> str:
    """The page of a sweep, however many of its cells have ended."""
    of_families = families(record.conditions[0])
    places = {
        name: (of_families.index(network.family) if network.family in of_families else place) % len(COLORS)
        for place, (name, network) in enumerate(record.conditions[0].networks.items())
    }

    def color_of(found: AccuracyMap, value: float | None) -> int:
        return places[found.network if not found.baseline or (value or 0) > 0 else found.baseline]

    return render(
        "sweep.html",
        record=record,
        headline=headline(record),
        verdicts=list(_verdicts(record)),
        facts=[*_facts(record)],
        tables=[_table(record, condition) for condition in record.conditions],
        caution=choice_caution(record),
        majority=majority_of_sweep(record.dataset),
        failures=failures(record),
        warning=leak_warning(record.dataset),
        sheets=[
            {
                "id": name,
                "title": sheet.title,
                "note": sheet.note,
                "names": of_families if name.startswith("depth") else [*record.conditions[0].networks],
                "charts": charts_of_page(name, sheet),
            }
            for name, sheet in sweep_sheets(record).items()
        ],
        maps=sensitivity_maps(record),
        color_of=color_of,
        again=_command(record),
        merged=known(record.merged) or [],
        duration=duration(sum(cell.seconds or 0 for cell in record.cells)),
    )


def _verdicts(record: Sweep) -> Iterator[dict[str, Any]]:
    """The sentence on each pair of networks under each condition, with the settings that are best for them."""
    for condition in record.conditions:
        for pair in condition.comparisons:
            settings = known(pair.settings) or {}
            at = [f"{network} at {_tuned(record, point)}" for network, point in settings.items() if point]
            yield {"label": condition.label, "sentence": pair.sentence, "at": at if record.tuned else []}


def _facts(record: Sweep) -> Iterator[tuple[str, str]]:
    """What the cells of a sweep are made of."""
    yield "networks", ", ".join(record.architectures)
    for name, values in record.grid.items():
        yield name.replace("_", " "), ", ".join(map(value_words, values))
    yield "seeds", ", ".join(map(str, record.seeds))
    yield "finished", headline(record)
    sides = {SIDES[side]: count for side, count in record.dataset.splits.items() if count}
    yield "images", ", ".join(f"{count:,} {side}" for side, count in sides.items())
    yield "split", record.dataset.split_label


def _table(record: Sweep, condition: Condition) -> dict[str, Any]:
    """The table of the best settings, with setting and seeds, where not all are done, below a network's name."""
    table = choice_table(record, condition)
    seeds = table.header.index("seeds")
    whole = (DASH, f"{len(record.seeds)} of {len(record.seeds)}")
    return {
        "label": condition.label,
        "columns": table.header[seeds + 1 :],
        "rows": [
            (row[0], [*row[1:seeds], *([] if row[seeds] in whole else [f"{row[seeds]} seeds"])], row[seeds + 1 :])
            for row in table.rows
        ],
        "slopes": [each for family in condition.depth or [] if (each := _slopes(family))["measures"]],
    }


def _slopes(family: Depth) -> dict[str, Any]:
    """How the difference between twins changes with depth."""
    pairs = listed([f"{twins.candidate} minus {twins.baseline}" for twins in family.twins])
    measures = [
        f"{name}: {points(slope.mean)} points"
        + (f" (95 % interval {points_interval(slope.ci95)})" if slope.ci95 else "")
        for measure, name in SLOPES.items()
        if measure in family.measures and (slope := family.measures[measure].slope).mean is not None
    ]
    return {"of": f"With every ten layers more the difference ({pairs}) changes in", "measures": measures}


def _tuned(record: Sweep, point: str) -> str:
    return setting_words({name: value for name, value in record.points[point].items() if name in record.tuned})


def _command(record: Sweep) -> str:
    swept = [f"--grid={name}={'|'.join(map(str, values))}" for name, values in record.grid.items()]
    return command_line("sweep", record.config, *swept)
