"""Ablations of a trained network: accuracy with blocks deleted, and with the shortcut scaled down."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from resjax.errors import BadInput
from resjax.functional import Functional
from resjax.models.changes import Changes
from resjax.probes.common import Values, batch_statistics, changed_logits, keeps_shape, loss_and_accuracy
from resjax.types import Batch, Variables

DRAWS = 3
"""Random sets of blocks for each number of deleted blocks."""
DOSES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Factors of the shortcut."""


def lesions(functional: Functional, variables: Variables, batch: Batch, seed: int = 0, draws: int = DRAWS) -> Values:
    """Accuracy without each single block, and without k random blocks (Veit et al. 2016, sections 4.1 and 4.2).

    Deleting a block of a residual network deletes its branch; the shortcut stays, with its projection where the block
    changes the shape. A plain block is replaced by the identity; one that changes the shape cannot be deleted (NaN).
    The k random blocks are drawn among those that keep the shape, by `seed` alone, so that networks with equal blocks
    lose the same ones. Batch norm keeps its trained running statistics.

    Returns:
      `intact`, (1,); `without_block`, (block,); `deleted`, (draw,): the numbers k; `without_random`, (draw,). All but
      `deleted` are accuracies as fractions.

    Raises:
      BadInput: for a network with fewer than two blocks, or without a block that keeps the shape.
    """
    kept = keeps_shape(functional.architecture)
    if len(kept) < 2 or not any(kept):
        raise BadInput(
            f"{functional.architecture.name}: {len(kept)} blocks, {sum(kept)} of which keep the shape; expected at "
            "least two blocks, one of which keeps the shape"
        )
    deletable = [same or not functional.architecture.is_plain for same in kept]

    def accuracy(deleted: list[int]) -> float:
        branch = np.ones(len(kept), np.float32)
        branch[deleted] = 0
        logits = changed_logits(functional, variables, batch.images, Changes(branch=jnp.asarray(branch)))
        return loss_and_accuracy(logits, batch)[1]

    sets = random_sets(np.flatnonzero(kept), seed, draws)
    return {
        "intact": np.array([accuracy([])]),
        "without_block": np.array([accuracy([place]) if able else np.nan for place, able in enumerate(deletable)]),
        "deleted": np.array([len(each) for each in sets], float),
        "without_random": np.array([accuracy(each) for each in sets]),
    }


def shortcut_dose(
    functional: Functional, variables: Variables, batch: Batch, training: Batch, doses: tuple[float, ...] = DOSES
) -> Values:
    """Accuracy of a trained network whose blocks are changed to F(x) + d S(x), for several doses d of the shortcut S.

    The mean and variance after a changed block differ from the recorded ones. So the statistics of batch norm are
    estimated again at each dose, from the images of `training` without augmentation (as by torch's `update_bn`, and by
    Jordan et al. 2023, REPAIR, for interpolated networks). The accuracies by the old statistics are returned, too.

    Returns:
      `doses`, `accuracy`, `loss` (nats per image) and `accuracy_by_old_statistics`: (dose,) each.

    Raises:
      BadInput: for a network without shortcuts.
    """
    if functional.architecture.is_plain:
        raise BadInput(f"{functional.architecture.name}: no shortcut to scale; expected a network with shortcuts")
    blocks = sum(functional.architecture.blocks)
    found = []
    for dose in doses:
        changes = Changes(shortcut=jnp.full(blocks, dose, jnp.float32))
        repaired = Variables(variables.parameters, batch_statistics(functional, variables, training.images, changes))
        loss, accuracy = loss_and_accuracy(changed_logits(functional, repaired, batch.images, changes), batch)
        _, by_old_statistics = loss_and_accuracy(changed_logits(functional, variables, batch.images, changes), batch)
        found.append((dose, accuracy, loss, by_old_statistics))
    names = ("doses", "accuracy", "loss", "accuracy_by_old_statistics")
    return dict(zip(names, np.array(found).T, strict=True))


def random_sets(blocks: Int[np.ndarray, " block"], seed: int, draws: int) -> list[list[int]]:
    """`draws` random sets of each of 2, 4, 8, ... of the blocks, and last the set of all blocks."""
    rng = np.random.default_rng(seed)
    sizes = [size for size in (2, 4, 8, 16, 32, 64, 128) if size < len(blocks)]
    sets = [sorted(rng.choice(blocks, size, replace=False).tolist()) for size in sizes for _ in range(draws)]
    return [*sets, [int(block) for block in blocks]]
