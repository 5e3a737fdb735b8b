"""The cells of a sweep (a point of the grid, an architecture, a seed): which share programs, and who takes which."""

from collections.abc import Hashable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from resjax.models.architecture import Architecture
from resjax.sweep.grid import Point

FAILURE = "failure.json"
"""In the folder of a cell that did not end: why. It is tried again by the next start, which may have more memory."""


class Cell(NamedTuple):
    """A replica of a sweep; cells sort by seed first, so that a sweep that ends early has all points of some seeds."""

    seed: int
    point: int
    """Of the points, by number."""
    arm: int
    """Of the point's architectures, by number."""


def all_cells(points: Sequence[Point]) -> list[Cell]:
    """Every cell, those that share a compiled program beside each other."""
    cells = [
        Cell(seed, number, arm)
        for number, point in enumerate(points)
        for seed in point.settings.seeds
        for arm in range(len(point.settings.architectures))
    ]
    order: dict[Hashable, int] = {}
    for cell in cells:
        order.setdefault(program_key(points, cell), len(order))
    return sorted(cells, key=lambda cell: (order[program_key(points, cell)], cell))


def program_key(points: Sequence[Point], cell: Cell) -> Hashable:
    """Equal for cells that differ in seed, learning rate and weight decay alone: they can be trained together.

    Those with no decay at all have a program of their own.
    """
    settings = points[cell.point].settings
    return settings.architectures[cell.arm], settings.recipe.without_rates(), settings.split.train_fraction


def share_of(cells: Sequence[Cell], costs: Mapping[Cell, float], shard: int, shards: int) -> list[Cell]:
    """The cells of a shard, from 1: all laid end to end by cost, and cut into equal lengths.

    A cell goes where its middle lies, so that a share costs what it should to within half a cell at each end, and those
    that share a compiled program stay together as far as they can. It depends on the declaration and the data alone.
    """
    total = sum(costs[cell] for cell in cells)
    ends = accumulate(costs[cell] for cell in cells)
    return [
        cell
        for cell, end in zip(cells, ends, strict=True)
        if min(int((end - costs[cell] / 2) / total * shards), shards - 1) == shard - 1
    ]


def relative_cost(forward_flops: float, epochs: int, train: int, val: int, architecture: Architecture) -> float:
    """What a cell costs next to others: operations, and a little for each layer, which is what tiny steps wait for."""
    return epochs * (train + val / 3) * (forward_flops + 1e4 * architecture.depth)
