"""The simulation is of what it says, and in a short form of it verdicts keep their promise."""

from pathlib import Path

import numpy as np
import pytest

from experiments.studies.calibration import SEEDS, World, assess, assess_alternatives, draw_comparisons
from experiments.studies.calibration_tables import calibration_tables, read_calibration, short_table

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("truth", "difference"), [("itself", 0.0), ("equal", 0.0), ("+10", 0.1)])
def test_the_simulated_difference_is_on_average_the_true_one(truth, difference):
    means = [differences.mean() for differences, _ in draw_comparisons(World(truth, 230, True), 400, 6)]
    assert np.mean(means) == pytest.approx(difference, abs=4 * np.std(means) / 20)


def test_copies_are_answered_alike_more_often_than_other_images():
    for differences, groups in draw_comparisons(World("+10", 1000, True), 1, 20):
        # Chance of equal answers of an image and the next one, within a group and across two.
        equal, together = (differences[:, 1:] == differences[:, :-1]).mean(0), groups[1:] == groups[:-1]
        assert groups.max() < 700 and equal[together].mean() > equal[~together].mean() + 0.2


@pytest.mark.parametrize("truth", ["itself", "equal"])
def test_equal_networks_rarely_get_a_verdict_and_intervals_cover(truth):
    # 300 comparisons: the bounds lie more than four standard errors beside 5 and 95 %, and the draws are fixed.
    cells = assess(World(truth, 230, True), 300)
    assert [cell.seeds for cell in cells] == [*SEEDS, "auto"]
    for cell in cells:
        assert cell.wrong == cell.verdicts <= 0.10 and 0.90 <= cell.covered
        assert cell.seeds == "auto" or cell.seeds > 5 or cell.verdicts == 0
        assert cell.without_interval < 0.02


def test_a_known_difference_is_found_more_often_with_more_seeds_and_never_the_wrong_way_round():
    cells = {cell.seeds: cell for cell in assess(World("+10", 1000, False), 100)}
    assert cells[6].verdicts > 0.8 and cells[20].verdicts == 1 and cells["auto"].mean_seeds < 10
    assert all(cell.wrong < 0.01 for cell in cells.values())
    assert cells[6].smallest_detectable > cells[20].smallest_detectable


def test_intervals_that_were_not_chosen_cover_less():
    covered = {(each.alternative, each.seeds): each.covered for each in assess_alternatives(60)}
    assert covered["t over seeds alone", 20] < 0.9 < covered["t over seeds and groups (ours)", 20]


def test_the_tables_of_the_text_are_those_of_the_committed_record():
    folder = ROOT / "experiments" / "results" / "calibration"
    found = read_calibration(folder / "cells.jsonl")
    assert calibration_tables(found) in (folder / "README.md").read_text()
    assert short_table(found) in (ROOT / "README.md").read_text()
    judged = [cell for cell in found.cells if cell.truth in ("itself", "equal")]
    assert all(cell.comparisons >= 2000 and cell.wrong_ci95[0] <= 0.05 for cell in judged)
    # No cell's coverage is beside 93 to 97 % by more than its own uncertainty.
    fixed = [cell for cell in found.cells if cell.seeds != "auto"]
    assert all(cell.covered_ci95[1] >= 0.93 and cell.covered_ci95[0] <= 0.97 for cell in fixed)
