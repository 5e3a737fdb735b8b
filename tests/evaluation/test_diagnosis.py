"""Each rule speaks where its evidence is, is silent where it is not, and reads the first exercise's own results."""

import json

import numpy as np
import pytest
from msgspec.structs import replace
from scipy import stats

from resjax.evaluation.comparison.statistics.describing import wilson
from resjax.evaluation.diagnosis.class_rules import collapsed_classes, confused_pairs, gains_and_losses
from resjax.evaluation.diagnosis.class_table import class_differences
from resjax.evaluation.diagnosis.diagnose import Replica, diagnose
from resjax.evaluation.diagnosis.history_rules import instability, over_fitting, under_training
from resjax.evaluation.diagnosis.reliability import miscalibration, pooled_reliability, reliability
from resjax.evaluation.diagnosis.rules import KINDS
from resjax.records import PartScores, plain
from tests.made_results import made_diverged, made_done, made_line
from tests.records.made import summary

CLASSES = ["bakso", "gado_gado", "nasi_goreng", "rendang", "soto_ayam"]
# The first exercise's best epochs: rows true, columns predicted.
PLAIN = np.array([[41, 1, 9, 0, 3], [19, 8, 15, 0, 6], [1, 2, 54, 1, 1], [0, 2, 33, 10, 0], [24, 6, 7, 0, 2]])
RESIDUAL = np.array([[21, 5, 3, 2, 23], [2, 4, 11, 1, 30], [0, 1, 52, 4, 2], [0, 0, 10, 35, 0], [1, 2, 4, 0, 32]])
PICTURES = PLAIN.sum(1).astype(float)


def history(val_loss, train_loss, val_accuracy=None, train_accuracy=None):
    epochs = len(val_loss)
    val_accuracy = np.full(epochs, 0.5) if val_accuracy is None else val_accuracy
    train_accuracy = val_accuracy if train_accuracy is None else train_accuracy
    columns = [map(float, row) for row in zip(val_loss, train_loss, val_accuracy, train_accuracy, strict=True)]
    return [
        made_line(val_accuracy, epoch, val_loss=val_loss, train_loss=train_loss, train_accuracy=train_accuracy)
        for epoch, (val_loss, train_loss, val_accuracy, train_accuracy) in enumerate(columns, start=1)
    ]


def falling_then_rising(turn=20, epochs=40):
    epoch = np.arange(1, epochs + 1)
    return history(0.8 + 0.02 * np.abs(epoch - turn), 2 * np.exp(-epoch / 12))


def test_over_fitting_is_found_with_the_epoch_where_it_starts():
    found = over_fitting("plain34", {0: falling_then_rising(20)})
    assert found.evidence["epoch"] == 20 and found.sentence.startswith("plain34 over-fits from epoch 20 on: ")


def test_over_fitting_takes_half_of_the_seeds_and_a_training_loss_that_falls():
    healthy = history(np.linspace(2, 1, 40), np.linspace(2, 1, 40))
    assert over_fitting("a", {0: healthy}) is None
    found = over_fitting("a", {0: falling_then_rising(18), 1: falling_then_rising(22), 2: healthy})
    assert found.evidence["epoch"] == 20 and "in 2 of 3 seeds" in found.sentence
    assert over_fitting("a", {0: falling_then_rising(), 1: healthy, 2: healthy}) is None
    stuck = history([line.val_loss for line in falling_then_rising()], np.ones(40))
    assert over_fitting("a", {0: stuck}) is None


def test_one_noisy_epoch_or_a_short_history_is_no_over_fitting():
    spike = history([1, 0.9, 0.8, 0.75, 0.7, 0.65, 0.6, 2.0], np.linspace(1, 0.3, 8))
    assert over_fitting("a", {0: spike}) is None
    assert over_fitting("a", {0: history([1, 2], [1, 0.5]), 1: []}) is None


def test_an_unsteady_validation_is_told_from_noise_of_few_images():
    jumping = history(np.ones(12), np.ones(12), [0.5, 0.7] * 6)
    found = instability("a", {0: jumping}, 240)
    assert found.evidence["largest_fall"] == pytest.approx(0.2) and "up to 20 points" in found.sentence
    assert instability("a", {0: jumping}, 20) is None
    assert instability("a", {0: history(np.ones(12), np.ones(12), np.linspace(0.2, 0.9, 12))}, 240) is None


def test_training_that_stopped_early_is_told_from_one_that_levelled_off():
    rising = history(np.linspace(2, 1, 12), np.linspace(2, 1, 12), np.linspace(0.2, 0.7, 12))
    assert under_training("a", {0: rising}).evidence["gain"] == pytest.approx(0.5 / 11 * 3)
    level = history(np.linspace(2, 1, 12), np.linspace(2, 1, 12), 0.7 - 0.5 * np.exp(-np.arange(12)))
    assert under_training("a", {0: level}) is None


def test_plain34_of_the_first_exercise_lost_soto_ayam_to_bakso():
    (found,) = collapsed_classes("plain34", {0: PLAIN}, CLASSES, PICTURES)
    assert found.sentence == (
        "plain34 lost soto_ayam: 2 of 39 images right, recall 5 %, 24 predicted as bakso, 7 as nasi_goreng."
    )


def test_a_class_that_is_lost_in_half_of_the_seeds_is_named_with_shares():
    (found,) = collapsed_classes("plain34", {0: PLAIN, 1: RESIDUAL[::-1, ::-1], 2: PLAIN, 3: PLAIN}, CLASSES, PICTURES)
    assert found.sentence == (
        "plain34 lost soto_ayam in 3 of 4 seeds: recall 5 %, 62 % predicted as bakso, 18 % as nasi_goreng."
    )


def test_resnet34_of_the_first_exercise_takes_gado_gado_and_bakso_for_soto_ayam():
    found = confused_pairs("resnet34", {0: RESIDUAL}, CLASSES, PICTURES)
    pairs = [(pair["true"], pair["predicted"]) for pair in found.evidence["pairs"]]
    assert pairs[:2] == [("gado_gado", "soto_ayam"), ("bakso", "soto_ayam")]
    assert "gado_gado as soto_ayam (62 % of its images)" in found.sentence


def test_few_pictures_are_no_evidence_of_a_lost_class():
    lost, classes = np.array([[0, 24], [0, 50]]), ["x", "y"]
    assert len(collapsed_classes("a", {0: lost}, classes, np.array([12.0, 50]))) == 1
    # The same 24 images of eleven pictures.
    assert collapsed_classes("a", {0: lost}, classes, np.array([11.0, 50])) == []


def test_few_pictures_are_no_evidence_of_a_confused_pair():
    confused, classes = np.array([[10, 10], [0, 50]]), ["x", "y"]
    assert confused_pairs("a", {0: confused}, classes, np.array([10.0, 50])) is not None
    assert confused_pairs("a", {0: confused}, classes, np.array([9.0, 50])) is None


def test_a_class_that_nobody_holds_has_no_share_and_no_sentence():
    empty = np.array([[0, 0], [0, 30]])
    described = class_differences({0: empty}, {0: empty}, ["x", "y"])
    assert described["x"].difference is None and described["x"].interval is None
    assert gains_and_losses("a", "b", described) == []
    assert collapsed_classes("a", {0: empty}, ["x", "y"], np.array([0.0, 30])) == []


def test_wilsons_interval_is_that_of_scipy():
    expected = stats.binomtest(8, 48).proportion_ci(method="wilson")
    assert wilson(8, 48) == pytest.approx((expected.low, expected.high))
    assert wilson(0, 0) is None


def sure_logits(images, confidence, accuracy, seed=0):
    """Two classes, the same confidence everywhere, and that share of right ones."""
    labels = np.random.default_rng(seed).integers(0, 2, images)
    predicted = np.where(np.arange(images) < round(accuracy * images), labels, 1 - labels)
    return np.log(confidence / (1 - confidence)) * np.eye(2)[predicted], labels


def test_the_expected_calibration_error_is_confidence_less_accuracy_in_one_bin():
    found = reliability(*sure_logits(200, confidence=0.9, accuracy=0.7))
    assert found.expected_calibration_error == pytest.approx(0.2)
    assert len(found.bins) == 1 and found.bins[0].images == 200


def test_chance_alone_is_about_the_error_of_a_calibrated_network():
    rng = np.random.default_rng(0)
    errors, expected = [], []
    for _ in range(100):
        logits = rng.normal(0, 1.5, (150, 4))
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        labels = np.array([rng.choice(4, p=row) for row in probabilities])
        found = reliability(logits, labels)
        errors.append(found.expected_calibration_error)
        expected.append(found.expected_by_chance)
        assert miscalibration("a", found) is None
    assert np.mean(expected) == pytest.approx(np.mean(errors), rel=0.1)


def test_copies_are_right_or_wrong_together_in_what_chance_alone_would_give():
    logits, labels = sure_logits(200, confidence=0.9, accuracy=0.9)
    alone = reliability(logits, labels)
    assert alone.expected_by_chance == pytest.approx(np.sqrt(2 / np.pi * 200 * 0.09) / 200)
    pairs = reliability(logits, labels, np.arange(200) // 2)
    # A hundred pairs of copies have the standard deviation of a hundred images.
    assert pairs.expected_by_chance == pytest.approx(np.sqrt(2 / np.pi * 100 * 0.09) / 100)
    assert pairs.expected_calibration_error == alone.expected_calibration_error


def test_a_network_that_is_too_sure_is_called_so_and_broken_logits_are_left_out():
    broken = np.full((5, 2), np.nan), np.zeros(5, int)
    found = pooled_reliability([sure_logits(200, 0.9, 0.7), broken])
    assert "over-confident" in miscalibration("a", found).sentence and found.seeds == 1
    assert "under-confident" in miscalibration("a", reliability(*sure_logits(200, 0.6, 0.9))).sentence
    assert pooled_reliability([]) is None


def replica(confusion, lines, **more):
    """With logits that have these confusions."""
    cells = [(true, predicted) for (true, predicted), count in np.ndenumerate(confusion) for _ in range(count)]
    labels, predicted = np.array(cells).T
    logits = 3 * np.eye(len(confusion))[predicted]
    share = float(np.trace(confusion) / confusion.sum())
    return Replica(made_done(share, matrix=confusion.tolist(), **more), lines, logits, labels)


def data_of(leaked, val):
    made = summary().dataset
    return replace(made, splits={"train": 900, "val": val, "test": 0}, leaked={"val": leaked, "test": 0})


def test_a_whole_diagnosis_is_plain_json_in_the_order_of_the_rules():
    parts = {
        "leaked": PartScores(images=10, correct=9, accuracy=0.9),
        "clean": PartScores(images=10, correct=6, accuracy=0.6),
    }
    diverged = Replica(made_diverged(epoch=1, step=7), [])
    networks = {
        "plain34": {seed: replica(PLAIN, falling_then_rising(), **parts) for seed in range(3)} | {3: diverged},
        "resnet34": {seed: replica(RESIDUAL, falling_then_rising()) for seed in range(3)},
    }
    found = diagnose(networks, CLASSES, data_of(leaked=49, val=245), np.arange(245))
    kinds = [each.kind for each in found.diagnosis]
    assert kinds == sorted(kinds, key=list(KINDS).index) and kinds[:2] == ["leaks", "divergence"]
    assert {"collapsed class", "class gained", "class lost", "over-fitting", "confused pairs"} <= set(kinds)
    assert "49 of 245 val images (20 %)" in found.diagnosis[0].sentence
    assert "plain34 +30" in found.diagnosis[0].sentence
    assert "seed 3 in epoch 1, step 7" in found.diagnosis[1].sentence
    json.dumps(plain(found._asdict()), allow_nan=False)
    for each in found.diagnosis:
        assert plain(each.evidence) == each.evidence and each.rule == f"{each.kind}: {KINDS[each.kind]}"


def test_nothing_finished_gives_no_sentence():
    found = diagnose({"a": {}, "b": {}}, ["x", "y"], data_of(leaked=0, val=10))
    assert found.diagnosis == [] and found.calibration == {"a": None, "b": None}
