"""What a comparison leaves for papers: every epoch as csv, and the networks with their differences as a table.

They are files of the workdir and not a flag: they are there when somebody needs them, and cost a moment. The caption
has the warnings of the split, so a table cannot lose them.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import UNSET

from resjax.records import Comparison, MetricsLine, NetworkSummary, Summary, plain
from resjax.records.run_records import RunRecords
from resjax.report.cautions import mixed_environments, optimism, unplanned, warnings_of
from resjax.report.comparison_text import not_counted, verdicts
from resjax.report.majority import majority_line
from resjax.report.tables import Table, latex, latex_text, markdown, markdown_text
from resjax.report.words import (
    SIDES,
    change,
    change_interval,
    known,
    measure_asked,
    metric_heading,
    p_value,
    spread,
    spread_of,
    unit_of,
    with_width,
)

COLUMNS = ("network", "seed", "status", *MetricsLine.__struct_fields__)
"""Of `results.csv`: the keys of `metrics.jsonl` after those that name the replica."""
SEQUENTIAL = "sequential"
"""How replicas are trained that do not say it."""


def epochs_csv(records: RunRecords) -> str:
    """`results.csv`: a row for each network, seed and epoch, in this order, with a header.

    Its columns are `COLUMNS`. Numbers have all their digits, what is not finite is an empty cell, and `status` is that
    of the replica: `done`, `diverged` or `pending`.

    Raises:
      RecordError: names the record that cannot be read.
    """
    return _csv(COLUMNS, _rows(records))


def epochs_csv_of_splits(splits: Mapping[str, RunRecords]) -> str:
    """`epochs_csv` of several splits or folds, with the split's name in the first column, `split`."""
    rows = ([name, *row] for name, records in splits.items() for row in _rows(records))
    return _csv(("split", *COLUMNS), rows)


def _rows(records: RunRecords) -> Iterator[list[object]]:
    for name, network in records.summary.architectures.items():
        for seed, status in network.status.items():
            for line in records.history(name, seed):
                values = plain(line) | {"trained_as": SEQUENTIAL if line.trained_as is UNSET else line.trained_as}
                yield [name, seed, status, *map(_cell, values.values())]


def _cell(value: object) -> object:
    # As pandas, R and polars read truth values.
    return str(value).lower() if isinstance(value, bool) else value


def _csv(header: Sequence[str], rows: Iterator[list[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def comparison_table(summary: Summary) -> Table:
    """A row for each network: parameters, seeds, accuracy, and the paired difference with its interval and p.

    The accuracy is mean ± standard deviation over seeds, of the test set or else of the best epoch on validation; the
    measure of --metric stands before it. A network that is compared with several others has a row for each of them.
    """
    pairs, asked = summary.comparisons, measure_asked(summary.config)
    several = len(_baselines(pairs)) > 1
    header = ["", "parameters", "seeds"]
    header += [f"{asked.replace('_', ' ')} ({'nats' if asked.endswith('loss') else '%'})"] if asked else []
    header += ["accuracy (%)", *(["compared with"] if several else [])]
    header += ["difference", f"{100 * (1 - pairs[0].level):.3g} % interval", "p"] if pairs else []
    rows = []
    for name, network in summary.architectures.items():
        own = _cells(name, network, asked, is_tested=_is_tested(summary))
        compared = [_difference(pair, several) for pair in pairs if pair.candidate == name] or [[]]
        for place, cells in enumerate(compared):
            row = [*(own if place == 0 else [""] * len(own)), *cells]
            rows.append(row + [""] * (len(header) - len(row)))
    return Table(header, rows)


def paper_markdown(summary: Summary) -> str:
    """`results.md`: the table of the comparison in Markdown, with the verdicts and what its numbers are below."""
    below = [*verdicts(summary), *_notes(summary)]
    return (
        "\n".join(
            [markdown(comparison_table(summary), is_text=True), "", *(f"* {markdown_text(line)}" for line in below)]
        )
        + "\n"
    )


def paper_latex(summary: Summary) -> str:
    """`results.tex`: the table of the comparison for LaTeX with the package booktabs, its caption and the verdicts.

    The caption says what the numbers are; the verdicts are comments above the table.
    """
    comments = [r"Needs \usepackage{booktabs}.", *verdicts(summary)]
    table = latex(comparison_table(summary)).replace("\n", "\n  ")
    caption = " ".join(map(latex_text, _notes(summary)))
    lines = [r"\begin{table}", r"  \centering", f"  \\caption{{{caption}}}", f"  {table}", r"\end{table}"]
    return "\n".join([*("% " + re.sub(r"\s+", " ", each) for each in comments), *lines]) + "\n"


def _cells(name: str, network: NetworkSummary, asked: str, *, is_tested: bool) -> list[str]:
    done = sum(status == "done" for status in network.status.values())
    other = [spread_of((known(network.measures) or {}).get(asked), asked)] if asked else []
    accuracy = spread(network.test_accuracy if is_tested else network.best_val_accuracy)
    return [name, f"{network.parameters:,}", str(done), *other, accuracy]


def _difference(pair: Comparison, several: bool) -> list[str]:
    """The baseline if there are `several`, the difference, its interval and p."""
    p = pair.p_value if pair.holm_p_value is None else pair.holm_p_value
    interval = change_interval(with_width(pair.ci95), pair.metric)
    return [*([pair.baseline] if several else []), change(pair.mean, pair.metric), interval, p_value(p)]


def _notes(summary: Summary) -> list[str]:
    """What the numbers of the table are, and what has to be known of them."""
    dataset, pairs = summary.dataset, [pair for pair in summary.comparisons if pair.mean is not None]
    side = "test" if _is_tested(summary) else "val"
    notes = [
        f"Accuracy: mean ± standard deviation over seeds on {dataset.splits[side]:,} {SIDES[side]} images of "
        f"{dataset.name} ({len(dataset.classes)} classes), at the best epoch on validation."
    ]
    if pairs:
        baselines, metric = _baselines(pairs), pairs[0].metric
        minuend = f" from {baselines[0]}" if len(baselines) == 1 else ""
        notes.append(
            f"Differences{minuend} are paired by seed, in {unit_of(metric)} ({metric_heading(metric, 'validation')})."
        )
    if kinds := dict.fromkeys(pair.interval for pair in pairs if pair.interval):
        notes.append(f"Interval: {'; '.join(kinds)}.")
    if tests := dict.fromkeys(pair.test for pair in pairs if pair.test):
        corrected = f", corrected for {len(pairs)} comparisons" if pairs[0].holm_p_value is not None else ""
        notes.append(f"p: {'; '.join(tests)}{corrected}.")
    notes += filter(None, [majority_line(summary), optimism(summary), mixed_environments(summary), unplanned(summary)])
    notes += [f"{line[0].upper()}{line[1:]}." for line in not_counted(summary)]
    return notes + [f"{line}." for line in warnings_of(dataset)]


def _baselines(pairs: Sequence[Comparison]) -> list[str]:
    return list(dict.fromkeys(pair.baseline for pair in pairs))


def _is_tested(summary: Summary) -> bool:
    return any(known(network.test_accuracy) for network in summary.architectures.values())
