"""Twins are found by what they are: the same architecture with and without the shortcut."""

from dataclasses import replace

import pytest

from resjax.models.architecture import ARCHITECTURES, Architecture, architecture
from resjax.models.twins import Twins, families_of_twins, pairs_of_one_depth, plain_twin, twins_among

pytestmark = pytest.mark.smoke


def named(*names: str) -> list[Architecture]:
    return [architecture(name) for name in names]


@pytest.mark.parametrize(
    ("residual", "plain"),
    [
        ("resnet34", "plain34"),
        ("resnet34_pad", "plain34"),
        ("se_preact_resnet34", "se_preact_plain34"),
        ("resnext50_32x4d", "plainnext50_32x4d"),
        ("plain34", "plain34"),
        *[(f"resnet34_{suffix}", None) for suffix in ("skipinit", "fixup", "zero_gamma", "stochastic_depth")],
    ],
)
def test_the_plain_twin_lacks_the_shortcut_alone(residual, plain):
    described = architecture(residual, width=16, stem="cifar")
    assert plain_twin(described) == (plain and architecture(plain, width=16, stem="cifar"))


def test_every_network_of_the_table_has_its_plain_twin_in_the_table():
    twins = [plain_twin(described) for described in ARCHITECTURES.values()]
    assert all(twin is None or ARCHITECTURES[twin.name] == twin for twin in twins)


def test_twins_among_others_differ_in_the_shortcut_alone():
    names = "plain20", "resnet20", "resnet8", "plain8", "preact_resnet20", "resnet20_project", "resnet20_skipinit"
    assert twins_among(named(*names)) == [
        Twins(20, "plain20", "resnet20"),
        Twins(8, "plain8", "resnet8"),
        Twins(20, "plain20", "resnet20_project"),
    ]
    plain, residual = named("plain20", "resnet20")
    assert twins_among([plain, replace(residual, width=8)]) == []


def test_architectures_of_ones_own_are_twins_whatever_their_names_are():
    mine, other = Architecture("mine", (1, 1), "pad"), Architecture("other", (1, 1), "none")
    assert twins_among([mine, other]) == [Twins(6, "other", "mine")]


def test_a_family_differs_in_its_depth_alone():
    names = "plain20", "resnet20", "se_resnet32", "resnet32", "plain32", "resnet32_project", "plain34", "resnet34"
    assert families_of_twins(named(*names)) == [
        [Twins(20, "plain20", "resnet20"), Twins(32, "plain32", "resnet32")],
        [Twins(32, "plain32", "resnet32_project")],
        [Twins(34, "plain34", "resnet34")],
    ]
    # Basic and bottleneck blocks are two families.
    assert len(families_of_twins(named("plain34", "resnet34", "plain50", "resnet50"))) == 2


def test_pairs_of_one_depth_need_not_be_twins():
    names = "plain34", "resnet34", "preact_resnet34", "resnet18", "se_resnet34"
    pairs = [("plain34", name) for name in ("resnet34", "preact_resnet34", "se_resnet34")]
    assert pairs_of_one_depth(named(*names)) == pairs
