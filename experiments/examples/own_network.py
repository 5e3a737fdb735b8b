"""A network of your own, trained by hand on the same images as a ResNet: ConvMixer (Trockman and Kolter 2022).

python -m experiments.examples.own_network
"""

import jax
import optax
from flax import nnx

import resjax
from resjax.data import standardize, to_float

from .images import dishes


class ConvMixer(nnx.Module):
    """Images (batch, height, width, 3) to logits (batch, class): patches, mixed in space and over channels in turn."""

    def __init__(self, classes: int, *, width: int, depth: int, patch: int = 4, kernel: int = 5, rngs: nnx.Rngs):
        self.embed = nnx.Conv(3, width, (patch, patch), strides=patch, rngs=rngs)
        self.mixers = nnx.List()
        for _ in range(depth):
            self.mixers.append(nnx.Conv(width, width, (kernel, kernel), feature_group_count=width, rngs=rngs))
            self.mixers.append(nnx.Conv(width, width, (1, 1), rngs=rngs))
        self.norms = nnx.List([resjax.BatchNorm(width) for _ in range(2 * depth + 1)])
        self.head = nnx.Linear(width, classes, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        first, *norms = self.norms
        features = first(nnx.gelu(self.embed(images)))
        for place, (mixer, norm) in enumerate(zip(self.mixers, norms, strict=True)):
            mixed = norm(nnx.gelu(mixer(features)))
            features = mixed if place % 2 else features + mixed
        return self.head(features.mean((1, 2)))


@nnx.jit
def train_step(network: nnx.Module, optimizer: nnx.Optimizer, images: jax.Array, labels: jax.Array) -> jax.Array:
    """One step of the optimizer on uint8 images; the loss in nats per image before it."""

    def loss(network: nnx.Module) -> jax.Array:
        logits = network(standardize(to_float(images)))
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    value, gradients = nnx.value_and_grad(loss)(network)
    optimizer.update(network, gradients)
    return value


def main(
    images: int = 100, size: int = 32, width: int = 32, depth: int = 2, steps: int = 20
) -> dict[str, tuple[float, float]]:
    """Trains both networks on all images at once; returns the losses (nats per image) of the first and last step."""
    batch, losses = dishes(images, size), {}
    own = ConvMixer(5, width=width, depth=depth, rngs=nnx.Rngs(0))
    for name, network in (("convmixer", own), ("resnet8", resjax.build("resnet8", classes=5, key=0, width=width))):
        optimizer = nnx.Optimizer(network, optax.adam(1e-2), wrt=nnx.Param)
        seen = [float(train_step(network, optimizer, *batch)) for _ in range(steps)]
        losses[name] = seen[0], seen[-1]
        print(f"{name}: loss {seen[0]:.2f} at first, {seen[-1]:.2f} after {steps} steps")
    return losses


if __name__ == "__main__":
    main()
