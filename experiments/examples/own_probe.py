"""A probe of your own: how many directions the features of each block use, in a ResNet and in its plain twin.

python -m experiments.examples.own_probe
"""

from functools import partial

import jax
import jax.numpy as jnp

import resjax
from resjax.data import standardize, to_float

from .images import dishes


@partial(jax.jit, static_argnums=0)
def effective_ranks(functional: resjax.Functional, variables: resjax.Variables, pixels: jax.Array) -> jax.Array:
    """The effective rank of the features that enter each block, and of those that leave the last: (block + 1,).

    exp of the entropy of the normalized singular values (Roy and Vetterli 2007), of the features' means over pixels:
    1 where all images differ in one direction, at most the number of channels. Batch norm uses the batch's statistics.
    """
    trace = functional.trace(variables, standardize(to_float(pixels)), training=True)

    def rank(features: jax.Array) -> jax.Array:
        pooled = features.astype(jnp.float32).mean((1, 2))
        values = jnp.linalg.svd(pooled - pooled.mean(0, keepdims=True), compute_uv=False)
        shares = values / jnp.maximum(values.sum(), 1e-30)
        return jnp.exp(-(shares * jnp.log(jnp.maximum(shares, 1e-30))).sum())

    return jnp.stack([rank(each) for each in trace.features])


def main(name: str = "resnet56", images: int = 50, size: int = 32, width: int = 16) -> dict[str, list[float]]:
    """Probes both twins before training, from the same initial numbers; returns the ranks block by block."""
    pixels, found = dishes(images, size).images, {}
    described = resjax.architecture(name, width=width)
    for each in (described, described.with_shortcut("none")):
        functional = resjax.Functional(each, classes=5)
        # Of a trained network: `resjax.predict.TrainedNetwork.variables`, or your own checkpoint.
        variables = functional.init(jax.random.key(0))
        found[each.name] = effective_ranks(functional, variables, pixels).tolist()
        print(f"{each.name}: effective rank {found[each.name][0]:.1f} at first, {found[each.name][-1]:.1f} at the end")
    return found


if __name__ == "__main__":
    main()
