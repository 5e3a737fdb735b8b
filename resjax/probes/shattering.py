"""Shattered gradients: the correlation between the gradients at neighbouring images."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from resjax.functional import Functional
from resjax.models.changes import Changes
from resjax.probes.common import Values, network_input, zero_additions
from resjax.types import Batch, Variables

POINTS = 64
"""Images on the line."""
LAGS = 16
"""The largest distance of the autocorrelation, in steps between images."""


@partial(jax.jit, static_argnums=(0, 3))
def shattering(functional: Functional, variables: Variables, batch: Batch, points: int = POINTS) -> Values:
    """Autocorrelation of gradients along the line x(t) = (1 - t) x_a + t x_b between the first two images of a batch.

    g_i is the gradient of the logit of the first image's class at the i-th of `points` equally spaced images, and m is
    the mean of all g_i:

      autocorrelation[k] = sum_i <g_i - m, g_{i+k} - m> / sum_i |g_i - m|^2

    (Balduzzi et al. 2017, "The shattered gradients problem", section 2). It is 0 for k > 0 for white noise, and falls
    slowly for a smooth function. `whiteness[l]` is one minus the mean cosine between neighbours, 1 - mean_i cos(g_i,
    g_{i+1}), for the gradient by the input of block l: 0 for a constant gradient, 1 if neighbours are unrelated. Batch
    norm uses the statistics of the whole batch for all points, so that the gradient of one image does not depend on the
    others.

    Returns:
      `autocorrelation`, (lag,) from lag 0 on; `whiteness`, (block + 1,).
    """
    images = network_input(batch.images)
    still = Variables(variables.parameters, functional.batch_statistics(variables, images))
    share = jnp.linspace(0.0, 1.0, points).reshape(-1, 1, 1, 1).astype(images.dtype)
    line = (1 - share) * images[:1] + share * images[1:2]

    def logit(line, added):
        return functional.trace(still, line, Changes(added=added)).logits[:, batch.labels[0]].sum()

    by_images, by_features = jax.grad(logit, argnums=(0, 1))(line, zero_additions(functional, variables, line))
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
