"""The table of architectures: its names, its twins, and what is refused."""

from dataclasses import FrozenInstanceError

import pytest

from resjax.models.architecture import ARCHITECTURES, SHORTCUTS, Architecture, architecture
from resjax.types import BadInput


def test_the_table_names_the_shortcut_and_the_depth():
    assert {name: (each.shortcut, each.depth) for name, each in ARCHITECTURES.items()} == {
        f"{family}{depth}{suffix}": (shortcut, depth)
        for depth in (18, 34)
        for family, suffix, shortcut in (
            ("plain", "", "none"),
            ("resnet", "", "project"),
            ("resnet", "_pad", "pad"),
            ("resnet", "_project_all", "project_all"),
        )
    }
    assert all(each.name == name for name, each in ARCHITECTURES.items())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_twin_is_the_tables_own_and_differs_by_the_shortcut_alone(name):
    described = ARCHITECTURES[name]
    for shortcut in SHORTCUTS:
        twin = described.twin(shortcut)
        assert twin == ARCHITECTURES[twin.name]
        assert twin.shortcut == shortcut and twin.blocks == described.blocks
        assert twin.twin(described.shortcut) == described


def test_a_twin_keeps_width_and_stem():
    assert architecture("resnet34", width=16, stem="cifar").twin("none") == architecture(
        "plain34", width=16, stem="cifar"
    )


def test_an_architecture_is_a_frozen_value():
    one, same = architecture("resnet18", width=8), architecture("resnet18", width=8)
    assert one == same and hash(one) == hash(same) and one != architecture("resnet18")
    with pytest.raises(FrozenInstanceError):
        one.width = 16


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(BadInput, match="'resnet43': did you mean .*resnet34") as error:
        architecture("resnet43")
    assert all(name in str(error.value) for name in ARCHITECTURES) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("shortcut", "zero"), ("stem", "mnist"), ("width", 0), ("width", -8), ("blocks", ()), ("blocks", (2, 0))],
)
def test_a_value_out_of_range_is_refused_in_one_line_that_names_it(field, value):
    with pytest.raises(BadInput) as error:
        architecture("resnet18", **{field: value})
    text = str(error.value)
    assert field in text and str(value) in text and "accepted" in text and "\n" not in text


def test_a_description_of_ones_own_is_checked_too():
    with pytest.raises(BadInput, match="width=0"):
        Architecture("own", (1, 1), "none", width=0)
