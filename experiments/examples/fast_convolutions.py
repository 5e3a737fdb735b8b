"""resjax's CPU convolutions in a plain Flax model: one argument of `nnx.Conv`, or of `flax.linen.Conv`.

python -m experiments.examples.fast_convolutions
"""

from collections.abc import Callable
from time import perf_counter

import jax
import jax.numpy as jnp
from flax import nnx

from resjax.ops import conv_general_dilated, cpu_convolutions_used


class Classifier(nnx.Module):
    """Images (batch, height, width, 3) to logits (batch, class)."""

    def __init__(self, classes: int, width: int, convolve: Callable[..., jax.Array], *, rngs: nnx.Rngs):
        sizes = [3, width, 2 * width, 4 * width]
        self.convolutions = nnx.List(
            [
                nnx.Conv(inputs, outputs, (3, 3), strides=2, conv_general_dilated=convolve, rngs=rngs)
                for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True)
            ]
        )
        self.head = nnx.Linear(sizes[-1], classes, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        for convolution in self.convolutions:
            images = nnx.relu(convolution(images))
        return self.head(images.mean((1, 2)))


@nnx.jit
def gradient(network: Classifier, images: jax.Array) -> nnx.State:
    """The gradient of a loss by the parameters."""
    return nnx.grad(lambda network: jnp.square(network(images)).sum())(network)


def main(images: int = 64, size: int = 64, width: int = 32) -> float:
    """Times one gradient with XLA's convolutions and with resjax's; returns by how much they differ at most."""
    pixels = jax.random.normal(jax.random.key(0), (images, size, size, 3))
    found = []
    for name, convolve in (("XLA", jax.lax.conv_general_dilated), (cpu_convolutions_used(), conv_general_dilated)):
        network = Classifier(10, width, convolve, rngs=nnx.Rngs(0))
        jax.block_until_ready(gradient(network, pixels))
        begun = perf_counter()
        found.append(nnx.to_pure_dict(jax.block_until_ready(gradient(network, pixels))))
        print(f"{name}: {1000 * (perf_counter() - begun):.1f} ms")
    differences = jax.tree.map(lambda one, other: jnp.abs(one - other).max() / jnp.abs(one).max(), *found)
    return max(map(float, jax.tree.leaves(differences)))


if __name__ == "__main__":
    main()
