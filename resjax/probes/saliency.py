"""What a network looks at: Grad-CAM."""

from functools import partial

import jax
import jax.numpy as jnp

from resjax.functional import Functional
from resjax.models.changes import Changes
from resjax.probes.common import Values, no_addition, seen
from resjax.types import BadInput, Batch, Images, Variables

SMALLEST_MAP = 4
"""Pixels that the map of the layer looked at has at least on its shorter side."""


def grad_cam(functional: Functional, variables: Variables, batch: Batch) -> Values:
    """Where in each image the features lie that speak for its own class (Selvaraju et al. 2017, equations 1 and 2).

      map = relu(sum_k a_k A_k),   a_k = mean over pixels of d logit / d A_k,

    divided by its largest value, for the features A that leave the last stage whose map has `SMALLEST_MAP` pixels or
    more on each side: in small images the last stage's map is too coarse to show a place. By the running statistics.

    Returns:
      `maps`, (image, row, column), from 0 to 1; zeros where nothing speaks for the class.

    Raises:
      BadInput: where no stage has a map of that size.
    """
    shapes = [each.shape for each in no_addition(functional, variables, seen(batch.images[:1]))]
    fitting = [place for place, shape in enumerate(shapes) if min(shape[1:3]) >= SMALLEST_MAP]
    if not fitting:
        raise BadInput(f"{functional.architecture.name}: maps of {SMALLEST_MAP} x {SMALLEST_MAP} or more are needed")
    return {"maps": _maps(functional, variables, seen(batch.images), batch.labels, fitting[-1])}


@partial(jax.jit, static_argnums=(0, 4))
def _maps(functional: Functional, variables: Variables, images: Images, labels, place: int):
    def logit(added):
        trace = functional.trace(variables, images, Changes(added=added))
        return jnp.take_along_axis(trace.logits, labels[:, None], 1).sum(), trace.features[place]

    gradients, features = jax.grad(logit, has_aux=True)(no_addition(functional, variables, images))
    weights = gradients[place].mean((1, 2), keepdims=True)
    maps = jax.nn.relu((weights * features).sum(-1)).astype(jnp.float32)
    return maps / jnp.maximum(maps.max((1, 2), keepdims=True), 1e-30)
