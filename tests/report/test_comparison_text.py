"""What a person reads of a comparison on the terminal and in Markdown."""

import re

import msgspec
import pytest

from resjax.records import Depth, DepthMeasure, Slope, Summary, Twins
from resjax.records.run_records import read_run_records
from resjax.report.comparison_text import (
    comparison_markdown,
    comparison_text,
    costs_line,
    depth_lines,
    diagnosis_text,
    plan,
    splits_markdown,
    splits_text,
)
from tests.made_records import comparison, described, splits_record
from tests.made_run import make_run


def test_splits_stand_side_by_side_with_their_parts_differences_and_warnings():
    text = splits_text(splits_record())
    assert re.search(r"^split .*val, best epoch .*val, leaked images +val, clean images$", text, re.M)
    assert re.search(r"^overlapping +a18 +90\.0 ± 2\.0 .* 95\.0 ± 2\.0 +65\.0 ± 2\.0$", text, re.M)
    assert re.search(r"^grouped +b18 +73\.0 ± 2\.0 .* - +-$", text, re.M)
    assert "random: b18 minus a18, val, best epoch: +3.0 points on average" in text
    warnings = [line for line in text.splitlines() if line.startswith("WARNING")]
    assert len(warnings) == 2
    assert "split overlapping (faulty: shown on purpose): 40 of 50 validation images (80 %)" in warnings[0]


def test_parts_are_those_of_test_where_there_is_one():
    assert "test, leaked images" in splits_text(splits_record(tested=True))


def test_folds_end_with_all_folds_together():
    text = splits_text(splits_record(folds=True))
    assert re.search(r"^all folds +a18 +60\.0 ± 2\.0 +55\.0 ± 2\.0 +-$", text, re.M)
    assert "all folds: b18 minus a18" in text and "WARNING" not in text


def test_the_same_table_in_markdown():
    text = splits_markdown(splits_record())
    assert "| random | a18 | 80.0 ± 2.0 |" in text and "* grouped: b18 minus a18" in text


@pytest.fixture(scope="module")
def summary(tmp_path_factory) -> Summary:
    workdir = make_run(
        tmp_path_factory.mktemp("text") / "run", {"plain18": 0.5, "resnet18": 0.8}, pending=[("plain18", 3)]
    )
    return read_run_records(workdir).summary


def test_networks_stand_side_by_side_with_what_was_not_counted_and_the_verdict(summary):
    text = comparison_text(summary)
    assert re.search(r"^plain18 +1,000 +\d\d\.\d ± \d\.\d", text, re.M)
    assert "not counted of plain18: seed 3 pending" in text and summary.comparisons[0].sentence in text
    table, below = comparison_markdown(summary).split("\n\n")
    majority, line = below.split("\n")
    assert majority in text and majority.count(" % ") == 1
    assert table.count("\n") == 3 and "| resnet18 | 1,000 |" in table
    assert line.startswith("resnet18 minus plain18, val, best epoch: +")
    assert diagnosis_text(summary) == ""


def test_costs_are_named_and_those_of_xla_where_they_are_known(summary):
    costs = summary.architectures["plain18"]
    assert costs_line("plain18", costs).endswith("0.036 GFLOP, 0.483 MB of activations")
    assert "(1.5 by XLA's count)" in costs_line("plain18", msgspec.structs.replace(costs, forward_flops_xla=1.5e9))


@pytest.mark.parametrize(("needed", "said"), [(7, "About 7 seeds"), (None, "More than 200 seeds")])
def test_the_plan_says_how_many_seeds_are_needed_and_what_some_would_find(summary, needed, said):
    pair = comparison("a", "b", [0.05, 0.08], detectable={6: 0.104, 8: None}, seeds_to_settle=needed)
    (line,) = plan(msgspec.structs.replace(summary, comparisons=[pair, comparison("a", "c", [])]))
    assert said in line and "10.4 points with 6 seeds" in line and "with 8" not in line and "+6.5 points" in line


def test_twins_by_depth_have_their_intervals_and_slopes():
    measure = DepthMeasure(
        by_depth=[described(0.02, 3)] * 2, slope=Slope(**msgspec.structs.asdict(described(0.01, 1)), p_value=None)
    )
    names = ("train_accuracy", "train_loss", "val_accuracy", "gap")
    twins = [Twins(depth=depth, baseline=f"plain{depth}", candidate=f"resnet{depth}") for depth in (20, 32)]
    family = Depth(twins=twins, seeds=[0, 1, 2], measures=dict.fromkeys(names, measure))
    text = "\n".join(depth_lines(family))
    assert re.search(r"^resnet32 minus plain32 +\+2\.00 \(-2\.97 to \+6\.97\) +\+0\.02 ", text, re.M)
    assert re.search(r"^per ten layers +\+1\.00 +\+0\.01 ", text, re.M)
    assert depth_lines(msgspec.structs.replace(family, seeds=[])) == []


def test_an_estimate_of_optimism_below_zero_is_no_pessimism(tmp_path):
    summary = read_run_records(make_run(tmp_path / "run", {"plain18": 0.5}, seeds=(0, 1))).summary
    network = summary.architectures["plain18"]
    for mean, said in ((-0.003, "0.0 points"), (0.012, "1.2 points")):
        changed = msgspec.structs.replace(network, best_optimism=described(mean, 2))
        text = comparison_text(msgspec.structs.replace(summary, architectures={"plain18": changed}))
        assert f"{said} (plain18)" in text and "-0.0" not in text
