"""Which explanations a record of probes supports: by thresholds, over seeds, and openly where it cannot say."""

import pytest
from msgspec.structs import replace

from resjax.evaluation.diagnosis.explanations import CLAIMS, explain, pairs_of
from resjax.records import Probes, from_plain, plain
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
    assert "supported if the 95 % interval" in exploding.rule and "above 1" in exploding.rule


def test_networks_without_a_twin_are_measured_but_not_judged():
    record = probes_record()
    record = explain(replace(record, networks={"resnet18": record.networks["resnet18"]}))
    assert not record.explanations and not record.paragraph and pairs_of(record.networks) == []
    assert "resnet18" in record.probes["gradients"].sentence


def test_every_claim_names_its_probe_and_a_threshold():
    assert all(claim.least > 0 and claim.sign in (1, -1) for claim in CLAIMS)
