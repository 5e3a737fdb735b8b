"""What a sweep's record says, from cells made by hand."""

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from resjax.evaluation.comparison.looks import Shown, remembered
from resjax.records import CellCounts, Looks, Sweep, read_record, read_result, write_record
from resjax.report.cautions import mixed_environments
from resjax.report.page.sweep_page import sweep_page
from resjax.report.sweep_text import sweep_text
from resjax.sweep.record import looks_of_sweep, sweep_record
from tests.made_run import environment
from tests.made_sweep import BEST, WORST, make_sweep
from tests.markup import text_of


def test_the_record_has_its_shape_and_counts_every_cell(uneven_sweep):
    workdir, record = uneven_sweep
    assert read_record(workdir / "sweep.json", Sweep) == record
    assert record.counts == CellCounts(done=124, diverged=2, failed=1, pending=1)
    reasons = {(cell.architecture, cell.status): cell.reason for cell in record.cells}
    assert reasons["plain20", "diverged"] == "loss not finite in epoch 1, step 3"
    assert reasons["resnet8", "failed"] == "out of memory: too small"


def test_each_network_is_at_its_own_best_and_twins_are_compared_depth_by_depth(uneven_sweep):
    _, record = uneven_sweep
    (condition,) = record.conditions
    networks = condition.networks
    assert (networks["plain8"].chosen, networks["plain20"].chosen, networks["resnet20"].chosen) == (BEST, BEST, WORST)
    # resnet8 lacks a seed where it would be best: the best of those that have all is taken.
    assert networks["resnet8"].chosen == "learning_rate0.01_weight_decay0.0"
    assert networks["resnet20"].edges == ["learning_rate", "weight_decay"] and networks["plain8"].edges == [
        "learning_rate"
    ]
    assert (networks["plain20"].depth, networks["plain20"].family, networks["resnet8"].family) == (
        20,
        "plain",
        "resnet",
    )
    assert abs(networks["plain8"].optimism_of_choice) < 0.1
    shallow, deep = condition.comparisons
    assert (shallow.baseline, deep.candidate) == ("plain8", "resnet20")
    # A cell of resnet8 is pending: another setting may become its best one.
    assert shallow.verdict == "inconclusive" and len(shallow.seeds) == 8
    assert deep.verdict == "candidate better" and deep.metric == "best_val_accuracy"
    assert deep.p_value < deep.holm_p_value <= 2 * deep.p_value
    expected = [
        networks["resnet20"].settings[WORST].best_val_accuracy.values[seed]
        - networks["plain20"].settings[BEST].best_val_accuracy.values[seed]
        for seed in range(8)
    ]
    assert deep.differences == pytest.approx(expected)
    # Images and seeds together, as in a comparison: the predictions of the chosen cells are there.
    assert deep.interval == "t over seeds and groups of images"
    assert condition.depth[0].measures["val_accuracy"].slope.mean > 0


def test_conditions_are_compared_with_holms_correction_over_all(tmp_path):
    grid = {"train_fraction": (0.25, 1.0)}
    record = make_sweep(tmp_path / "sweep", depths=(8,), grid=grid, seeds=(0, 1), leaked=3)
    assert [condition.label for condition in record.conditions] == ["train fraction 0.25", "train fraction 1.0"]
    assert all(pair.holm_p_value is not None for each in record.conditions for pair in each.comparisons)


def test_a_sweep_that_is_half_finished_has_no_verdict(tmp_path):
    point = "learning_rate0.001"
    cells = {"depths": (8,), "images": 20, "grid": {"learning_rate": (1e-3, 1e-2)}}
    pending = [(point, name, seed) for name in ("plain8", "resnet8") for seed in (6, 7)]
    (pair,) = make_sweep(tmp_path / "half", pending=pending, **cells).conditions[0].comparisons
    assert pair.verdict == "inconclusive" and pair.p_value <= 0.05
    # A cell that failed is not waited for.
    (pair,) = make_sweep(tmp_path / "whole", failed=pending, **cells).conditions[0].comparisons
    assert pair.verdict == "candidate better"


def test_cells_of_several_environments_are_named(tmp_path):
    record = make_sweep(tmp_path, depths=(8,), seeds=(0, 1), images=20, grid={"learning_rate": (1e-3, 1e-2)})
    assert record.environments is UNSET and not mixed_environments(record)
    for place, path in enumerate(sorted(tmp_path.rglob("result.json"))):
        here = replace(environment(), jax="0.10.2" if place else "0.12.0")
        write_record(path, replace(read_result(path), environments=[here]))
    found = sweep_record(record, [tmp_path])
    assert [each.environment.jax for each in found.environments] == ["0.12.0", "0.10.2"]
    assert found.environments[0].replicas == {"plain8": [0]}
    assert found.environments[1].replicas == {"plain8": [0, 1], "resnet8": [0, 1]}
    said = mixed_environments(found)
    assert "0.12.0" in said and said in sweep_text(found) and said in text_of(sweep_page(found))


def test_a_sweep_remembers_its_looks_and_what_grows_is_another_look(tmp_path):
    grid = {"learning_rate": (1e-3, 1e-2), "width": (4, 8)}
    whole = make_sweep(tmp_path, depths=(8,), images=20, grid=grid)
    points = {name: values for name, values in whole.points.items() if values["learning_rate"] == 1e-3}
    looks = Looks(complete=True, looks=[])

    def earlier(**declared):
        nonlocal looks
        found = sweep_record(replace(whole, **declared), [tmp_path], Shown([looks]))
        looks = remembered(looks, looks_of_sweep(found))
        pairs = [pair for condition in found.conditions for pair in condition.comparisons]
        return [0 if pair.earlier_looks is UNSET else len(pair.earlier_looks) for pair in pairs]

    assert earlier(points=points, seeds=list(range(7))) == [0, 0]
    assert earlier(points=points) == [1, 1]
    # The best learning rate of the ResNets is one that was not there before; the same sweep again is no new look.
    assert earlier() == [2, 2] and len(looks.looks) == 6
    assert earlier() == [2, 2] and len(looks.looks) == 6
