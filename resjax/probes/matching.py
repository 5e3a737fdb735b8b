"""Two seeds' channels brought into the same order, so that their parameters can be averaged."""

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Int

from resjax.functional import path_name
from resjax.models.architecture import BLOCKS, Architecture
from resjax.types import BadInput, Variables

Groups = Mapping[str, list[tuple[str, int]]]
"""Sets of channels that have to keep one order: each a list of arrays, by path, and the axis that the channels are."""
ROUNDS = 20


def channel_groups(architecture: Architecture, names: list[str]) -> Groups:
    """The channels of a network that can be put into another order without changing its function.

    Those between the convolutions of a block are free. Those that a shortcut adds to others have the order of these,
    from projection to projection; a plain network has a set of its own after each block.

    Raises:
      BadInput: for shortcuts that pad: they tie the channels of all stages to each other.
    """
    if architecture.shortcut == "pad":
        raise BadInput(f"{architecture.name}: the shortcuts that pad leave the channels no order of their own")
    groups: dict[str, list[tuple[str, int]]] = {}
    there = set(names)

    def tie(group: str | None, path: str, axis: int) -> None:
        for leaf in (
            (path,) if path.endswith("kernel") else tuple(f"{path}.{n}" for n in ("scale", "bias", "mean", "var"))
        ):
            if group is not None and leaf in there:
                groups.setdefault(group, []).append((leaf, axis))

    stream: str = "stem"
    tie(stream, "stem.conv.kernel", 3)
    tie(stream, "stem.norm", 0)
    depth, before = BLOCKS[architecture.block], architecture.preactivation
    for place in architecture.places():
        at = f"stages.{place.stage}.{place.index}"
        projected = f"{at}.shortcut.conv.kernel" in there
        leaving = at if architecture.is_plain or projected else stream
        inner = [None if architecture.cardinality > 1 else f"{at}.conv{n}" for n in range(1, depth)]
        entering, outgoing = [stream, *inner], [*inner, leaving]
        for number, (inputs, outputs) in enumerate(zip(entering, outgoing, strict=True), 1):
            tie(inputs, f"{at}.conv{number}.kernel", 2)
            tie(outputs, f"{at}.conv{number}.kernel", 3)
            tie(inputs if before else outputs, f"{at}.norm{number}", 0)
        if projected:
            tie(stream, f"{at}.shortcut.conv.kernel", 2)
            tie(leaving, f"{at}.shortcut.conv.kernel", 3)
            tie(leaving, f"{at}.shortcut.norm", 0)
        tie(leaving, f"{at}.gate.squeeze.kernel", 0)
        tie(leaving, f"{at}.gate.excite.kernel", 1)
        tie(leaving, f"{at}.gate.excite", 0)
        stream = leaving
    tie(stream, "norm", 0)
    tie(stream, "head.kernel", 0)
    return groups


def named(tree) -> dict[str, np.ndarray]:
    """The arrays of a tree by their paths."""
    return {path_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def match(architecture: Architecture, first: Variables, second: Variables) -> dict[str, Int[np.ndarray, " channel"]]:
    """For each set of channels the order of `second` that brings its parameters closest to those of `first`.

    Weight matching (Ainsworth et al. 2023, "Git Re-Basin", algorithm 1): set by set, the assignment that makes the sum
    of products of the two networks' kernels largest, the other sets held, until nothing changes.
    """
    from scipy.optimize import linear_sum_assignment

    one, other = named(first.parameters), named(second.parameters)
    groups = channel_groups(architecture, list(one))
    orders = {group: np.arange(one[tied[0][0]].shape[tied[0][1]]) for group, tied in groups.items()}
    for _ in range(ROUNDS):
        changed = False
        for group, tied in groups.items():
            gains = np.zeros((len(orders[group]),) * 2)
            for path, axis in tied:
                moved = _moved(other[path], path, groups, orders, skip=(group, axis))
                mine = np.moveaxis(one[path], axis, 0).reshape(len(gains), -1)
                gains += mine @ np.moveaxis(moved, axis, 0).reshape(len(gains), -1).T
            order = linear_sum_assignment(gains, maximize=True)[1]
            better = (
                gains[np.arange(len(order)), order].sum() > gains[np.arange(len(order)), orders[group]].sum() + 1e-9
            )
            if better:
                orders[group], changed = order, True
        if not changed:
            break
    return orders


def _moved(array, path, groups, orders, skip=None):
    for group, tied in groups.items():
        for name, axis in tied:
            if name == path and (group, axis) != skip:
                array = np.take(array, orders[group], axis)
    return array


def reordered(
    architecture: Architecture, variables: Variables, orders: Mapping[str, Int[np.ndarray, " channel"]]
) -> Variables:
    """The same function with its channels in other orders: each set's new channel i is its old channel order[i]."""
    names = [*named(variables.parameters), *named(variables.statistics)]
    groups = channel_groups(architecture, names)

    def move(path, leaf):
        return jax.numpy.asarray(_moved(np.asarray(leaf), path_name(path), groups, orders))

    return Variables(*(jax.tree_util.tree_map_with_path(move, each) for each in variables))
