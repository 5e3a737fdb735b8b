"""Lesions: what a trained network still knows when blocks are taken out."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resjax.functional import Functional
from resjax.models.changes import Changes
from resjax.probes.common import Values, changed_logits, keeps_shape, scores
from resjax.types import BadInput, Batch, Variables

DRAWS = 3
"""Random sets of each number of blocks."""


def lesions(functional: Functional, variables: Variables, batch: Batch, seed: int = 0, draws: int = DRAWS) -> Values:
    """Accuracy after deleting each block, and after deleting k random ones (Veit et al. 2016, sections 4.1 and 4.2).

    Deleting a block of a residual network is deleting its branch: what enters goes on by the shortcut, projection
    included where the block changes the shape. A plain block has no other way: the identity takes its place where the
    shape stays, and a plain block that changes the shape cannot be deleted (NaN). The k random blocks are drawn among
    those that keep the shape, the same for all arms and seeds, so that arms of equal blocks lose the same places.
    Running statistics stay as they were trained.

    Returns:
      `intact`, (1,); `without_block`, (block,); `deleted`, (draw,): the numbers k; `without_random`, (draw,).

    Raises:
      BadInput: for a network of one block, or without a block that keeps the shape.
    """
    kept = keeps_shape(functional.architecture)
    if len(kept) < 2 or not any(kept):
        raise BadInput(f"{functional.architecture.name}: lesions need two blocks or more, and one that keeps the shape")
    deletable = [same or not functional.architecture.is_plain for same in kept]

    def accuracy(deleted: list[int]) -> float:
        branch = np.ones(len(kept), np.float32)
        branch[deleted] = 0
        logits = changed_logits(functional, variables, batch.images, Changes(branch=jnp.asarray(branch)))
        return scores(logits, batch)[1]

    sets = random_sets(np.flatnonzero(kept), seed, draws)
    return {
        "intact": np.array([accuracy([])]),
        "without_block": np.array([accuracy([place]) if able else np.nan for place, able in enumerate(deletable)]),
        "deleted": np.array([len(each) for each in sets], float),
        "without_random": np.array([accuracy(each) for each in sets]),
    }


def random_sets(places: Float[np.ndarray, " place"], seed: int, draws: int) -> list[list[int]]:
    """Some of the places: `draws` sets of 2, 4, 8, ... of them, and all."""
    rng = np.random.default_rng(seed)
    sizes = [size for size in (2, 4, 8, 16, 32, 64, 128) if size < len(places)]
    sets = [sorted(rng.choice(places, size, replace=False).tolist()) for size in sizes for _ in range(draws)]
    return [*sets, [int(place) for place in places]]
