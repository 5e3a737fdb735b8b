"""`resjax plan`: from a data set, assumptions or a pilot to a record, a table and a picture."""

import numpy as np
import pytest

from resjax.cli.plan import COMMAND
from resjax.records import Summary, read_record
from resjax.records.kinds.plan import Plan
from resjax.run.planning import PlanQuestion, ground_of_images, make_plan
from tests.commands import require_bad_input, run_in_process
from tests.made_run import make_run


def plan_of(tmp_path, *arguments) -> Plan:
    status, out, err = run_in_process(COMMAND, f"--workdir={tmp_path}/plan", f"--cache_dir={tmp_path}/c", *arguments)
    assert status == 0, err
    plan = read_record(tmp_path / "plan" / "plan.json", Plan)
    assert all((tmp_path / "plan" / name).exists() for name in ("plan.png", "plan.svg"))
    assert all(str(each.seeds) in out for each in plan.by_seeds)
    return plan


def test_a_plan_for_so_many_images_answers_what_was_asked(tmp_path):
    plan = plan_of(tmp_path, "--images=230", "--difference=6", "--margin=7", "--comparisons=2")
    assert (plan.images, plan.groups, plan.level, plan.auto.looks) == (230, 230, 0.025, [8, 12, 16, 20])
    shown = {each.seeds: each.detectable for each in plan.by_seeds}
    # Six seeds reach 0.031 at best, which is not enough for the first of two comparisons.
    assert shown[6] is None and shown[8] > shown[12] > shown[50] > plan.detectable_at_best > 0
    assert shown[50] <= 0.06 <= shown[20] and 20 < plan.seeds_for_difference <= 50
    margins = {each.seeds: each.margin for each in plan.by_seeds}
    assert margins[12] > 0.07 >= margins[20] and 12 < plan.seeds_for_margin <= 20
    assert plan.auto.level < plan.level and plan.auto.detectable > shown[20]


def test_duplicates_of_the_data_set_count_once(tmp_path):
    plan = plan_of(tmp_path, "--dataset=synthetic:100", "--val_fraction=0.4")
    assert 30 < plan.images <= 40 and plan.groups < plan.images
    alone = plan_of(tmp_path, f"--images={plan.images}")
    assert plan.by_seeds[-1].detectable > alone.by_seeds[-1].detectable


def test_the_test_side_is_planned_for_where_there_is_one(tmp_path):
    plan = plan_of(tmp_path, "--dataset=synthetic:100", "--test_fraction=0.3")
    assert plan.images == 30 and "test images" in plan.source


def test_a_pilot_says_how_much_its_seeds_and_images_vary(tmp_path):
    pilot = make_run(tmp_path / "pilot", {"plain18": 0.5, "resnet18": 0.6}, seeds=range(6))
    plan = plan_of(tmp_path, f"--pilot={pilot}")
    (pair,) = read_record(pilot / "summary.json", Summary).comparisons
    assert plan.pilot is not None and "resnet18 minus plain18" in plan.pilot and plan.assumptions is None
    assert plan.images == 60 and plan.over_seeds == pytest.approx(np.var(pair.differences, ddof=1))
    few = make_run(tmp_path / "few", {"plain18": 0.5, "resnet18": 0.6}, seeds=[0])
    require_bad_input(COMMAND, f"--workdir={tmp_path}/plan", f"--pilot={few}", says=(f"--pilot={few}", "two seeds"))


def test_more_spread_or_fewer_images_ask_for_more_seeds():
    def seeds_for(images, spread):
        ground = ground_of_images("images", np.ones(images, int), spread, 0.6, None)
        return make_plan(ground, PlanQuestion(difference=0.06)).seeds_for_difference

    assert seeds_for(1000, 0.03) < seeds_for(1000, 0.06) < seeds_for(250, 0.06)
    assert seeds_for(50, 0.03) is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--images=1"], "--images=1"),
        (["--images=50", "--dataset=synthetic"], "--dataset"),
        (["--images=50", "--margin=100"], "--margin=100"),
        (["--images=50", "--difference=0"], "--difference=0"),
        (["--images=50", "--accuracy=100"], "--accuracy=100"),
        (["--images=50", "--spread=-1"], "--spread=-1"),
        (["--images=50", "--comparisons=0"], "--comparisons=0"),
        (["--images=50", "--spread=0", "--disagreement=0"], "--spread=0"),
        (["--folds=5"], "--folds"),
        (["--pilot=nowhere"], "--pilot=nowhere"),
        (["--pilot=nowhere", "--images=50"], "--images"),
    ],
)
def test_bad_input_is_one_line(arguments, says, tmp_path):
    require_bad_input(COMMAND, f"--workdir={tmp_path}/plan", *arguments, says=(says,))
    assert not (tmp_path / "plan").exists()
