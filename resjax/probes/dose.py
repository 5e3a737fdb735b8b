"""Shortcut dose: what a network still knows as its shortcut is turned down."""

import jax.numpy as jnp
import numpy as np

from resjax.functional import Functional
from resjax.models.changes import Changes
from resjax.probes.common import Values, changed_logits, scores, statistics_of
from resjax.types import BadInput, Batch, Variables

DOSES = (0.0, 0.25, 0.5, 0.75, 1.0)


def shortcut_dose(
    functional: Functional, variables: Variables, batch: Batch, training: Batch, doses: tuple[float, ...] = DOSES
) -> Values:
    """Accuracy of a trained network whose blocks are F(x) + d S(x), for some doses d of the shortcut S.

    Batch norm after a changed block sees another mean and variance than it has recorded. So its statistics are
    estimated anew at each dose, from the images of `training` without augmentation (as torch's `update_bn` does, and
    Jordan et al. 2023, REPAIR, for interpolated networks); the accuracies by the old ones are given beside them.

    Returns:
      `doses`, `accuracy`, `loss` and `accuracy_by_old_statistics`: (dose,) each.

    Raises:
      BadInput: for a network without shortcuts.
    """
    if functional.architecture.is_plain:
        raise BadInput(f"{functional.architecture.name}: there is no shortcut to scale")
    blocks = sum(functional.architecture.blocks)
    found = []
    for dose in doses:
        changes = Changes(shortcut=jnp.full(blocks, dose, jnp.float32))
        again = Variables(variables.parameters, statistics_of(functional, variables, training.images, changes))
        loss, accuracy = scores(changed_logits(functional, again, batch.images, changes), batch)
        _, by_old = scores(changed_logits(functional, variables, batch.images, changes), batch)
        found.append((dose, accuracy, loss, by_old))
    names = ("doses", "accuracy", "loss", "accuracy_by_old_statistics")
    return dict(zip(names, np.array(found).T, strict=True))
