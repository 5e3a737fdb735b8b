"""Gradient flow: how much of the loss's gradient reaches each depth."""

from functools import partial

import jax
import jax.numpy as jnp

from resjax.functional import Functional
from resjax.models.changes import Changes
from resjax.probes.common import Values, layer_kernels, mean_loss, no_addition, seen
from resjax.types import Batch, Variables


@partial(jax.jit, static_argnums=0)
def gradient_flow(functional: Functional, variables: Variables, batch: Batch) -> Values:
    """Norms of the gradient of the mean loss L by what enters each block, and by each layer's kernel.

      block_inputs[l] = |dL/dx_l|,   kernels[i] = |dL/dW_i| / |W_i|

    with Euclidean norms over the whole batch and batch norm by the batch's own statistics, as in training. If gradients
    vanish, block_inputs falls from the last entry (what leaves the last block) to the first (what leaves the stem):
    Glorot and Bengio 2010, section 4.2; He et al. 2016 (identity mappings), equation 5. The relative size of a step
    is what `kernels` shows (You et al. 2017, LARS, section 4). Kernels are stem, blocks, head, without shortcuts.

    Returns:
      `block_inputs`, (block + 1,); `kernels`, (layer,).
    """
    images = seen(batch.images)

    def loss(parameters, added):
        changed = Variables(parameters, variables.statistics)
        return mean_loss(functional.trace(changed, images, Changes(added=added), training=True).logits, batch.labels)

    by_parameters, by_features = jax.grad(loss, argnums=(0, 1))(
        variables.parameters, no_addition(functional, variables, images)
    )
    gradients = layer_kernels(by_parameters, functional.architecture)
    weights = layer_kernels(variables.parameters, functional.architecture)
    return {
        "block_inputs": jnp.stack([_norm(each) for each in by_features]),
        "kernels": jnp.stack([_norm(gradients[name]) / jnp.maximum(_norm(weights[name]), 1e-30) for name in weights]),
    }


def _norm(array):
    return jnp.sqrt(jnp.sum(jnp.square(array.astype(jnp.float32))))
