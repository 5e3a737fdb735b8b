"""Signal flow: what becomes of the images' activations from block to block."""

from functools import partial

import jax
import jax.numpy as jnp

from resjax.functional import Functional
from resjax.probes.common import Values, seen
from resjax.types import Batch, Features, Variables


@partial(jax.jit, static_argnums=0)
def signal_flow(functional: Functional, variables: Variables, batch: Batch) -> Values:
    """Mean and variance of what enters each block, and how alike two images are in it.

      mean[l] = E x_l,  variance[l] = Var x_l  over images, pixels and channels;
      correlation[l] = mean over pairs a < b of Pearson's correlation between x_l(a) and x_l(b), pixels and channels
      flattened.

    Both with batch norm by the batch's statistics (`training_...`) and by the running ones (`inference_...`). Where the
    correlation goes to 1, depth has made all images one (Schoenholz et al. 2017, section 3; De and Smith 2020 for the
    variance along a residual branch). The last entry is what leaves the last block.

    Returns:
      `training_mean`, `inference_mean`, ..._variance, ..._correlation: (block + 1,) each.
    """
    found = {}
    for mode, training in (("training", True), ("inference", False)):
        described = [
            _describe(each) for each in functional.trace(variables, seen(batch.images), training=training).features
        ]
        for place, name in enumerate(("mean", "variance", "correlation")):
            found[f"{mode}_{name}"] = jnp.stack([each[place] for each in described])
    return found


def _describe(features: Features):
    flat = features.astype(jnp.float32).reshape(len(features), -1)
    centred = flat - flat.mean(1, keepdims=True)
    unit = centred / jnp.maximum(jnp.linalg.norm(centred, axis=1, keepdims=True), 1e-30)
    alike = unit @ unit.T
    images = len(flat)
    pairs = max(images * (images - 1), 1)
    return flat.mean(), flat.var(), (alike.sum() - jnp.trace(alike)) / pairs
