"""From results of replicas to networks and their differences."""

import pytest
from msgspec import UNSET

from resjax.evaluation.comparison.comparing import compare_networks
from resjax.evaluation.comparison.summary import summarize_network
from resjax.records import PartScores
from tests.made_results import COSTS, made_diverged, made_done

CLASSES = ["bakso", "soto_ayam"]


def test_a_network_adds_up_confusion_and_leaves_out_what_did_not_finish():
    network = summarize_network(
        {
            0: made_done(0.5, 0.25, matrix=[[2, 2], [2, 2]]),
            1: made_done(0.75, matrix=[[4, 0], [2, 2]]),
            2: made_diverged(),
            3: None,
        },
        CLASSES,
        COSTS,
    )
    assert network.status == {0: "done", 1: "done", 2: "diverged", 3: "pending"}
    assert network.best_val_accuracy.values == [0.5, 0.75]
    assert network.final_val_accuracy.mean == 0.5
    assert network.confusion_matrix == [[6, 2], [4, 4]]
    assert network.per_class["bakso"].recall == 0.75
    assert network.test_accuracy is UNSET and network.trained_as == ["sequential"]


def test_differences_are_candidate_minus_baseline_over_shared_finished_seeds():
    networks = {
        "plain34": {0: made_done(0.5), 1: made_done(0.6), 2: None},
        "resnet34": {
            0: made_done(0.7),
            1: made_done(0.5),
            2: made_done(0.9),
        },
    }
    (pair,) = compare_networks(networks, [tuple(networks)])
    assert (pair.baseline, pair.candidate, pair.seeds) == ("plain34", "resnet34", [0, 1])
    assert pair.differences == pytest.approx([0.2, -0.1])
    assert pair.metric == "best_val_accuracy"


def test_differences_are_on_the_test_set_where_there_is_one():
    networks = {"a": {0: made_done(0.5, test=0.4)}, "b": {0: made_done(0.5, test=0.6)}}
    (pair,) = compare_networks(networks, [tuple(networks)])
    assert pair.metric == "test_accuracy" and pair.mean == pytest.approx(0.2)


def test_no_shared_seed_gives_no_mean():
    (pair,) = compare_networks({"a": {0: None}, "b": {0: None}}, [("a", "b")])
    assert pair.mean is None and pair.differences == []


def test_leaked_and_clean_parts_are_described_where_there_are_any():
    leaked = PartScores(images=4, correct=3, accuracy=0.75)
    clean = PartScores(images=0, correct=0, accuracy=None)
    network = summarize_network({0: made_done(0.5, leaked=leaked, clean=clean), 1: None}, CLASSES, COSTS)
    assert network.leaked_accuracy.values == [0.75] and network.clean_accuracy is UNSET
    assert summarize_network({0: made_done(0.5)}, CLASSES, COSTS).leaked_accuracy is UNSET
