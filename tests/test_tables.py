"""What a person reads of a comparison on the terminal and in Markdown."""

import re

from resjax.report.page.tables import splits_markdown, splits_text
from tests.made_records import splits_record


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
