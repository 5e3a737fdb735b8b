"""Saliency: the places in an image that speak for its class, by Grad-CAM."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from resjax.errors import BadInput
from resjax.functional import Functional
from resjax.models.changes import Changes
from resjax.probes.common import Values, network_input, zero_additions
from resjax.types import Batch, Images, Labels, Variables

SMALLEST_MAP = 4
"""Pixels; the least height and width of the feature map that is used."""


def grad_cam(functional: Functional, variables: Variables, batch: Batch) -> Values:
    """Maps of the features that speak for each image's own class (Selvaraju et al. 2017, equations 1 and 2).

      map = relu(sum_k a_k A_k),   a_k = mean over pixels of d logit / d A_k,

    divided by its largest value. A is the deepest feature map with at least `SMALLEST_MAP` pixels on each side, because
    the last map of a small image is too coarse to show a place. Batch norm uses the running statistics.

    Returns:
      `maps`, (image, row, column), from 0 to 1; all zeros if nothing speaks for the class.

    Raises:
      BadInput: if no feature map is large enough.
    """
    shapes = [each.shape for each in zero_additions(functional, variables, network_input(batch.images[:1]))]
    fitting = [place for place, shape in enumerate(shapes) if min(shape[1:3]) >= SMALLEST_MAP]
    if not fitting:
        largest = f"{shapes[0][1]} x {shapes[0][2]}"
        raise BadInput(
            f"{functional.architecture.name}: the largest feature map has {largest} pixels, expected at least "
            f"{SMALLEST_MAP} x {SMALLEST_MAP}: use larger images"
        )
    return {"maps": _maps(functional, variables, network_input(batch.images), batch.labels, fitting[-1])}


@partial(jax.jit, static_argnums=(0, 4))
def _maps(
    functional: Functional, variables: Variables, images: Images, labels: Labels, place: int
) -> Float[Array, "image row column"]:
    def logit(added):
        trace = functional.trace(variables, images, Changes(added=added))
        return jnp.take_along_axis(trace.logits, labels[:, None], 1).sum(), trace.features[place]

    gradients, features = jax.grad(logit, has_aux=True)(zero_additions(functional, variables, images))
    weights = gradients[place].mean((1, 2), keepdims=True)
    maps = jax.nn.relu((weights * features).sum(-1)).astype(jnp.float32)
    return maps / jnp.maximum(maps.max((1, 2), keepdims=True), 1e-30)
