"""Networks that are not shown to be better than an answer without looking: one sentence, and none on confusions."""

import shlex

import numpy as np
import pytest
from msgspec.structs import replace

from resjax.cli import sweep as sweep_command
from resjax.cli.program import Command
from resjax.evaluation.comparison.chance import against_chance, blind_value
from resjax.evaluation.comparison.comparing import Evidence, compare_networks
from resjax.evaluation.comparison.measures import MEASURES
from resjax.evaluation.diagnosis.chance_rule import rate_sweep
from resjax.evaluation.diagnosis.diagnose import Replica, diagnose
from resjax.evaluation.metrics import confusion_matrix
from resjax.records import plain
from tests.commands import run_in_process
from tests.made_results import made_done
from tests.records.made import summary

CLASSES = ["bakso", "gado_gado", "nasi_goreng", "rendang", "soto_ayam"]


def answered(predicted, labels, classes, **more):
    """A replica that answers so."""
    matrix = confusion_matrix(predicted, labels, classes).tolist()
    logits = 3.0 * np.eye(classes)[predicted]
    return Replica(made_done(float((predicted == labels).mean()), matrix=matrix, **more), [], logits, labels)


def without_looking(right, labels, rng, classes=5):
    """Answers that do not depend on the image, mostly one class, of which so many are right."""
    while True:
        often = rng.integers(classes)
        predicted = np.where(rng.random(len(labels)) < 0.6, often, rng.integers(classes, size=len(labels)))
        if (predicted == labels).sum() == right:
            return answered(predicted, labels, classes)


def groups_of(labels):
    return np.arange(len(labels))


@pytest.fixture(scope="module")
def at_25_and_27():
    """Two networks with 25 and 27 % on 60 images of five classes, three seeds each."""
    labels, rng = np.repeat(np.arange(5), [15, 13, 12, 11, 9]), np.random.default_rng(0)
    return {
        "plain34": {seed: without_looking(right, labels, rng) for seed, right in enumerate((14, 15, 16))},
        "resnet34": {seed: without_looking(right, labels, rng) for seed, right in enumerate((15, 16, 17))},
    }, labels


def evidence_of(networks, labels, measure="accuracy"):
    known = {
        name: {seed: MEASURES[measure].contributions(each.logits, each.labels) for seed, each in of.items()}
        for name, of in networks.items()
    }
    return Evidence(known, groups_of(labels))


def diagnosed(networks, labels, config=None, classes=CLASSES):
    """All findings but those on confidences, which are as made up as the logits."""
    found = diagnose(networks, classes, summary().dataset, groups_of(labels), config).diagnosis
    return [each for each in found if each.kind != "calibration"]


def test_25_and_27_percent_on_five_classes_give_one_sentence_about_chance_and_none_about_classes(at_25_and_27):
    networks, labels = at_25_and_27
    config = {"epochs": 3, "learning_rate": 1e-3, "workdir": "runs/mine"}
    (found,) = diagnosed(networks, labels, config)
    assert found.kind == "at chance" and found.network is None
    assert "plain34 (25.0 %" in found.sentence and "resnet34 (26.7 %" in found.sentence
    assert "--epochs=" in found.sentence and rate_sweep({"learning_rate": 1e-3, "workdir": "runs/mine"}).split()[
        0:2
    ] == [
        "resjax",
        "sweep",
    ]
    assert found.evidence["networks"]["plain34"]["p_value"] > 0.05 == found.evidence["level"]


def test_the_verdict_names_the_networks_at_chance_before_its_sentence_is_made(at_25_and_27):
    networks, labels = at_25_and_27
    results = {name: {seed: each.result for seed, each in of.items()} for name, of in networks.items()}
    right = {seed: answered(labels, labels, 5) for seed in range(3)}
    results["good"] = {seed: each.result for seed, each in right.items()}
    evidence = evidence_of(networks | {"good": right}, labels)
    both, one = compare_networks(results, [("plain34", "resnet34"), ("plain34", "good")], evidence)
    assert both.not_above_chance == ["plain34", "resnet34"] and one.not_above_chance == ["plain34"]
    assert "plain34" in both.sentence.split("Inconclusive")[1] and plain(both)["not_above_chance"]
    (alone,) = compare_networks({"good": results["good"], "twin": results["good"]}, [("good", "twin")])
    assert not alone.not_above_chance


def test_the_p_value_is_that_of_the_interval_over_seeds_and_groups():
    # Two seeds, four pictures of two classes: seed 0 has all right, seed 1 the first two.
    results = {0: made_done(1.0, matrix=[[2, 0], [0, 2]]), 1: made_done(0.5, matrix=[[1, 1], [1, 1]])}
    right = {0: np.ones(4, bool), 1: np.array([True, True, False, False])}
    found = against_chance(results, "accuracy", right, np.arange(4))
    # By hand: A = 1/16. The pictures' means less 3/4 are 1/4, 1/4, -1/4, -1/4: B = 1/4 / 12. The rest is 1/4 in size
    # everywhere: C = 8/16 / 12 / 2 = B. So V = A, 3/4 is one standard error above 1/2, and Student's t with one degree
    # of freedom is above 1 in a quarter of all cases.
    assert found.p_value == pytest.approx(0.25)
    assert (found.mean, found.blind, found.is_above) == (0.75, 0.5, False)
    # All pictures but two are copies: then half the evidence is gone, and the seeds' part stays.
    copies = against_chance(results, "accuracy", right, np.array([0, 0, 1, 1]))
    assert copies.p_value >= found.p_value


def test_the_optimism_of_the_best_epoch_is_no_learning():
    rng = np.random.default_rng(0)
    right = {seed: rng.random(200) < 0.33 for seed in range(6)}
    for optimism, is_above in ((0.0, True), (0.1, False), (None, True)):
        # Five classes of 40 images: answers without looking are right on 20 %.
        results = {
            seed: made_done(float(each.mean()), matrix=(8 * np.ones((5, 5), int)).tolist(), best_optimism=optimism)
            for seed, each in right.items()
        }
        assert against_chance(results, "accuracy", right, np.arange(200)).is_above == is_above


def test_86_percent_by_always_answering_the_larger_class_is_not_learning():
    labels = np.repeat([0, 1], [86, 14])
    networks = {"plain34": {seed: answered(np.zeros(100, int), labels, 2) for seed in range(6)}}
    (found,) = diagnosed(networks, labels, {"epochs": 3}, ["common", "rare"])
    assert found.kind == "at chance" and found.network == "plain34"
    assert found.evidence["largest_class"] == "common" and found.evidence["largest_share"] == 0.86
    assert "--class_weights=balanced" in found.sentence and "--metric=balanced_accuracy" in found.sentence


def test_a_network_of_balanced_accuracy_is_measured_by_that():
    # Right on 80 % of both classes: less than the 86 % of always answering the larger class, and far above 1/2.
    labels = np.repeat([0, 1], [86, 14])
    predicted = np.where(np.arange(100) % 5 == 0, 1 - labels, labels)
    networks = {"plain34": {seed: answered(predicted, labels, 2) for seed in range(6)}}
    kinds = {
        metric: [each.kind for each in diagnosed(networks, labels, {"metric": metric}, ["common", "rare"])]
        for metric in ("accuracy", "balanced_accuracy", "macro_f1")
    }
    assert kinds["accuracy"] == ["at chance"] and "at chance" not in kinds["balanced_accuracy"] + kinds["macro_f1"]


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("accuracy", 0.75),
        ("balanced_accuracy", 0.5),
        ("macro_f1", 0.5),
        ("log_loss", -0.75 * np.log(0.75) - 0.25 * np.log(0.25)),
    ],
)
def test_the_best_answer_without_looking(measure, expected):
    assert blind_value(measure, np.array([30, 10])) == pytest.approx(expected)


def test_a_log_loss_has_to_be_below_the_entropy():
    labels = np.repeat([0, 1], 50)
    rng = np.random.default_rng(0)
    for sure, is_above in ((0.9, True), (0.5, False)):
        losses = {seed: -np.log(sure) + 0.01 * rng.normal(size=100) for seed in range(3)}
        done = made_done(0.5, matrix=[[50, 0], [0, 50]])
        results = {seed: replace(done, loss=float(each.mean())) for seed, each in losses.items()}
        assert against_chance(results, "log_loss", losses, groups_of(labels)).is_above == is_above


def test_one_seed_is_judged_over_its_images_and_not_doubted_for_being_one():
    labels, rng = np.repeat(np.arange(5), 12), np.random.default_rng(0)
    good = {"resnet34": {0: answered(labels, labels, 5)}}
    assert [each.kind for each in diagnosed(good, labels)] == []
    (found,) = diagnosed({"plain34": {0: without_looking(15, labels, rng)}}, labels)
    assert found.kind == "at chance" and found.evidence["networks"]["plain34"]["seeds"] == 1
    # Without predictions the share itself is all that is known.
    result = without_looking(15, labels, rng).result
    assert against_chance({0: result}, "accuracy").is_above
    assert not against_chance({0: without_looking(12, labels, rng).result}, "accuracy").is_above
    assert against_chance({}, "accuracy") is None


def test_copies_are_no_evidence_of_learning():
    # 60 images of six pictures, of which two are right: 20 of 60 would be more than chance, 2 of 6 is not.
    labels = np.repeat(np.arange(5), 12)
    results = {0: made_done(1 / 3, matrix=np.diag([12] * 5).tolist())}
    right = {0: np.arange(60) < 20}
    assert against_chance(results, "accuracy", right, groups_of(labels)).is_above
    assert not against_chance(results, "accuracy", right, np.arange(60) // 10).is_above


def test_the_suggested_sweep_is_one_that_sweep_takes():
    config = {
        **{"architectures": "plain20,resnet20", "dataset": "synthetic:80", "epochs": 2, "learning_rate": 1e-3},
        **{"augment": "flip,color:0.2,0.2,0.2,0.1", "seeds": "auto", "max_seeds": 20, "probes": "fast", "folds": None},
        **{"workdir": "runs/a b", "near_copies": True, "class_weights": "balanced", "metric": "accuracy"},
    }
    program, name, *flags = shlex.split(rate_sweep(config))
    assert (program, name) == ("resjax", "sweep") and "--workdir=runs/a b_learning_rates" in flags
    told = []
    command = Command(
        "sweep", "", lambda: told.append(sweep_command.sweep_settings()), sweep_command.COMMAND.definitions
    )
    assert run_in_process(command, *flags)[0] == 0
    assert [point.settings.recipe.learning_rate for point in told[0].points] == [1e-4, 3e-4, 1e-3, 3e-3, 1e-2]
    assert told[0].base.recipe.epochs == 2 and told[0].base.recipe.class_weights == "balanced"
