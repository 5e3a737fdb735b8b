"""Our statistics are those of statsmodels, by its committed numbers, and where they approximate they come close."""

from pathlib import Path

import pytest

from experiments.studies.references import References, cases, compare_all, references_table
from resjax.records import read_record

RESULTS = Path(__file__).parents[2] / "experiments" / "results" / "calibration"


def test_our_values_are_those_of_statsmodels():
    record = read_record(RESULTS / "references.json", References)
    ours = list(cases())
    assert [each.what for each in ours] == [each.what for each in record.cases]
    for case, each in zip(ours, record.cases, strict=True):
        assert case.ours == pytest.approx(each.ours, rel=1e-9)
        # Power is approximated to a point, and the smallest variances of clusters are corrected by n / (n - 1).
        assert each.ours == pytest.approx(each.theirs, **({"abs": 1e-6} if each.exact else {"rel": 0.03}))
    assert sum(each.exact for each in record.cases) >= 6


def test_the_page_has_the_committed_numbers():
    record = read_record(RESULTS / "references.json", References)
    assert references_table(record) in (RESULTS / "README.md").read_text()


def test_an_installed_statsmodels_says_the_same():
    pytest.importorskip("statsmodels")
    theirs = {each.what: each.theirs for each in compare_all().cases}
    for each in read_record(RESULTS / "references.json", References).cases:
        assert theirs[each.what] == pytest.approx(each.theirs, rel=1e-6)
