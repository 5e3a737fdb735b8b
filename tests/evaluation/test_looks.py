"""Which verdicts that were shown before a later verdict has to reckon with, by cases worked by hand."""

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from resjax.evaluation.comparison.comparing import Question, compare_networks
from resjax.evaluation.comparison.looks import Shown, looks_of, remembered
from resjax.evaluation.comparison.statistics.planning import level_of_looks, looks_until
from resjax.records import Looks
from tests.made_results import made_done

TWINS = [("plain", "residual")]
BOTH = [("plain", "residual"), ("plain", "gated")]


def networks(seeds, names=("plain", "residual", "gated")):
    """Each network is ten points better than the one before, and seeds differ a little."""
    accuracies = {name: 0.5 + 0.1 * place for place, name in enumerate(names)}
    return {
        name: {seed: made_done(accuracy + 0.001 * (seed * (place + 1) % 5)) for seed in range(seeds)}
        for place, (name, accuracy) in enumerate(accuracies.items())
    }


class Folder:
    """The looks of one folder."""

    def __init__(self, complete=True):
        self.looks = Looks(complete=complete, looks=[])

    def look(self, seeds, pairs=TWINS, planned=(), **question):
        """Judges, remembers, and returns the earlier looks of each comparison as (seeds, metric, margin)."""
        asked = Question(**{"level": level_of_looks(len(planned) or 1)} | question)
        shown = Shown([self.looks], planned)
        self.judged = compare_networks(networks(seeds), pairs, question=asked, shown=shown)
        self.looks = remembered(self.looks, looks_of(self.judged, planned, 1, None))
        return [
            [] if each.earlier_looks is UNSET else [(e.seeds, e.metric, e.margin) for e in each.earlier_looks]
            for each in self.judged
        ]


def test_a_planned_look_is_told_and_said_where_its_verdict_was_another():
    same, other = Folder(), Folder()
    for folder in (same, other):
        assert folder.look(8, planned=(8, 12)) == [[]]
    (first,) = other.looks.looks
    other.looks = replace(other.looks, looks=[replace(first, verdict="inconclusive")])
    for folder, verdict in ((same, "candidate better"), (other, "inconclusive")):
        assert folder.look(12, planned=(8, 12)) == [[]]
        (pair,) = folder.judged
        assert [(each.seeds, each.verdict) for each in pair.planned_looks] == [(8, verdict)]
        assert ("8 seeds" in pair.sentence) == (verdict != pair.verdict)


def test_seeds_that_were_added_after_a_verdict_give_one_that_is_not_confirmatory():
    folder = Folder()
    assert folder.look(6) == [[]]
    assert folder.look(8) == [[(6, "best_val_accuracy", None)]]
    (pair,) = folder.judged
    assert pair.verdict == "candidate better" and pair.earlier_looks[0].verdict == "candidate better"
    assert "--seeds=auto" in pair.sentence
    assert folder.look(12) == [[(6, "best_val_accuracy", None), (8, "best_val_accuracy", None)]]
    assert len(folder.looks.looks) == 3


@pytest.mark.parametrize(("seeds", "before"), [(6, 0), (8, 1), (12, 2)])
def test_the_same_command_on_the_same_seeds_is_the_same_look(seeds, before):
    folder = Folder()
    for each in (6, 8, 12):
        folder.look(each)
    (earlier,) = folder.look(seeds)
    assert len(earlier) == before and len(folder.looks.looks) == 3


def test_the_planned_looks_of_auto_do_not_count_against_each_other():
    folder, plan = Folder(), looks_until(20)
    for seeds in plan:
        assert folder.look(seeds, planned=plan) == [[]]
    # Also not where the same command goes through them again.
    assert folder.look(8, planned=plan) == [[]] and len(folder.looks.looks) == 4
    # Fixed seeds after them are another look, at another level.
    assert len(folder.look(20)[0]) == 4


@pytest.mark.parametrize("fixed", [6, 8, 12])
def test_a_look_before_auto_counts_at_every_look_of_auto(fixed):
    folder, plan = Folder(), looks_until(20)
    folder.look(fixed)
    for seeds in plan:
        assert folder.look(seeds, planned=plan) == [[(fixed, "best_val_accuracy", None)]]


def test_another_metric_or_margin_on_the_same_seeds_is_a_look_of_its_own():
    folder = Folder()
    assert folder.look(6) == [[]]
    assert folder.look(6, measure="balanced_accuracy") == [[(6, "best_val_accuracy", None)]]
    assert len(folder.look(6, margin=0.02)[0]) == 2
    assert len(folder.look(6, margin=0.03)[0]) == 3
    assert folder.look(6) == [[]]


def test_a_look_that_could_not_decide_spends_nothing():
    folder = Folder()
    # Six seeds are the fewest for one comparison, seven for two; five for equivalence.
    assert folder.look(5) == [[]] and folder.look(6) == [[]]
    folder = Folder()
    folder.look(6, BOTH)
    assert folder.look(8, BOTH) == [[], []]
    folder = Folder()
    folder.look(5, margin=0.02)
    assert folder.look(6, margin=0.02) == [[(5, "best_val_accuracy", 0.02)]]


def test_networks_that_are_added_are_no_look_and_those_that_are_left_out_are():
    folder = Folder()
    folder.look(8)
    # The pair is judged again by the same p against a stricter level.
    assert folder.look(8, BOTH) == [[], []]
    (left,) = folder.look(8, [("plain", "gated")])
    assert left == [(8, "best_val_accuracy", None)]
    assert (folder.judged[0].earlier_looks[0].baseline, folder.judged[0].earlier_looks[0].candidate) == TWINS[0]
    # Holm's correction for two does not become one for one by leaving the other out.
    folder = Folder()
    folder.look(8, BOTH)
    (left,) = folder.look(8)
    assert left == [(8, "best_val_accuracy", None)] and folder.judged[0].earlier_looks[0].candidate == "gated"


def test_where_the_record_of_looks_was_lost_the_verdict_says_so():
    folder = Folder(complete=False)
    assert folder.look(6) == [[]]
    (pair,) = folder.judged
    assert pair.looks_are_lost is True and "looks.json" in pair.sentence
    assert pair.verdict == "candidate better"


def test_looks_of_several_folders_count_once_each():
    one, two = Folder(), Folder()
    one.look(6)
    two.look(6)
    two.look(8)
    (pair,) = compare_networks(networks(12), TWINS, shown=Shown([one.looks, two.looks]))
    assert [each.seeds for each in pair.earlier_looks] == [6, 8]
