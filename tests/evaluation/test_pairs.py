"""Which networks are compared: by default what the shortcut does, and what is asked for otherwise."""

import pytest

from resjax.errors import BadInput
from resjax.evaluation.comparison.pairs import pairs_asked, undecidable

NETWORKS = ["plain20", "resnet20", "plain56", "resnet56", "se_resnet20"]
TWINS = [("plain20", "resnet20"), ("plain56", "resnet56")]


def test_by_default_each_residual_network_is_compared_with_its_twin_and_others_with_the_first():
    assert pairs_asked("twins", NETWORKS, TWINS) == [*TWINS, ("plain20", "se_resnet20")]
    assert pairs_asked("twins", ["resnet18", "resnet34"], []) == [("resnet18", "resnet34")]
    assert pairs_asked("twins", ["resnet20", "plain20"], [("plain20", "resnet20")]) == [("plain20", "resnet20")]
    assert pairs_asked("twins", ["plain20"], []) == []


def test_every_network_is_in_some_comparison():
    for rule in ("twins", "first", "all"):
        assert {name for pair in pairs_asked(rule, NETWORKS, TWINS) for name in pair} == set(NETWORKS)


def test_all_first_and_listed_pairs():
    assert len(pairs_asked("all", NETWORKS, TWINS)) == 10
    assert pairs_asked("first", NETWORKS, TWINS) == [("plain20", other) for other in NETWORKS[1:]]
    assert pairs_asked("resnet20:plain56", NETWORKS, TWINS) == [("resnet20", "plain56")]


@pytest.mark.parametrize("rule", ["plain20", "plain20:", "plain20:resnet110", "plain20:plain20", "none"])
def test_pairs_that_cannot_be_compared_are_refused(rule):
    with pytest.raises(BadInput, match="--comparisons"):
        pairs_asked(rule, NETWORKS, TWINS)


def test_three_comparisons_cannot_be_decided_with_six_seeds():
    # Six signs agree by chance in 2 of 64 cases, 0.031, and seven in 0.0156; three comparisons ask for 0.05 / 3.
    assert undecidable(1, 6, 0.05) == ""
    assert "7 seeds" in undecidable(3, 6, 0.05) and undecidable(3, 7, 0.05) == ""
