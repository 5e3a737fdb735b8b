"""The verdict on arrays of anybody's: the same numbers as a run's, in every form that results come in."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

import resjax
from resjax.evaluation.comparison.paired import Scores, paired_statistics
from resjax.evaluation.comparison.verdict import judged

RNG = np.random.default_rng(0)
QUICKSTART = Path(__file__).parents[2] / "experiments" / "results" / "quickstart"
LABELS = RNG.integers(0, 3, 90)
LOGITS = RNG.normal(size=(6, 90, 3))
BETTER = LOGITS + np.eye(3)[LABELS]
GROUPS = np.repeat(np.arange(45), 2)


def test_answers_give_what_a_run_would_say_of_them():
    right, more = ((logits.argmax(-1) == LABELS) for logits in (LOGITS, BETTER))
    differences = (more.mean(1) - right.mean(1)).tolist()
    scores = Scores(right, more, GROUPS)
    (wanted,) = judged([paired_statistics("plain", "residual", "accuracy", range(6), differences, scores)])
    names = ("plain", "residual")
    of_images = resjax.verdict(right, more, GROUPS, names=names)
    assert of_images.record == wanted and str(of_images) == wanted.sentence
    assert resjax.verdict(right.astype(int), more.astype(float), GROUPS, names=names) == of_images
    of_answers = resjax.verdict(LOGITS.argmax(-1), BETTER.argmax(-1), GROUPS, labels=LABELS, names=names)
    assert of_answers == of_images == resjax.verdict(LOGITS, BETTER, GROUPS, labels=LABELS, names=names)
    assert of_images.verdict == "candidate better" and of_images.p_value == 0.03125
    assert of_images.interval[0] < of_images.mean < of_images.interval[1]


def test_every_metric_is_that_of_scikit_learn_and_a_loss_is_better_if_it_is_smaller():
    found = resjax.verdict(LOGITS, BETTER, labels=LABELS, metric="macro_f1")
    by_seed = [
        f1_score(LABELS, b.argmax(1), average="macro") - f1_score(LABELS, a.argmax(1), average="macro")
        for a, b in zip(LOGITS, BETTER, strict=True)
    ]
    assert found.differences == pytest.approx(by_seed)
    loss = resjax.verdict(LOGITS, BETTER, labels=LABELS, metric="log_loss")
    assert loss.mean < 0 and loss.verdict == "candidate better"


def test_scores_alone_give_an_interval_over_seeds():
    found = resjax.verdict([0.60, 0.61, 0.62, 0.60, 0.59, 0.60], [0.61, 0.62, 0.63, 0.62, 0.60, 0.61])
    assert found.verdict == "candidate better" and "over seeds alone" in str(found)


def test_one_seed_has_no_interval_and_no_verdict_and_the_reason():
    found = resjax.verdict([0.6], [0.9])
    assert found.interval is None and found.verdict == "inconclusive" and "One seed" in str(found)


def test_several_comparisons_are_judged_together():
    networks = {"a": LOGITS, "b": BETTER, "c": LOGITS[:, :, ::-1]}
    results = resjax.verdicts(networks, labels=LABELS)
    assert [each.record.candidate for each in results] == ["b", "c"]
    assert results[0].p_value == 2 * 0.03125
    (alone,) = resjax.verdicts(networks, [("b", "a")], labels=LABELS)
    assert alone.p_value == 0.03125 and alone.verdict == "baseline better"


def test_equivalence_and_power():
    same = resjax.verdict([0.60, 0.61, 0.62, 0.60, 0.59, 0.60], [0.601, 0.609, 0.62, 0.601, 0.59, 0.6], margin=0.02)
    assert same.verdict == "equivalent" and same.equivalence_p_value == 1 / 64
    found = resjax.verdict(LOGITS, LOGITS + 0.1 * np.eye(3)[LABELS], labels=LABELS)
    assert found.smallest_detectable() == found.smallest_detectable(6) > found.smallest_detectable(20)


def test_a_result_becomes_json_and_a_picture(tmp_path):
    found = resjax.verdict(LOGITS, BETTER, labels=LABELS)
    assert json.loads(json.dumps(found.to_dict()))["verdict"] == found.verdict
    assert found.draw(tmp_path / "verdict.png").read_bytes().startswith(b"\x89PNG")
    assert found.draw(tmp_path / "verdict.svg").read_text().count("seed 5")
    with pytest.raises(resjax.BadInput, match="png or .svg"):
        found.draw(tmp_path / "verdict.pdf")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (dict(baseline=LOGITS, candidate=BETTER), "labels"),
        (dict(baseline=LOGITS[:5], candidate=BETTER, labels=LABELS), "baseline 5, candidate 6"),
        (dict(baseline=LOGITS, candidate=BETTER, labels=LABELS[:80]), "80"),
        (dict(baseline=LOGITS[:, :80], candidate=BETTER, labels=LABELS), "baseline"),
        (dict(baseline=LOGITS.argmax(-1), candidate=BETTER.argmax(-1), labels=LABELS, metric="log_loss"), "logits"),
        (dict(baseline=LOGITS, candidate=BETTER, labels=LABELS, metric="f1"), "macro_f1"),
        (dict(baseline=LOGITS, candidate=BETTER, labels=LABELS, margin=0), "margin"),
        (dict(baseline=LOGITS, candidate=BETTER, labels=LABELS, margin=1.5), "0.015"),
        (dict(baseline=LOGITS, candidate=BETTER, labels=LABELS - 1), "labels"),
        (dict(baseline=LOGITS, candidate=BETTER, labels=LABELS, groups=[0, 1]), "groups"),
        (dict(baseline=[0.1, 0.2], candidate=[0.1, float("nan")]), "candidate"),
        (dict(baseline=["a", "b"], candidate=["b", "c"]), "baseline"),
        (dict(baseline=[0.1, 0.2], candidate=[0.1, 0.2], groups=[0, 1]), "groups"),
        (dict(baseline=[0.1, 0.2], candidate=[0.1, 0.2], seeds=[0]), "seeds"),
        (dict(baseline=LOGITS[:, :2, :], candidate=BETTER[:, :2, :], labels=[0, 1], metric="macro_f1"), "macro_f1"),
    ],
)
def test_results_that_cannot_be_judged_are_refused_in_a_line(arguments, named):
    with pytest.raises(resjax.BadInput, match=named) as raised:
        resjax.verdict(**arguments)
    assert "\n" not in str(raised.value)


def test_the_verdict_and_a_run_that_is_loaded_import_neither_jax_nor_flax():
    code = f"""
import sys, numpy as np, resjax
resjax.verdict(np.ones((6, 4), bool), np.ones((6, 4), bool))
run = resjax.load_run("{QUICKSTART}")
assert run.judge("macro_f1") and run.to_latex() and run.to_csv() and run.to_markdown()
print([name for name in ("jax", "flax", "torch") if name in sys.modules])
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "[]\n"
