"""Which explanations a record of probes supports: by thresholds, over seeds, and openly where it cannot say."""

import numpy as np
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from resjax.evaluation.diagnosis.explanations import CLAIMS, explain, twins_of
from resjax.records import Measurement, Probes, Twins, from_plain, plain
from tests.made_records import probes_record


def verdicts(**sizes) -> dict[str, str]:
    return {each.claim.split(" ")[1]: each.verdict for each in probes_record(**sizes).explanations}


@pytest.mark.parametrize(
    ("plain", "residual", "vanish", "explode"),
    [
        (2.0, 0.5, "not supported", "supported"),
        (-2.0, -0.5, "supported", "not supported"),
        (0.5, 0.4, "not supported", "not supported"),
        (2.0, 1.9, "not supported", "not supported"),
    ],
)
def test_gradients_that_vanish_or_explode_are_told_apart(plain, residual, vanish, explode):
    found = verdicts(plain_decades=plain, residual_decades=residual)
    assert (found["vanish"], found["explode"]) == (vanish, explode)


def test_with_fewer_than_three_seeds_nothing_is_said():
    record = probes_record(seeds=2)
    assert {each.verdict for each in record.explanations} == {"cannot say"}
    assert "support none" in record.paragraph and "leave it open" in record.paragraph


def test_the_paragraph_is_written_from_the_verdicts():
    record = probes_record()
    assert from_plain(plain(record), Probes, "made") == record
    assert "the measurements support that gradients explode towards the input" in record.paragraph
    assert "do not support that gradients vanish" in record.paragraph
    assert "not causes" in record.paragraph
    (exploding,) = [each for each in record.explanations if "explode" in each.claim]
    assert "difference -1.5" in exploding.sentence and "3 seeds" in exploding.sentence
    assert "above 1" in exploding.rule and "3 judged claims" in exploding.rule


def test_networks_without_a_twin_are_measured_but_not_judged():
    record = probes_record()
    record = explain(replace(record, networks={"resnet18": record.networks["resnet18"]}))
    assert not record.explanations and not record.paragraph and twins_of(record) == []
    assert "resnet18" in record.probes["gradients"].sentence


def test_every_claim_names_its_probe_and_a_threshold():
    assert all(claim.least > 0 and claim.sign in (1, -1) for claim in CLAIMS)


def measured_decades(network: str, decades: tuple[float, ...]) -> list[Measurement]:
    """Gradients before training that grow by so many decades towards the input, one a seed."""
    return [
        Measurement(network=network, seed=seed, at="init", epoch=0, values={"block_inputs": [10**each, 1.0]})
        for seed, each in enumerate(decades)
    ]


def record_of_gradients(**decades: tuple[float, ...]) -> Probes:
    """A record of the gradients alone; names of networks give their shortcut."""
    made = probes_record()
    of_network = {"none": made.networks["plain18"], "project": made.networks["resnet18"]}
    gradients = replace(
        made.probes["gradients"], measurements=sum((measured_decades(*each) for each in decades.items()), [])
    )
    return replace(
        made,
        networks={name: of_network["none" if name.startswith("plain") else "project"] for name in decades},
        probes={"gradients": gradients},
    )


def test_the_interval_of_a_claim_holds_together_with_those_of_all_others():
    """By hand: the differences -0.4, -0.5, -0.9 have mean -0.6 and standard error sqrt(0.07 / 3) = 0.1528.

    Student's t of two degrees is 4.3027 for one claim (97.5 %) and 6.2053 for two (98.75 %).
    """
    plain = (2.0, 2.0, 2.0)
    pair = {"plain20": plain, "resnet20": (1.6, 1.5, 1.1)}
    two = explain(record_of_gradients(**pair)).explanations
    ends = -0.6 - 6.2053 * 0.15275, -0.6 + 6.2053 * 0.15275
    for each in two:
        assert each.interval and each.ci95
        np.testing.assert_allclose(each.interval, ends, atol=1e-4)
        np.testing.assert_allclose(each.ci95, (-0.6 - 4.3027 * 0.15275, -0.6 + 4.3027 * 0.15275), atol=1e-4)
    # Alone its interval would end at 0.057, so even one claim is open here; certain ones stay.
    assert [each.verdict for each in two] == ["not supported", "cannot say"]
    assert {each.claims for each in two} == {2}


def test_a_claim_that_is_certain_alone_can_be_open_among_several():
    """By hand: -0.6, -0.7, -0.8 have standard error 0.057735: -0.7 + 4.3027 * 0.0577 = -0.45 for one claim.

    With 36 claims Student's t is 26.81 (99.93 %), and the interval ends at +0.85.
    """
    pair = {"plain20": (2.0, 2.0, 2.0), "resnet20": (1.4, 1.3, 1.2)}
    (_, alone) = explain(record_of_gradients(**pair)).explanations
    assert alone.verdict == "supported" and alone.interval and alone.interval[1] < 0
    record = record_of_gradients(**pair)
    (_, among) = explain(
        replace(record, twins=[Twins(depth=20, baseline="plain20", candidate="resnet20")] * 18)
    ).explanations[:2]
    assert among.claims == 36 and among.verdict == "cannot say" and among.interval
    np.testing.assert_allclose(among.interval[1], 0.85, atol=0.01)


def test_each_depth_is_judged_against_its_own_twin():
    decades = {
        "plain20": (2.0, 2.01, 2.02),
        "resnet20": (1.9, 1.91, 1.92),
        "plain56": (6.0, 6.01, 6.02),
        "resnet56": (1.0, 1.01, 1.02),
    }
    twins = [Twins(depth=depth, baseline=f"plain{depth}", candidate=f"resnet{depth}") for depth in (20, 56)]
    record = replace(record_of_gradients(**decades), twins=twins)
    found = [each for each in explain(record).explanations if "explode" in each.claim]
    assert [(each.depth, each.baseline, each.candidate) for each in found] == [
        (20, "plain20", "resnet20"),
        (56, "plain56", "resnet56"),
    ]
    assert [each.verdict for each in found] == ["not supported", "supported"]
    assert {each.claims for each in found} == {4}


def test_an_older_record_pairs_networks_of_the_same_blocks():
    record = record_of_gradients(plain20=(2.0,), resnet20=(1.0,), plain56=(2.0,), resnet56=(1.0,))
    assert record.twins is UNSET
    deeper = {
        name: replace(record.networks[name], blocks=record.networks[name].blocks * 3)
        for name in ("plain56", "resnet56")
    }
    pairs = twins_of(replace(record, networks=record.networks | deeper))
    assert [(each.baseline, each.candidate) for each in pairs] == [("plain20", "resnet20"), ("plain56", "resnet56")]


def test_claims_without_enough_seeds_do_not_count():
    record = record_of_gradients(plain20=(2.0, 2.0, 2.0), resnet20=(1.0, 1.0, 1.0), plain56=(2.0,), resnet56=(1.0,))
    twins = [Twins(depth=depth, baseline=f"plain{depth}", candidate=f"resnet{depth}") for depth in (20, 56)]
    found = explain(replace(record, twins=twins)).explanations
    assert {each.claims for each in found} == {2} and {each.verdict for each in found[2:]} == {"cannot say"}
