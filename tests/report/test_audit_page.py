"""The page of an audit: groups of copies with their pictures, and names that stay text."""

import re

import pytest

from resjax.records import CopyGroup, DatasetRecord, ExpectedLeak, Listed
from resjax.report.page.audit_page import audit_page
from tests.markup import Tags

NASTY = '<img src=x onerror="alert(1)">&.png'


@pytest.fixture
def record() -> DatasetRecord:
    names = ["<script>alert(1)</script>", "b"]
    groups = [
        CopyGroup(ids=[NASTY, "1"], contents=["0000", "0000"], labels=names, weakest_link=None),
        CopyGroup(ids=["2", "3"], contents=["0001", "0002"], labels=["b", "b"], weakest_link=0.91),
        CopyGroup(ids=["4", "5"], contents=["0003", "0003"], labels=["b", "b"], weakest_link=None),
    ]
    return DatasetRecord(
        name="csv:<b>",
        classes=dict.fromkeys(names, 3),
        images=6,
        distinct_contents=4,
        distinct_pictures=3,
        pictures_of_class=dict.fromkeys(names, 2),
        decoded=0,
        excluded=[Listed(id=NASTY, reason="unreadable", detail="<i>")],
        findings=[Listed(id=NASTY, reason="tiny", detail="1 x 1 <pixels>")],
        expected_leak=ExpectedLeak(val_fraction=0.5, exact=0.25, pictures=0.5),
        given_split=None,
        conflicts=[[NASTY, "1"]],
        groups=groups,
    )


def test_names_with_html_in_them_stay_text(record):
    pixel = "data:image/jpeg;base64,AAAA"
    page = Tags(audit_page(record, {"0000": pixel, "0001": pixel, "0002": "data:,"}, {"tiny": "kept"}))
    assert not {tag for tag, _ in page.tags} & {"script", "b", "i"}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert {attributes["src"][:5] for tag, attributes in page.tags if tag == "img"} == {"data:"}
    assert NASTY in page.text and "<script>alert(1)</script>" in page.text and "0.91" in page.text


def test_the_page_loads_nothing_and_counts_the_groups_that_it_does_not_show(record):
    page = audit_page(record, {"0000": "data:image/jpeg;base64,AAAA"}, {"tiny": "kept"})
    assert "default-src 'none'; img-src data:" in page
    assert not re.search(r"https?:|//|url\(|@import|<link|<script", page.split("</style>")[1])
    assert "2 groups are not shown here" in page and len(re.findall("<figure>", page)) == 1
