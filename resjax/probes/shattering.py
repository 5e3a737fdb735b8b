"""Shattered gradients: whether the gradient at one image says anything about the gradient at the next."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from resjax.functional import Functional
from resjax.models.changes import Changes
from resjax.probes.common import Values, no_addition, seen
from resjax.types import Batch, Variables

POINTS = 64
"""Images on a line."""
LAGS = 16
"""Distances at which the autocorrelation is taken, in steps between images."""


@partial(jax.jit, static_argnums=(0, 3))
def shattering(functional: Functional, variables: Variables, batch: Batch, points: int = POINTS) -> Values:
    """Autocorrelation of gradients along the line x(t) = (1 - t) x_a + t x_b between the first two images of a batch.

    With g_i the gradient of the logit of the first image's class at the i-th of `points` equally spaced images, and m
    their mean,

      autocorrelation[k] = sum_i <g_i - m, g_{i+k} - m> / sum_i |g_i - m|^2

    (Balduzzi et al. 2017, "The shattered gradients problem", section 2): of white noise it is 0 for k > 0, of a smooth
    function it falls slowly. `whiteness[l]` is one minus the mean cosine between neighbours, 1 - mean_i cos(g_i,
    g_{i+1}), for the gradient by what enters block l: 0 for a gradient that stays the same, 1 for one that says nothing
    about the next. Batch norm by the statistics of the whole batch, the same for all points, so that each gradient is
    its own image's.

    Returns:
      `autocorrelation`, (lag,) from lag 0 on; `whiteness`, (block + 1,).
    """
    images = seen(batch.images)
    still = Variables(variables.parameters, functional.batch_statistics(variables, images))
    share = jnp.linspace(0.0, 1.0, points).reshape(-1, 1, 1, 1).astype(images.dtype)
    line = (1 - share) * images[:1] + share * images[1:2]

    def logit(line, added):
        return functional.trace(still, line, Changes(added=added)).logits[:, batch.labels[0]].sum()

    by_images, by_features = jax.grad(logit, argnums=(0, 1))(line, no_addition(functional, variables, line))
    return {
        "autocorrelation": autocorrelation(by_images.reshape(points, -1)),
        "whiteness": jnp.stack([whiteness(each.reshape(points, -1)) for each in by_features]),
    }


def autocorrelation(gradients: Float[Array, "point number"], lags: int = LAGS) -> Float[Array, " lag"]:
    """The autocorrelation of a series of vectors at lags 0 to `lags` (see `shattering`)."""
    centred = gradients.astype(jnp.float32) - gradients.mean(0, keepdims=True)
    products = centred @ centred.T
    sums = jnp.stack([jnp.trace(products, offset=lag) for lag in range(min(lags + 1, len(gradients)))])
    return sums / jnp.maximum(sums[0], 1e-30)


def whiteness(gradients: Float[Array, "point number"]) -> Float[Array, ""]:
    """One minus the mean cosine between each vector and the next."""
    norms = jnp.maximum(jnp.linalg.norm(gradients, axis=1), 1e-30)
    return 1 - ((gradients[:-1] * gradients[1:]).sum(1) / (norms[:-1] * norms[1:])).mean()
