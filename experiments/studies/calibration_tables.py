"""The calibration's records as tables in Markdown, for the terminal, BUILD_NOTES.md and README.md."""

from collections.abc import Callable, Iterable, Sequence

WORDS = {
    "itself": "an arm with itself",
    "equal": "as accurate, on other images",
    "+5": "+5 points",
    "+10": "+10 points",
}


def calibration_tables(records: Sequence[dict]) -> str:
    """False verdicts, coverage, power, and the intervals that were not chosen."""
    cells = [record for record in records if "alternative" not in record]
    judged = [seeds for seeds in _seeds(cells) if seeds == "auto" or seeds >= 6]
    return "\n\n".join(
        [
            "False verdicts in %, with their own 95 % intervals:",
            _grid(_of(cells, "itself", "equal"), judged, _false_verdicts),
            "True differences within the interval in %, lowest and highest of the four truths:",
            _grid(_merged(cells), _seeds(cells), _coverage),
            "Verdicts for the better arm in %, and below auto the seeds that it took on average:",
            _grid(_of(cells, "+5", "+10"), judged, _power),
            "Coverage of other intervals in %, +10 points on 230 images with copies:",
            _alternatives([record for record in records if "alternative" in record]),
        ]
    )


def short_table(records: Sequence[dict]) -> str:
    """A row for each number of seeds: false verdicts, coverage, and the power on 230 images with copies."""
    cells = [record for record in records if "alternative" not in record]
    rows = []
    for seeds in _seeds(cells):
        same = [cell for cell in cells if cell["seeds"] == seeds]
        false = [cell["wrong"] for cell in same if cell["truth"] in ("itself", "equal")]
        power = {
            cell["truth"]: cell["verdicts"] - cell["wrong"] for cell in same if cell["images"] == 230 and cell["copies"]
        }
        rows.append(
            [
                str(seeds),
                f"{_percent(sum(false) / len(false))}, at most {_percent(max(false))}",
                _coverage(same),
                _percent(power["+5"], 0),
                _percent(power["+10"], 0),
            ]
        )
    header = ["seeds", "false verdicts", "95 % interval covers", "+5 points found", "+10 points found"]
    return _markdown([header, *rows])


def _seeds(cells: Iterable[dict]) -> list:
    return list(dict.fromkeys(cell["seeds"] for cell in cells))


def _of(cells: Iterable[dict], *truths: str) -> dict[str, list[dict]]:
    rows: dict[str, list[dict]] = {}
    for cell in cells:
        if cell["truth"] in truths:
            rows.setdefault(f"{WORDS[cell['truth']]}, {_images(cell)}", []).append(cell)
    return rows


def _merged(cells: Iterable[dict]) -> dict[str, list[dict]]:
    rows: dict[str, list[dict]] = {}
    for cell in cells:
        rows.setdefault(_images(cell), []).append(cell)
    return rows


def _images(cell: dict) -> str:
    return f"{cell['images']} images{' with copies' if cell['copies'] else ''}"


def _grid(rows: dict[str, list[dict]], seeds: list, text: Callable[[list[dict]], str]) -> str:
    header = ["", *(f"{each} seeds" if each != "auto" else "auto" for each in seeds)]
    lines = [
        [name, *(text([cell for cell in cells if cell["seeds"] == each]) for each in seeds)]
        for name, cells in rows.items()
    ]
    return _markdown([header, *lines])


def _false_verdicts(cells: list[dict]) -> str:
    (cell,) = cells
    low, high = cell["wrong_ci95"]
    return f"{_percent(cell['wrong'])} ({_percent(low)} to {_percent(high)})"


def _coverage(cells: list[dict]) -> str:
    shares = [cell["covered"] for cell in cells]
    return f"{_percent(min(shares))} to {_percent(max(shares))}"


def _power(cells: list[dict]) -> str:
    (cell,) = cells
    took = f" ({cell['mean_seeds']:.1f})" if "mean_seeds" in cell else ""
    return _percent(cell["verdicts"] - cell["wrong"], 0) + took


def _alternatives(records: Sequence[dict]) -> str:
    seeds = _seeds(records)
    names = list(dict.fromkeys(record["alternative"] for record in records))
    covered = {(record["alternative"], record["seeds"]): _percent(record["covered"]) for record in records}
    header = ["", *(f"{each} seeds" for each in seeds)]
    return _markdown([header, *([name, *(covered[name, each] for each in seeds)] for name in names)])


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}"


def _markdown(lines: list[list[str]]) -> str:
    header, *rows = lines
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *rows])
