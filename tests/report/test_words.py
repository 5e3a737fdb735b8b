"""Numbers, intervals and tables as they are read."""

import pytest

from resjax.report import words
from resjax.report.tables import Table, in_columns, markdown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (words.percent(0.1234), "12.3 %"),
        (words.percent(None), "–"),
        (words.points(-0.0123), "−1.2"),
        (words.points(-0.0001), "0.0"),
        (words.points(None), "–"),
        (words.unsigned_points(-0.0123), "1.2"),
        (words.plain_points(-0.0001), "+0.0"),
        (words.points_interval((0.012, 0.034)), "+1.2 to +3.4"),
        (words.change(-0.25, "train_loss"), "−0.250"),
        (words.change_interval((-0.01, 0.02), "val_accuracy"), "−1.0 to +2.0"),
        (words.percent_interval((-0.1, 0.34)), "0 to 34 %"),
        (words.p_value(0.00005), "below 0.0001"),
        (words.p_value(0.0312), "0.031"),
        (words.quantity(3.656e9, "FLOP"), "3.66 GFLOP"),
        (words.counted(1, "seed"), "1 seed"),
        (words.counted(2000, "seed"), "2,000 seeds"),
        (words.listed(["a", "b", "c"]), "a, b and c"),
    ],
)
def test_a_number_is_written_as_it_is_read(text, expected):
    assert text == expected


def test_a_table_is_aligned_on_the_terminal_and_whole_in_markdown():
    table = Table(["", "best at", "accuracy"], [["plain34", "0.1", "41.9"], ["a", "0.001", "–"]], "by network")
    assert in_columns(table, names=2).splitlines() == [
        "by network",
        "         best at  accuracy",
        "plain34  0.1          41.9",
        "a        0.001           –",
    ]
    assert markdown(table).endswith("| --- | --- | --- |\n| plain34 | 0.1 | 41.9 |\n| a | 0.001 | – |")


@pytest.mark.parametrize("columns", [120, 79, 40, 24])
def test_a_table_fits_the_terminal_and_keeps_every_cell(columns):
    header = ["", "parameters", "val, best epoch", "val, last epoch", "train, last epoch"]
    table = Table(header, [[name, "173,165", "20.6 ± 4.2", "21.6 ± 4.2", "22.6 ± 4.2"] for name in ("plain34", "b")])
    lines = in_columns(table, most=columns).splitlines()
    assert max(map(len, lines)) <= columns
    cells = " ".join(lines).split()
    assert {"173,165", "20.6", "21.6", "22.6", "parameters", "train,"} <= set(cells)
    # Each part has the names again.
    assert sum(line.startswith("plain34") for line in lines) == "\n".join(lines).count("\n\n") + 1
