"""The tables for papers say what the records say, in csv, LaTeX and Markdown, whatever the names are."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from msgspec.structs import replace

from resjax.records import Summary, read_record, write_lines
from resjax.records.run_records import RunRecords, read_run_records
from resjax.report.paper_tables import (
    COLUMNS,
    comparison_table,
    epochs_csv,
    epochs_csv_of_splits,
    paper_latex,
    paper_markdown,
)
from resjax.report.tables import Table, latex, latex_text, markdown, markdown_text
from tests.made_run import make_run, metrics_line

QUICKSTART = Path(__file__).parents[2] / "experiments" / "results" / "quickstart"
NAMES = ["se_resnet34", "my|net*", "_a_ & 50 % #1 {x} ~^\\ $y$ <b> [z]", "`code` [a](b) ~~c~~ ![d]", 'two\nlines "q"']


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> RunRecords:
    """Three networks, of which one has a seed that diverged and one a seed that was never begun."""
    workdir = tmp_path_factory.mktemp("tables") / "run"
    networks = {"plain34": 0.5, "resnet34": 0.7, "se_resnet34": 0.8}
    make_run(workdir, networks, diverged=[("plain34", 1)], pending=[("resnet34", 2)], leaked=3)
    lines = [metrics_line(1, 0.5), replace(metrics_line(2, 0.4), train_loss=None, trained_as="vmap of 4")]
    write_lines(workdir / "runs" / "plain34" / "seed1" / "metrics.jsonl", lines)
    return read_run_records(workdir)


def folder_of(records: RunRecords) -> Path:
    return records.folders["plain34"][0].parents[2]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_csv_has_every_epoch_of_every_replica_with_all_digits():
    rows = rows_of(epochs_csv(read_run_records(QUICKSTART)))
    wanted = []
    for name in ("plain34", "resnet34"):
        for seed in range(6):
            for line in (QUICKSTART / "runs" / name / f"seed{seed}" / "metrics.jsonl").read_text().splitlines():
                values = {key: value for key, value in json.loads(line).items() if key != "crc32"}
                wanted.append({"network": name, "seed": seed, "status": "done", "trained_as": "sequential"} | values)
    assert len(rows) == 2 * 6 * 8 and set(rows[0]) == set(wanted[0]) == set(COLUMNS)
    for row, values in zip(rows, wanted, strict=True):
        for key, value in values.items():
            assert row[key] == value if isinstance(value, str) else json.loads(row[key]) == value, key


def test_replicas_that_diverged_or_wait_say_so_and_what_is_not_finite_is_empty(records):
    rows = rows_of(epochs_csv(records))
    diverged = [row for row in rows if row["status"] == "diverged"]
    assert [(row["network"], row["seed"], row["train_loss"]) for row in diverged] == [
        ("plain34", "1", "1.5"),
        ("plain34", "1", ""),
    ]
    assert [row["trained_as"] for row in diverged] == ["sequential", "vmap of 4"]
    assert not [row for row in rows if (row["network"], row["seed"]) == ("resnet34", "2")]


def test_the_same_records_give_the_same_bytes_wherever_they_lie(records, tmp_path):
    shutil.copytree(folder_of(records), tmp_path / "copy")
    copy = read_run_records(tmp_path / "copy")
    assert epochs_csv(copy) == epochs_csv(records) and "\r" not in epochs_csv(copy)
    for make in (paper_latex, paper_markdown):
        assert make(copy.summary) == make(records.summary) and make(copy.summary).endswith("\n")


def test_splits_stand_in_one_file_with_their_names(records):
    rows = rows_of(epochs_csv_of_splits({"fold1": records, "fold2": records}))
    assert [row.pop("split") for row in rows] == ["fold1"] * (len(rows) // 2) + ["fold2"] * (len(rows) // 2)
    assert rows[: len(rows) // 2] == rows_of(epochs_csv(records))


def test_the_table_has_the_numbers_of_the_record():
    summary = read_record(QUICKSTART / "summary.json", Summary)
    table = comparison_table(summary)
    (pair,) = summary.comparisons
    for row, network in zip(table.rows, summary.architectures.values(), strict=True):
        found = network.best_val_accuracy
        assert row[1:4] == [f"{network.parameters:,}", "6", f"{100 * found.mean:.1f} ± {100 * found.sd:.1f}"]
    assert table.rows[0][4:] == ["", "", ""]
    low, high = pair.ci95
    interval = f"{100 * low:+.1f} to {100 * high:+.1f}"
    assert table.rows[1][4:] == [f"{100 * pair.mean:+.1f}", interval, f"{pair.p_value:.3f}"]
    assert pair.sentence in paper_markdown(summary) and f"% {pair.sentence}\n" in paper_latex(summary)


def test_a_network_that_is_compared_with_several_has_a_row_for_each(records):
    table = comparison_table(records.summary)
    place = table.header.index("compared with")
    assert [(row[0], row[place]) for row in table.rows] == [
        ("plain34", ""),
        ("resnet34", "plain34"),
        ("se_resnet34", "plain34"),
        ("", "resnet34"),
    ]
    assert {len(row) for row in table.rows} == {len(table.header)}


def test_leaks_and_replicas_that_are_not_counted_are_said_with_the_table(records):
    for text in (paper_latex(records.summary), paper_markdown(records.summary)):
        assert "WARNING: split random (faulty" in text
        assert "seed 1 diverged" in text and "seed 2 pending" in text


def test_the_measure_that_was_asked_for_stands_in_the_table(records):
    summary = replace(records.summary, config=records.summary.config | {"metric": "log_loss"})
    table = comparison_table(summary)
    mean = summary.architectures["plain34"].measures["log_loss"].mean
    assert table.header[3] == "log loss (nats)" and table.rows[0][3].startswith(f"{mean:.3f} ± ")


def test_one_network_has_a_table_without_differences(tmp_path):
    make_run(tmp_path / "run", {"plain34": 0.5})
    assert comparison_table(read_run_records(tmp_path / "run").summary).header[-1] == "accuracy (%)"


@pytest.mark.parametrize("name", NAMES)
def test_names_are_text_in_markdown(name):
    # flax brings it, by rich.
    page = (
        MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
        .render(markdown(Table(["", "x"], [[name, "1"], ["b", "2"]]), is_text=True))
    )
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page, re.S)
    shown = cells[0].replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    assert len(cells) == 4 and shown == " ".join(name.split())
    assert markdown_text("a_b") == "a_b"


@pytest.mark.parametrize("name", NAMES)
def test_names_are_text_in_latex(name):
    row = latex(Table(["", "x"], [[name, "1"]])).splitlines()[4].strip()
    assert row == f"{latex_text(name)} & 1 \\\\"
    without_commands = re.sub(r"\\text\w+\{\}|\\[{}$&#%_]|\{\[\}|''", "", latex_text(name))
    assert not re.search(r"[\\{}$&#%_~^<>|\"\[\n]", without_commands)
    assert latex_text("−0.1 ± 2 – 50 %") == r"$-$0.1 $\pm$ 2 -- 50 \%"
