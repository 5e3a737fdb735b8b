"""Words of a report are linked to what they mean, and nothing else of a text changes."""

import re

import pytest

from resjax.evaluation.diagnosis.rules import KINDS
from resjax.report.page.glossary import COMMON, RARE, Glossary
from tests.markup import text_of


def linked(markup: str) -> list[str]:
    return re.findall(r'<a class="word" href="#(.*?)"', markup)


def test_six_words_are_always_explained_and_rare_ones_where_they_are_used():
    glossary = Glossary()
    assert [word.name for word in glossary.entries()] == [word.name for word in COMMON] and len(COMMON) == 6
    glossary.link("A collapsed class of a faulty split.")
    names = [word.name for word in glossary.entries()[6:]]
    assert sorted(names) == ["collapsed class", "faulty split"]


def test_a_common_word_is_linked_once_and_a_rare_one_always():
    glossary = Glossary()
    first, second = (glossary.link("3 seeds, 2 leaks") for _ in range(2))
    assert linked(first) == ["word-seed", "word-leak"] and linked(second) == ["word-leak"]


@pytest.mark.parametrize(
    "text",
    [
        "<script>recall</script> & 'p' = \"x\"",
        "95 % interval over 6 seeds; p = 0.03",
        "gado_gado_seed and near-copies",
        "--test_fraction=0.2 keeps seeds/with_a_long_name_0001.png apart",
        "",
    ],
)
def test_a_text_keeps_its_words_and_stays_text(text):
    markup = Glossary().link(text)
    assert text_of(markup) == text
    assert set(re.findall(r"<(\w+)", markup)) <= {"a", "span", "wbr"}


def test_a_word_inside_of_a_name_is_not_linked():
    assert linked(Glossary().link("the classes seed_pod, leak-proof and pointsman")) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_finding_is_explained(kind):
    assert len(linked(Glossary().link(kind))) == 1


def test_each_meaning_is_short_and_each_entry_has_an_id_of_its_own():
    words = [*COMMON, *RARE]
    assert len({word.id for word in words}) == len(words)
    for word in words:
        assert re.fullmatch(r"[\w-]+", word.id) and word.meaning.endswith((".", "?")) and len(word.meaning) < 240
        assert re.fullmatch(word.forms, word.name.split(",")[0], re.I) or word.name in ("Holm", "p-value")


def test_lines_break_after_the_separators_of_long_names_and_never_inside_of_a_flag():
    markup = Glossary().link("--test_fraction=0.25 of learning_rate0.01_weight_decay0.5")
    assert '<span class="flag">--test_fraction</span>' in markup
    assert "learning_<wbr>rate0.01_<wbr>weight_<wbr>decay0.5" in markup


def test_a_page_of_few_words_explains_those_alone():
    glossary = Glossary()
    glossary.link("leaks and seeds")
    assert [word.name for word in glossary.linked()] == ["seed", "leak"]
