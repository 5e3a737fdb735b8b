"""Several workdirs as one comparison keep what each was: what was asked, its level and looks, its depths."""

import numpy as np
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from resjax.errors import RecordError
from resjax.evaluation.merging import merged
from resjax.records import NUMERICS_VERSION, Look, Looks, Relation, Summary, read_record, write_record
from resjax.records.run_records import read_run_records
from resjax.report.cautions import unplanned
from resjax.run.reporting import write_report
from resjax.run.workdir.looks import looks_in
from tests.made_run import make_run

TWINS = {"plain20": 0.5, "resnet20": 0.9}
DEEP = {"plain56": 0.4, "resnet56": 0.9}
AUTO = {"seeds": "auto", "max_seeds": 20}
LEVEL = 0.0182


def part(workdir, networks, of_seeds, level=0.05, shown=(), related=True, changes=None, **config):
    """A workdir of made records, with the looks that it has shown."""
    make_run(workdir, networks, seeds=of_seeds, images=30, epochs=1, config={"comparisons": "twins"} | config)
    summary = read_record(workdir / "summary.json", Summary)
    comparisons = [replace(each, level=level, verdict=None) for each in summary.comparisons]
    summary = replace(summary, comparisons=comparisons, **(changes or {}))
    if related:
        with_relation = {name: replace(of, relation=relation(name)) for name, of in summary.architectures.items()}
        summary = replace(summary, architectures=with_relation)
    write_record(workdir / "summary.json", summary)
    write_record(workdir / "looks.json", Looks(complete=True, looks=[*shown]))
    return workdir


def relation(name):
    depth = "".join(filter(str.isdigit, name))
    return Relation(depth=int(depth), family="cifar", plain_twin=None if "plain" in name else f"plain{depth}")


def look(seeds, level=0.05, planned=(), verdict="inconclusive"):
    names = {"baseline": "plain20", "candidate": "resnet20", "metric": "best_val_accuracy", "margin": None}
    asked = {"seeds": [*seeds], "level": level, "planned": [*planned], "comparisons": 1}
    return Look(**names, **asked, verdict=verdict, recipe_version=NUMERICS_VERSION, resjax="0.1.0")


def together(*workdirs):
    return merged(
        workdirs, [read_run_records(each) for each in workdirs], [looks_in(each) for each in workdirs]
    ).summary


def pairs_of(summary):
    return [(each.baseline, each.candidate) for each in summary.comparisons]


def test_the_asked_for_comparisons_are_made_also_of_twins_in_different_workdirs(tmp_path):
    one = part(tmp_path / "one", {"plain20": 0.5, "plain56": 0.4}, range(6))
    two = part(tmp_path / "two", {"resnet20": 0.9, "resnet56": 0.9}, range(6))
    summary = together(one, two)
    assert pairs_of(summary) == [("plain20", "resnet20"), ("plain56", "resnet56")]
    # The two are judged together, so six seeds are too few (Holm asks for 0.025, six signs reach 0.031).
    assert [each.verdict for each in summary.comparisons] == ["inconclusive"] * 2


def test_parts_that_asked_for_different_comparisons_keep_theirs(tmp_path):
    one = part(tmp_path / "one", TWINS | {"resnet56": 0.9}, range(6), comparisons="first")
    two = part(tmp_path / "two", {"plain8": 0.4, "resnet8": 0.9}, range(6), comparisons="resnet8:plain8")
    assert pairs_of(together(one, two)) == [("plain20", "resnet20"), ("plain20", "resnet56"), ("resnet8", "plain8")]


def test_older_parts_compare_every_two_networks(tmp_path):
    one = part(tmp_path / "one", TWINS, range(2), related=False)
    two = part(tmp_path / "two", {"resnet56": 0.9}, range(2), related=False)
    for workdir in (one, two):
        summary = read_record(workdir / "summary.json", Summary)
        config = {flag: value for flag, value in summary.config.items() if flag != "comparisons"}
        write_record(workdir / "summary.json", replace(summary, config=config))
    assert len(together(one, two).comparisons) == 3


def test_metric_and_margin_are_those_of_the_parts_and_have_to_be_equal(tmp_path):
    asked = {"metric": "macro_f1", "margin": 2.0}
    one = part(tmp_path / "one", TWINS, range(6), **asked)
    two = part(tmp_path / "two", TWINS, range(6, 12), **asked)
    (pair,) = together(one, two).comparisons
    assert pair.metric == "best_val_macro_f1" and pair.equivalence.margin == 0.02 and len(pair.seeds) == 12
    assert "groups of images" in pair.interval
    other = part(tmp_path / "other", TWINS, range(6, 12), metric="macro_f1")
    with pytest.raises(RecordError, match="--margin=2.0 and None"):
        together(one, other)


def test_other_numerics_are_refused(tmp_path):
    one = part(tmp_path / "one", TWINS, range(6))
    two = part(tmp_path / "two", TWINS, range(6, 12), changes={"recipe_version": NUMERICS_VERSION + 1})
    with pytest.raises(RecordError, match=f"version {NUMERICS_VERSION} and {NUMERICS_VERSION + 1}"):
        together(one, two)


def test_the_strictest_level_holds_and_the_looks_of_the_parts_count(tmp_path):
    plan = (8, 12, 16, 20)
    one = part(tmp_path / "one", TWINS, range(8), LEVEL, [look(range(8), LEVEL, plan)], **AUTO)
    two = part(tmp_path / "two", TWINS, range(8, 14), shown=[look(range(8, 14))])
    summary = together(one, two)
    (pair,) = summary.comparisons
    assert pair.level == LEVEL and pair.verdict == "candidate better"
    assert [each.seeds for each in pair.earlier_looks] == [8, 6]
    assert [(each.planned, each.level, len(each.looks)) for each in summary.merged] == [
        ([*plan], LEVEL, 1),
        ([], 0.05, 1),
    ]
    assert unplanned(summary)


def test_parts_of_one_plan_at_a_planned_look_are_that_look(tmp_path):
    plan = (8, 12, 16, 20)
    one = part(tmp_path / "one", TWINS, range(8), LEVEL, [look(range(8), LEVEL, plan)], **AUTO)
    two = part(tmp_path / "two", TWINS, range(8, 12), LEVEL, **AUTO)
    summary = together(one, two)
    (pair,) = summary.comparisons
    assert pair.level == LEVEL and pair.earlier_looks is UNSET and not unplanned(summary)


def test_seeds_that_were_trained_apart_and_not_looked_at_give_one_look(tmp_path):
    one = part(tmp_path / "one", TWINS, range(3), shown=[look(range(3))])
    two = part(tmp_path / "two", TWINS, range(3, 6), shown=[look(range(3, 6))])
    (pair,) = together(one, two).comparisons
    assert pair.verdict == "candidate better" and pair.earlier_looks is UNSET and pair.level == 0.05


def test_the_report_of_several_is_a_look_of_each_and_made_again_it_is_the_same(tmp_path):
    one = part(tmp_path / "one", TWINS, range(6), shown=[look(range(6))])
    two = part(tmp_path / "two", TWINS, range(6, 12))
    write_report([one, two])
    kept = [looks_in(each).looks for each in (one, two)]
    assert [len(each) for each in kept] == [2, 1] and kept[0][1] == kept[1][0]
    assert kept[1][0].seeds == [*range(12)] and kept[1][0].verdict == "candidate better"
    write_report([one, two])
    assert [looks_in(each).looks for each in (one, two)] == kept
    (pair,) = together(one, two).comparisons
    assert [each.seeds for each in pair.earlier_looks] == [6]
    three = part(tmp_path / "three", TWINS, range(12, 14))
    (pair,) = together(one, two, three).comparisons
    assert [each.seeds for each in pair.earlier_looks] == [6, 12]


def test_depth_is_that_of_all_parts(tmp_path):
    one, two = part(tmp_path / "one", TWINS, range(3)), part(tmp_path / "two", DEEP, range(3))
    assert together(one, part(tmp_path / "same", TWINS, range(3, 5))).depth is None
    (depth,) = together(one, two).depth
    assert [each.depth for each in depth.twins] == [20, 56]

    def last(workdir, name):
        results = read_run_records(workdir).results()[name]
        return np.array([each.last.val_accuracy for each in results.values()])

    shallow = last(one, "resnet20") - last(one, "plain20")
    deep = last(two, "resnet56") - last(two, "plain56")
    np.testing.assert_allclose(depth.measures["val_accuracy"].slope.values, (deep - shallow) / 36 * 10, atol=1e-12)
    # A merged summary holds what its own parts can be compared by.
    assert together(one, two).architectures["resnet56"].relation == relation("resnet56")


def test_depths_of_older_parts_are_kept(tmp_path):
    one, two = part(tmp_path / "one", TWINS | DEEP, range(3)), part(tmp_path / "two", TWINS | DEEP, range(3, 5))
    (depth,) = together(one, two).depth
    for place, workdir in enumerate((one, two)):
        summary = read_record(workdir / "summary.json", Summary)
        older = {name: replace(of, relation=UNSET) for name, of in summary.architectures.items()}
        known = [replace(depth, seeds=[0])] if place == 0 else None
        write_record(workdir / "summary.json", replace(summary, architectures=older, depth=known))
    assert together(one, two).depth == [depth]


def test_a_network_that_was_given_up_is_judged_and_a_pending_one_is_waited_for(tmp_path):
    one = part(tmp_path / "one", TWINS, range(6))
    make_run(tmp_path / "two", TWINS, seeds=[6, 7], images=30, epochs=1, pending=[("resnet20", 7)])
    summary = read_record(tmp_path / "two" / "summary.json", Summary)
    summary = replace(summary, config=summary.config | {"comparisons": "all"})
    assert together(one, tmp_path / "two").comparisons[0].verdict == "inconclusive"
    given_up = replace(summary.architectures["resnet20"], problem="out of memory")
    networks = summary.architectures | {"resnet20": given_up}
    write_record(tmp_path / "two" / "summary.json", replace(summary, architectures=networks))
    found = together(one, tmp_path / "two")
    assert found.comparisons[0].verdict == "candidate better" and len(found.comparisons[0].seeds) == 7
    assert found.architectures["resnet20"].problem == "out of memory"
