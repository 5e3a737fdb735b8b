"""Mode connectivity: the loss on the line between two seeds' solutions, with their channels in the same order."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, PyTree

from resjax.errors import BadInput
from resjax.functional import Functional, path_name
from resjax.models.architecture import BLOCKS, Architecture
from resjax.models.changes import Changes
from resjax.probes.common import Values, batch_statistics, changed_logits, loss_and_accuracy
from resjax.types import Batch, Variables

ChannelGroups = Mapping[str, list[tuple[str, int]]]
"""Groups of channels that must keep a common order; each is a list of (path of an array, axis of the channels)."""
Orders = Mapping[str, Int[np.ndarray, " channel"]]
"""An order of the channels of each group: new channel i is old channel order[i]."""
ROUNDS = 20
"""Passes over all groups, at most."""


def connectivity(
    functional: Functional,
    first: Variables,
    second: Variables,
    batch: Batch,
    training: Batch,
    shares: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0),
) -> Values:
    """The loss at (1 - a) first + a second, with the channels of the second as they are, and matched to the first.

      barrier = max over a of loss(a) - ((1 - a) loss(0) + a loss(1))   (Frankle et al. 2020, section 2)

    Channels are matched by `match_channels` (Ainsworth et al. 2023). The statistics of batch norm are estimated again
    at each point from the images of `training`, at the ends, too (Jordan et al. 2023: otherwise the barrier is mostly
    collapsed variance).

    Args:
      batch: the images on which the loss is measured.
      shares: the values of a, from 0 to 1.

    Returns:
      `shares`, (share,); `matched` and `as_they_are`, (share,): losses in nats per image; `barrier` (matched) and
      `barrier_as_they_are`, (1,).

    Raises:
      BadInput: for shortcuts that pad.
    """
    orders = match_channels(functional.architecture, first, second)
    ends = {"matched": reorder_channels(functional.architecture, second, orders), "as_they_are": second}
    found = {"shares": np.array(shares)}
    for name, end in ends.items():
        losses = np.array([_loss(functional, _between(first, end, share), batch, training) for share in shares])
        found[name] = losses
        straight = (1 - found["shares"]) * losses[0] + found["shares"] * losses[-1]
        found["barrier" if name == "matched" else f"barrier_{name}"] = np.array([(losses - straight).max()])
    return found


def channel_groups(architecture: Architecture, names: list[str]) -> ChannelGroups:
    """The groups of channels that can be reordered without changing the network's function.

    The channels between the convolutions of a block are a group. Channels that a shortcut adds to each other are one
    group from projection to projection; in a plain network the output of each block is a group of its own.

    Args:
      names: the paths of the network's arrays.

    Raises:
      BadInput: for shortcuts that pad: they tie the channels of all stages together.
    """
    if architecture.shortcut == "pad":
        raise BadInput(
            f"{architecture.name}: shortcut pad fixes the order of the channels; expected shortcut none, project or "
            "project_all"
        )
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


def arrays_by_path(tree: PyTree) -> dict[str, np.ndarray]:
    """The arrays of a tree by their paths, such as `stages.0.0.conv1.kernel`."""
    return {path_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def match_channels(architecture: Architecture, first: Variables, second: Variables) -> Orders:
    """The orders of the channels of `second` that bring its parameters closest to those of `first`.

    Weight matching (Ainsworth et al. 2023, "Git Re-Basin", algorithm 1): group by group, the assignment with the
    largest sum of products of the two networks' kernels, with the other groups fixed, until nothing changes.
    """
    from scipy.optimize import linear_sum_assignment

    one, other = arrays_by_path(first.parameters), arrays_by_path(second.parameters)
    groups = channel_groups(architecture, list(one))
    orders = {group: np.arange(one[tied[0][0]].shape[tied[0][1]]) for group, tied in groups.items()}
    for _ in range(ROUNDS):
        changed = False
        for group, tied in groups.items():
            gains = np.zeros((len(orders[group]),) * 2)
            for path, axis in tied:
                moved = _reordered_array(other[path], path, groups, orders, skip=(group, axis))
                fixed = np.moveaxis(one[path], axis, 0).reshape(len(gains), -1)
                gains += fixed @ np.moveaxis(moved, axis, 0).reshape(len(gains), -1).T
            order = linear_sum_assignment(gains, maximize=True)[1]
            rows = np.arange(len(order))
            if gains[rows, order].sum() > gains[rows, orders[group]].sum() + 1e-9:
                orders[group], changed = order, True
        if not changed:
            break
    return orders


def _reordered_array(
    array: np.ndarray, path: str, groups: ChannelGroups, orders: Orders, skip: tuple[str, int] | None = None
) -> np.ndarray:
    """The array with the channels of every axis reordered, except the axis of the group in `skip`."""
    for group, tied in groups.items():
        for name, axis in tied:
            if name == path and (group, axis) != skip:
                array = np.take(array, orders[group], axis)
    return array


def reorder_channels(architecture: Architecture, variables: Variables, orders: Orders) -> Variables:
    """The same function with its channels in other orders."""
    names = [*arrays_by_path(variables.parameters), *arrays_by_path(variables.statistics)]
    groups = channel_groups(architecture, names)

    def move(path, leaf):
        return jnp.asarray(_reordered_array(np.asarray(leaf), path_name(path), groups, orders))

    return Variables(*(jax.tree_util.tree_map_with_path(move, each) for each in variables))


def _between(first: Variables, second: Variables, share: float) -> Variables:
    return jax.tree.map(lambda one, other: (1 - share) * one + share * other, first, second)


def _loss(functional: Functional, variables: Variables, batch: Batch, training: Batch) -> float:
    statistics = batch_statistics(functional, variables, training.images, Changes())
    repaired = Variables(variables.parameters, statistics)
    return loss_and_accuracy(changed_logits(functional, repaired, batch.images, Changes()), batch)[0]
