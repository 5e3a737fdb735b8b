"""The pages in a real browser, headless Chromium: nothing overlaps or is cut off, on phones, wide screens and paper.

With RESJAX_PICTURES=FOLDER every page that is measured is also saved there, as a picture and printed, for a person to
look at. With RESJAX_AXE=FILE, the file axe.min.js of axe-core, every page is checked for accessibility, too.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.browser import CHROMIUM, Browser, chromium

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (Debian's package: chromium)")

MEASURE = Path(__file__).with_name("measure.js").read_text(encoding="utf-8")
PICTURES, AXE = os.environ.get("RESJAX_PICTURES"), os.environ.get("RESJAX_AXE")
DESK, PHONE, PAPER = 1200, 390, 717
"""Pixels; paper is A4 within the margins that Chromium prints."""
ORDINARY = ("report", "reproduction", "audit", "sweep", "sweep_along")
"""The pages without names that are longer than a phone is wide."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


def measured(browser: Browser, page: Path, width: int, *, dark: bool = False, media: str = "") -> dict[str, Any]:
    browser.show(page, width, dark=dark, media=media)
    if PICTURES:
        name = f"{page.stem}_{media or width}{'_dark' if dark else ''}"
        browser.picture(Path(PICTURES) / f"{name}.png")
    return browser.run(MEASURE)


FAULTS = ("overlaps", "outside", "cut", "spilled", "covered", "faint", "small")
FAULTY = """<!doctype html><meta charset="utf-8"><style>
* { margin: 0 } body { font: 16px/20px sans-serif; background: #fff }</style>
<p>under</p><p style="margin-top: -15px">over</p>
<p style="white-space: nowrap; margin-top: 20px">wide <span style="margin-left: 2000px">out</span></p>
<p style="width: 1rem; overflow-wrap: anywhere; margin-top: 20px">divided</p>
<p style="width: 3rem; margin-top: 200px">--a_flag</p>
<ul><li style="width: 40px; height: 20px"><div class="heat" style="width: 90px; height: 10px"></div></li></ul>
<svg class="figure" viewBox="0 0 100 100" width="100" height="100"><text x="90" y="50" font-size="20">cut</text>
<text x="10" y="30" font-size="4">tiny</text><text x="10" y="80" font-size="10" fill="#eee">pale</text></svg>"""
"""A page with every fault that is looked for."""


def test_faults_are_found(browser, tmp_path):
    page = tmp_path / "faulty.html"
    page.write_text(FAULTY, encoding="utf-8")
    found = measured(browser, page, DESK)
    assert found["overlaps"] == ["under / over"] and found["outside"] == ["out"] and found["width"] > DESK
    assert found["split"] == ["divided", "--a_flag"] and found["spilled"] == ["heat"]
    assert found["cut"] == ["cut"] and found["small"] == ["tiny"] and found["faint"] == ["pale"]


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_no_text_overlaps_another_or_is_cut_off(pages, browser, width):
    for name, page in pages.items():
        found = measured(browser, page, width)
        assert found["width"] <= width, name
        assert {fault: found[fault] for fault in FAULTS if found[fault]} == {}, name
        if name in ORDINARY:
            assert found["split"] == [], name
        if name == "report" or width == DESK and name in ORDINARY:
            assert found["scrolled"] == [], name


def test_the_dark_mode_is_laid_out_as_the_light_one_and_is_dark(pages, browser):
    color = "getComputedStyle(document.body).backgroundColor"
    for name, page in pages.items():
        light = measured(browser, page, PHONE)
        light_color = browser.run(color)
        assert measured(browser, page, PHONE, dark=True) == light, name
        assert browser.run(color) != light_color, name


def test_paper_shows_what_a_screen_hides_and_has_no_dark_mode(pages, browser):
    for name, page in pages.items():
        found = measured(browser, page, PAPER, dark=True, media="print")
        assert found["closed"] == 0, name
        assert found["width"] <= PAPER, name
        assert {fault: found[fault] for fault in (*FAULTS, "scrolled") if found[fault]} == {}, name
        assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)", name
        if PICTURES:
            browser.printed(Path(PICTURES) / f"{name}.pdf")
        assert measured(browser, page, DESK)["closed"] >= (name == "report")


def test_matrices_stand_side_by_side_on_a_desk(pages, browser):
    browser.show(pages["report"], DESK)
    tops = browser.run("[...document.querySelectorAll('.matrix')].map(each => each.getBoundingClientRect().top)")
    assert len(tops) == 3 and len(set(tops)) == 1


def test_the_verdict_and_its_chart_share_the_width_of_a_desk(pages, browser):
    browser.show(pages["report"], DESK)
    columns = browser.run("getComputedStyle(document.querySelector('.pair')).gridTemplateColumns.split(' ').length")
    assert columns == 2


def test_nothing_is_asked_for_and_the_console_stays_empty(pages, browser):
    for name, page in pages.items():
        browser.show(page, DESK)
        requests = (
            "performance.getEntriesByType('resource').map(each => each.name).filter(name => !name.startsWith('data:'))"
        )
        assert browser.run(requests) == [], name
        # The made pictures are no pictures; anything else is a fault of the page.
        methods = [event["method"] for event in browser.events if "method" in event]
        assert not {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"} & set(methods), name


@pytest.mark.skipif(not AXE, reason="RESJAX_AXE names no axe.min.js")
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_no_accessibility_fault(pages, browser, dark):
    script = Path(AXE or "").read_text(encoding="utf-8")
    for name, page in pages.items():
        browser.show(page, DESK, dark=dark)
        browser.run(f"{script}; 0")
        faults = "axe.run().then(found => found.violations.map(each => `${each.id}: ${each.nodes[0].html}`))"
        assert browser.run(faults) == [], name
