"""Which explanations a record of probes supports: by thresholds, over seeds, and openly where it cannot say."""

import re

import pytest

from resjax.evaluation.diagnosis.explanations import CLAIMS, explain, pairs_of
from resjax.records.run_records import read_run_records
from resjax.report.data_shapes import validate_data_record
from resjax.report.figures.probe_figures import embedded_figures, probe_figures
from resjax.report.page.run_page import report_page
from resjax.report.records import write_json
from tests.made_records import probes_record
from tests.made_run import make_run


def verdicts(**sizes) -> dict[str, str]:
    return {each["claim"].split(" ")[1]: each["verdict"] for each in probes_record(**sizes)["explanations"]}


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
    found = verdicts(plain=plain, residual=residual)
    assert (found["vanish"], found["explode"]) == (vanish, explode)


def test_with_fewer_than_three_seeds_nothing_is_said():
    record = probes_record(seeds=2)
    assert {each["verdict"] for each in record["explanations"]} == {"cannot say"}
    assert "support none" in record["paragraph"] and "leave it open" in record["paragraph"]


def test_the_paragraph_is_written_from_the_verdicts():
    record = probes_record()
    validate_data_record("probes", record)
    assert "the measurements support that gradients explode towards the input" in record["paragraph"]
    assert "do not support that gradients vanish" in record["paragraph"]
    assert "not causes" in record["paragraph"]
    (exploding,) = [each for each in record["explanations"] if "explode" in each["claim"]]
    assert "difference -1.5" in exploding["sentence"] and "3 seeds" in exploding["sentence"]
    assert "supported where the 95 % interval" in exploding["rule"] and "above 1" in exploding["rule"]


def test_arms_without_a_twin_are_measured_but_not_judged():
    record = probes_record()
    del record["arms"]["plain18"]
    explain(record)
    assert not record["explanations"] and not record["paragraph"] and pairs_of(record["arms"]) == []
    assert "resnet18" in record["probes"]["gradients"]["sentence"]


def test_every_claim_names_its_probe_and_a_threshold():
    assert all(claim.least > 0 and claim.sign in (1, -1) for claim in CLAIMS)


def test_the_report_shows_the_paragraph_the_sentences_and_the_pictures(tmp_path):
    workdir = make_run(tmp_path / "run", {"plain18": 0.5, "resnet18": 0.8}, seeds=(0, 1))
    assert "what the probes measured" not in report_page(read_run_records(workdir))
    record = probes_record()
    write_json(workdir / "probes.json", record)
    page = report_page(read_run_records(workdir))
    assert record["paragraph"] in page.replace("&#39;", "'")
    assert {f"probe_{name}" for name in embedded_figures(record)} == {name for name, _ in probe_figures(record)}
    assert page.count("data:image/png;base64") == 2
    assert page.count('class="heat"') == 2 and "diverged" in page
    assert not re.search(r">\s*(nan|None)\b", page)
