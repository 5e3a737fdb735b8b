"""The table of architectures: its names, its twins, and what is refused."""

from dataclasses import FrozenInstanceError, replace

import pytest

from resjax.errors import BadInput
from resjax.models.architecture import ARCHITECTURES, SHORTCUTS, Architecture, architecture
from resjax.models.names import parse_name

STARTS_AT_ZERO = ("skipinit", "fixup", "zero_gamma", "stochastic_depth")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("plain18", {"depth": 18, "shortcut": "none", "block": "basic", "stem": "imagenet", "width": 64}),
        ("resnet34", {"depth": 34, "shortcut": "project", "blocks": (3, 4, 6, 3)}),
        ("resnet34_pad", {"shortcut": "pad"}),
        ("resnet34_project_all", {"shortcut": "project_all"}),
        ("resnet50", {"depth": 50, "block": "bottleneck", "blocks": (3, 4, 6, 3)}),
        ("resnet152", {"depth": 152, "block": "bottleneck", "stem": "imagenet"}),
        ("plain56", {"depth": 56, "blocks": (9, 9, 9), "stem": "cifar", "width": 16, "shortcut": "none"}),
        ("resnet56", {"depth": 56, "shortcut": "pad"}),
        ("resnet56_project", {"depth": 56, "shortcut": "project"}),
        ("resnet1202", {"depth": 1202, "blocks": (200, 200, 200)}),
        ("preact_resnet110", {"depth": 110, "preactivation": True}),
        ("preact_resnet164", {"depth": 164, "block": "bottleneck", "blocks": (18, 18, 18)}),
        ("se_resnet50", {"squeeze_excitation": 16, "block": "bottleneck"}),
        ("resnext101_64x4d", {"cardinality": 64, "base_width": 4, "depth": 101}),
        ("wide_resnet50_2", {"base_width": 128, "widening": 1, "depth": 50}),
        # The paper counts the three projections as layers.
        ("wide_resnet28_10", {"widening": 10, "blocks": (4, 4, 4), "preactivation": True, "width": 16, "depth": 26}),
        ("resnet50_gn", {"normalization": "group"}),
        ("resnet34_nonorm", {"normalization": "none"}),
        ("resnet34_skipinit", {"normalization": "skipinit"}),
        ("resnet50_zero_gamma", {"zero_gamma": True}),
        ("resnet110_stochastic_depth", {"stochastic_depth": 0.5}),
        ("se_preact_plain34_gn", {"shortcut": "none", "normalization": "group", "squeeze_excitation": 16}),
    ],
)
def test_a_name_says_what_the_field_means_by_it(name, fields):
    described = architecture(name)
    assert {field: getattr(described, field) for field in fields} == fields and described.name == name


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_name_of_the_table_is_read_and_written_alike(name):
    assert str(parse_name(name)) == name and ARCHITECTURES[name] == architecture(name)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_twin_is_the_named_one_and_differs_by_the_shortcut_alone(name):
    described = ARCHITECTURES[name]
    for shortcut in SHORTCUTS:
        if shortcut == "none" and any(option in name for option in STARTS_AT_ZERO):
            with pytest.raises(BadInput, match="without a shortcut.*expected"):
                described.with_shortcut("none")
            continue
        twin = described.with_shortcut(shortcut)
        assert twin == architecture(twin.name)
        assert replace(twin, name=name, shortcut=described.shortcut) == described and twin.shortcut == shortcut
        assert twin.with_shortcut(described.shortcut) == described
        assert ("plain" in twin.name) == (shortcut == "none")


def test_a_twin_keeps_width_and_stem():
    assert architecture("resnet34", width=16, stem="cifar").with_shortcut("none") == architecture(
        "plain34", width=16, stem="cifar"
    )


def test_an_architecture_is_a_frozen_value():
    one, same = architecture("resnet18", width=8), architecture("resnet18", width=8)
    assert one == same and hash(one) == hash(same) and one != architecture("resnet18")
    with pytest.raises(FrozenInstanceError):
        one.width = 16


def test_stochastic_depth_drops_later_blocks_more():
    rates = [place.drop_rate for place in architecture("resnet34_stochastic_depth").places()]
    assert rates == pytest.approx([0.5 * (block + 1) / 16 for block in range(16)])


def test_places_chain_from_stem_to_head():
    places = list(architecture("wide_resnet28_10").places())
    assert [place.outputs for place in places[::4]] == [160, 320, 640] and places[0].inputs == 16
    assert all(before.outputs == after.inputs for before, after in zip(places, places[1:], strict=False))
    assert [place.stride for place in places] == [1] * 4 + [2, 1, 1, 1] * 2
    assert [place.inner for place in architecture("resnext50_32x4d").places()][::6] == [128, 256, 512]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet43", "'resnet43': did you mean .*resnet34.*6n \\+ 2"),
        ("resnet33", "resnet34 or resnet32.*18, 34.*50, 101, 152"),
        ("plian34", "did you mean plain34"),
        ("resnext50", "resnext50_32x4d"),
        ("resnext34_32x4d", "resnext50_32x4d.*50, 101 and 152"),
        ("wide_resnet29_10", "wide_resnet28_10.*6n \\+ 4"),
        ("preact_wide_resnet28_10", "wide_resnet28_10"),
        ("resnet56_pad", "expected resnet56"),
        ("resnet50_gn_fixup", "names such as"),
        ("", "names such as plain34"),
    ],
)
def test_an_unknown_name_is_answered_with_the_near_ones(name, words):
    with pytest.raises(BadInput, match=words) as error:
        architecture(name)
    assert "\n" not in str(error.value) and "expected" in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("shortcut", "zero"), ("stem", "mnist"), ("width", 0), ("width", -8), ("blocks", ()), ("blocks", (2, 0))],
        *[("block", "wide"), ("normalization", "layer"), ("cardinality", 0), ("base_width", 0), ("widening", 0)],
        *[("squeeze_excitation", -1), ("stochastic_depth", 1.0), ("stochastic_depth", -0.1)],
    ],
)
def test_a_value_out_of_range_is_refused_in_one_line_that_names_it(field, value):
    with pytest.raises(BadInput) as error:
        architecture("resnet50", **{field: value})
    text = str(error.value)
    assert field in text and str(value).rstrip("0").rstrip(".") in text and "expected" in text and "\n" not in text


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("resnext50_32x4d", {"width": 8}, "--width=8: 0.5 channels a group.*multiple of 16"),
        ("resnet18", {"cardinality": 32}, "cardinality 32.*basic"),
        ("plain34", {"zero_gamma": True}, "zero_gamma without a shortcut"),
        ("plain34", {"stochastic_depth": 0.5}, "stochastic_depth without a shortcut"),
        ("plain34", {"normalization": "fixup"}, "'fixup' without a shortcut"),
        ("preact_resnet34", {"zero_gamma": True}, "zero_gamma with preactivation"),
        ("preact_resnet34", {"normalization": "fixup"}, "'fixup' with preactivation"),
        ("resnet34_skipinit", {"zero_gamma": True}, "zero_gamma with normalization 'skipinit'"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(name, fields, words):
    with pytest.raises(BadInput, match=words) as error:
        architecture(name, **fields)
    assert "expected" in str(error.value) and "\n" not in str(error.value)


def test_a_description_of_ones_own_is_checked_too():
    with pytest.raises(BadInput, match="width=0"):
        Architecture("own", (1, 1), "none", width=0)
