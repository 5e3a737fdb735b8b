"""From words on the command line to settings."""

import pytest

from experiments.options import parse_looks, parse_seeds
from experiments.progress import duration
from resjax.types import BadInput


@pytest.mark.parametrize(
    ("text", "seeds"), [("6", (0, 1, 2, 3, 4, 5)), ("0,3,7", (0, 3, 7)), ("3,", (3,)), ("1", (0,))]
)
def test_a_number_counts_seeds_and_a_list_names_them(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "0", "-2", "a", "1,1", "2,-1", "1.5"])
def test_other_seeds_are_refused_with_what_is_accepted(text):
    with pytest.raises(BadInput, match=r"--seeds=.*accepted"):
        parse_seeds(text)


@pytest.mark.parametrize(("seconds", "text"), [(8.4, "8 s"), (200, "3 min"), (7900, "2 h 12 min")])
def test_lengths_of_time_are_for_reading(seconds, text):
    assert duration(seconds) == text


def test_auto_is_judged_at_looks_that_are_fixed_beforehand():
    assert parse_looks("auto", 20) == (8, 12, 16, 20) and parse_looks("auto", 6) == (6,)
    assert parse_looks("6", 20) == ()
    with pytest.raises(BadInput, match="--max_seeds=5"):
        parse_looks("auto", 5)
