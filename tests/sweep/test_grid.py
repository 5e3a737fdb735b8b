"""The grid of a sweep: what flags become, what is refused, and how the cells are divided into shares."""

from collections import Counter
from pathlib import Path

import pytest
from absl import flags

from resjax.cli.sweep import COMMAND, sweep_settings
from resjax.sweep.cells import all_cells, program_key, share_of
from resjax.sweep.grid import name_of, parse_grid
from tests.commands import parsed_flags, require_bad_input
from tests.sweep.made import asked_for


def test_each_point_has_the_settings_of_a_comparison_with_its_flags():
    words = (
        *("--architectures=plain,resnet", "--grid=depth=8,14", "--grid=learning_rate=1e-3,1e-2", "--width=2"),
        *("--grid=augment=none|flip,rotate:15", "--grid=train_fraction=0.5,1", "--seeds=2", "--workdir=w"),
    )
    with parsed_flags(COMMAND, *words):
        asked = sweep_settings()
        # The flags themselves are as they were given.
        assert flags.FLAGS.learning_rate == 5e-4 and flags.FLAGS.architectures == "plain,resnet"
    assert asked.architectures == ["plain8", "resnet8", "plain14", "resnet14"]
    assert len(asked.points) == 8 and asked.shard == (1, 1)
    point = asked.points[-2]
    assert point.choices == {"learning_rate": 0.01, "augment": "flip,rotate:15", "train_fraction": 0.5}
    assert point.name == "lr0.01_augmentflip-rotate-15_fraction0.5"
    assert point.settings.recipe.learning_rate == 0.01 and len(point.settings.recipe.augmentations) == 2
    assert point.settings.split.train_fraction == 0.5
    assert point.settings.workdir == Path("w/cells") / point.name
    assert point.settings.flags["workdir"] == str(point.settings.workdir) and "grid" not in point.settings.flags
    assert point.settings.flags["architectures"] == "plain8,resnet8,plain14,resnet14"
    assert asked.base.workdir == Path("w") and "learning_rate" not in asked.fixed and asked.fixed["width"] == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--grid=learning_rat=1,2"], ("--grid='learning_rat=1,2'", "did you mean learning_rate?")),
        (["--grid=learning_rate"], ("--grid='learning_rate'",)),
        (["--grid=learning_rate=1e-3,"], ("--grid='learning_rate=1e-3,'",)),
        (["--grid=learning_rate=1e-3,0.001"], ("--grid", "occurs twice")),
        (["--grid=learning_rate=1e-3,-1"], ("--learning_rate=-1",)),
        (["--grid=optimizer=adam,adm"], ("--optimizer='adm'", "did you mean 'adam'?")),
        (["--grid=batch_size=8,16", "--batch_size=4"], ("--batch_size=4", "--grid=batch_size")),
        (["--grid=depth=20,x", "--architectures=plain"], ("--grid=depth=20,x", "'x'")),
        (["--grid=depth=20", "--architectures=plain,resnet34"], ("--architectures=plain,resnet34", "'resnet34'")),
        (["--grid=depth=21", "--architectures=plain"], ("plain21", "did you mean")),
        (["--shard=0/4"], ("--shard=0/4", "K/N")),
        (["--shard=5/4"], ("--shard=5/4", "K/N")),
        (["--shard=3"], ("--shard=3", "K/N")),
        (["--seeds=auto"], ("--seeds=auto",)),
        (["--folds=3"], ("--folds",)),
        (["--merge=one,two"], ("--merge", "--workdir")),
    ],
)
def test_a_grid_that_cannot_be_swept_ends_with_one_line(words, says):
    require_bad_input(COMMAND, *words, says=says)


def test_a_grid_of_too_many_cells_is_refused(monkeypatch):
    monkeypatch.setattr("resjax.cli.sweep.MOST_CELLS", 100)
    values = ",".join(map(str, range(1, 200)))
    require_bad_input(COMMAND, f"--grid=batch_size={values}", "--seeds=5", says=("--grid", "100 cells"))


def test_a_later_grid_of_the_same_flag_replaces_an_earlier_one():
    assert parse_grid(["width=4,8", "width=2"]) == {"width": ("2",)}
    assert name_of({}) == "all"


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 40])
def test_shards_share_out_every_cell_once_and_none_is_dearer_by_more_than_a_cell(tmp_path, shards):
    points = asked_for(tmp_path, tmp_path, rates=(1e-1, 1e-2, 1e-3), batches=(8, 16)).points
    cells = all_cells(points)
    costs = {cell: 1.0 + 3 * cell.network for cell in cells}
    shares = [share_of(cells, costs, shard, shards) for shard in range(1, shards + 1)]
    assert Counter(cell for share in shares for cell in share) == Counter(cells)
    totals = [sum(costs[cell] for cell in share) for share in shares]
    assert max(totals) - min(totals) <= 2 * max(costs.values())
    # Cells of a program lie together, so that few shares compile it.
    keys = [program_key(points, cell) for cell in cells]
    assert len(set(keys)) == 4 == 1 + sum(one != other for one, other in zip(keys, keys[1:], strict=False))
