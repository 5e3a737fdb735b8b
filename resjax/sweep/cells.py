"""The cells of a sweep (a point of the grid, an architecture, a seed): their programs, costs and shards."""

from collections.abc import Hashable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from resjax.sweep.grid import Point

FAILURE = "failure.json"
"""In the folder of a cell that failed: the reason. The next start tries it again; it may have more memory."""


class Cell(NamedTuple):
    """A replica of a sweep. Cells sort by seed first, so that a sweep that ends early has all points of some seeds."""

    seed: int
    point: int
    """Its number among the points."""
    network: int
    """Its number among the point's architectures."""


def all_cells(points: Sequence[Point]) -> list[Cell]:
    """All cells; those that share a compiled program are neighbours."""
    cells = [
        Cell(seed, number, network)
        for number, point in enumerate(points)
        for seed in point.settings.seeds
        for network in range(len(point.settings.architectures))
    ]
    order: dict[Hashable, int] = {}
    for cell in cells:
        order.setdefault(program_key(points, cell), len(order))
    return sorted(cells, key=lambda cell: (order[program_key(points, cell)], cell))


def program_key(points: Sequence[Point], cell: Cell) -> Hashable:
    """Equal for cells that differ in seed, learning rate and weight decay alone: they can be trained together.

    Cells with a weight decay of 0 have a program of their own.
    """
    settings = points[cell.point].settings
    return settings.architectures[cell.network], settings.recipe.without_rates(), settings.split.train_fraction


def share_of(cells: Sequence[Cell], costs: Mapping[Cell, float], shard: int, shards: int) -> list[Cell]:
    """The cells of a shard, numbered from 1: all cells are laid end to end by cost, and cut into equal lengths.

    A cell belongs to the shard in which its middle lies. The cost of a shard is therefore right to within half a cell
    at each end, and cells that share a compiled program mostly stay together. The result depends on the declaration
    and the data alone.
    """
    total = sum(costs[cell] for cell in cells)
    ends = accumulate(costs[cell] for cell in cells)
    return [
        cell
        for cell, end in zip(cells, ends, strict=True)
        if min(int((end - costs[cell] / 2) / total * shards), shards - 1) == shard - 1
    ]


def relative_cost(forward_flops: float, epochs: int, train: float, val: int, layers: int) -> float:
    """The cost of a cell relative to others: its operations, and a little per layer, which dominates tiny steps."""
    return epochs * (train + val / 3) * (forward_flops + 1e4 * layers)
