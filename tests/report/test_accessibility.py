"""Everybody can read the pages: sound HTML, names for what cannot be seen, headings in order, colours that stand out.

These checks need no browser. With one, and with axe-core, tests/report/test_browser.py checks more.
"""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from resjax.report.page.html import TEMPLATES

EMPTY = {"br", "img", "meta", "wbr", "input", "hr", "link"}
KINDS = ("report", "long_names", "sweep", "sweep_along", "reproduction", "audit")
TEXT, GRAPHICS = 4.5, 3.0
"""The least contrasts of WCAG 2.2 (AA): of text, and of the marks of figures."""


class Elements(HTMLParser):
    """The elements of a page in order, each with its attributes and the elements that it lies in."""

    def __init__(self, page: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str], tuple[str, ...]]] = []
        self.open: list[str] = []
        self.words: dict[int, str] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}, tuple(self.open)))
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice: {tag} {attrs}"
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}, tuple(self.open)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self.found:
            self.words[len(self.found) - 1] = self.words.get(len(self.found) - 1, "") + data

    def all(self, *tags: str) -> list[tuple[str, dict[str, str], tuple[str, ...]]]:
        return [each for each in self.found if each[0] in tags]


@pytest.fixture(params=KINDS)
def elements(pages: dict[str, Path], request: pytest.FixtureRequest) -> Elements:
    return Elements(pages[request.param].read_text(encoding="utf-8"))


def test_elements_are_closed_in_order_and_ids_are_unique(elements):
    assert elements.open == []
    ids = Counter(attributes["id"] for _, attributes, _ in elements.found if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    targets = {attributes["href"][1:] for _, attributes, _ in elements.all("a") if attributes["href"].startswith("#")}
    assert targets <= set(ids)


def test_block_elements_lie_where_html_allows_them(elements):
    for tag, _, inside in elements.found:
        if tag in ("p", "div", "ul", "ol", "dl", "table", "figure", "h1", "h2", "h3", "section", "details", "pre"):
            assert not {"p", "h1", "h2", "h3", "span", "strong", "a", "summary"} & set(inside), (tag, inside)
    for tag, parents in {
        "li": {"ul", "ol"},
        "tr": {"thead", "tbody"},
        "dt": {"dl", "div"},
        "dd": {"dl", "div"},
    }.items():
        assert all(inside[-1] in parents for _, _, inside in elements.all(tag))
    assert all("a" not in inside for _, _, inside in elements.all("a"))


def test_the_page_has_a_language_a_title_and_one_main_part(elements):
    assert elements.all("html")[0][1]["lang"] == "en"
    assert len(elements.all("title")) == len(elements.all("main")) == len(elements.all("h1")) == 1


def test_headings_follow_each_other_without_a_gap(elements):
    levels = [int(tag[1]) for tag, _, _ in elements.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert all(level <= before + 1 for before, level in zip(levels, levels[1:], strict=False))


def test_what_is_seen_is_also_said(elements):
    assert all(attributes["alt"].strip() for _, attributes, _ in elements.all("img"))
    for _, attributes, _ in elements.all("svg"):
        assert attributes.get("aria-hidden") == "true" or (attributes["role"] == "img" and attributes["aria-label"])
    # A mark of a network stands beside the name.
    marks = [attributes for _, attributes, _ in elements.all("span") if attributes.get("class", "").startswith("mark")]
    assert all(attributes["aria-hidden"] == "true" for attributes in marks)


def test_regions_have_names_of_their_own_and_can_be_scrolled_by_keys(elements):
    regions = [attributes for _, attributes, _ in elements.found if attributes.get("role") == "region"]
    names = Counter(attributes["aria-label"].strip() for attributes in regions)
    assert [name for name, count in names.items() if count > 1 or not name] == []
    assert all(attributes["tabindex"] == "0" for attributes in regions)


def test_heads_of_tables_say_what_they_head(elements):
    for _, attributes, inside in elements.all("th"):
        assert attributes["scope"] == ("col" if "thead" in inside else "row")
    for place, (tag, _, _) in enumerate(elements.found):
        if tag in ("th", "summary", "h1", "h2", "h3", "caption"):
            following = range(place, min(place + 4, len(elements.found)))
            assert any(elements.words.get(each, "").strip() for each in following), f"an empty {tag}"


STYLE = (TEMPLATES / "base.html").read_text(encoding="utf-8")


def colors(dark: bool) -> dict[str, str]:
    """The colours of a mode by name; the dark mode redefines those of the light one."""
    light, after = STYLE.split("@media screen and (prefers-color-scheme: dark)")
    part = after[: after.index("} }")] if dark else light
    return dict(re.findall(r"--([\w-]+): ([^;]+?)\s*;", part))


def rgb(color: str) -> list[float]:
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    return [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]


def contrast(one: list[float], other: list[float]) -> float:
    """The contrast ratio of two colours (WCAG 2.2, definitions of relative luminance and contrast ratio)."""

    def luminance(color: list[float]) -> float:
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula_of_contrast_is_that_of_wcag():
    assert contrast(rgb("#000"), rgb("#fff")) == pytest.approx(21)
    assert contrast(rgb("#777777"), rgb("#ffffff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("dark", [False, True])
def test_texts_and_marks_stand_out_from_what_is_behind_them(dark):
    found = colors(dark)
    for pair in ("text page", "text card", "quiet page", "quiet card", "warn page", "warn warn-card", "link page"):
        front, back = pair.split()
        assert contrast(rgb(found[front]), rgb(found[back])) >= TEXT, (front, back)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("network", range(6))
def test_networks_and_the_darkest_cells_of_their_matrices_stand_out(dark, network):
    found = colors(dark)
    color, page = rgb(found[f"network{network}"]), rgb(found["page"])
    assert contrast(color, page) >= GRAPHICS
    share = float(found["shade"].rstrip("%")) / 100
    cell = [share * front + (1 - share) * back for front, back in zip(color, page, strict=True)]
    assert contrast(rgb(found["text"]), cell) >= TEXT
