"""A network of your own as pure functions, trained by hand beside a ResNet: ConvMixer (Trockman and Kolter 2022).

python -m experiments.examples.own_network
"""

from functools import partial
from typing import Any

import jax
import optax
from flax import nnx

import resjax
from resjax.data import standardize, to_float
from resjax.models import OwnNetwork

from .images import dishes

OPTIMIZER = optax.adam(1e-2)


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


def conv_mixer(key: jax.Array, classes: int, width: int = 32, depth: int = 2) -> ConvMixer:
    """What resjax calls for each seed."""
    return ConvMixer(classes, width=width, depth=depth, rngs=nnx.Rngs(key))


@partial(jax.jit, static_argnums=0)
def train_step(
    functional: resjax.Functional, variables: resjax.Variables, state: optax.OptState, batch: resjax.Batch
) -> tuple[resjax.Variables, optax.OptState, jax.Array]:
    """One step on uint8 images; returns variables and optimizer state after it, and the loss in nats before it."""

    def loss(parameters):
        images = standardize(to_float(batch.images))
        logits, statistics = functional.apply_train(resjax.Variables(parameters, variables.statistics), images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch.labels).mean(), statistics

    (value, statistics), gradients = jax.value_and_grad(loss, has_aux=True)(variables.parameters)
    updates, state = OPTIMIZER.update(gradients, state)
    parameters: Any = optax.apply_updates(variables.parameters, updates)
    return resjax.Variables(parameters, statistics), state, value


def main(images: int = 100, size: int = 32, width: int = 32, depth: int = 2, steps: int = 20) -> dict[str, list[float]]:
    """Trains both networks on all images at once; returns the losses (nats per image) step by step."""
    batch, losses = dishes(images, size), {}
    own = OwnNetwork("convmixer", partial(conv_mixer, width=width, depth=depth))
    for network in (own, resjax.architecture("resnet8", width=width)):
        functional, seen = resjax.Functional(network, classes=5), []
        variables = functional.init(jax.random.key(0))
        state = OPTIMIZER.init(variables.parameters)
        for _ in range(steps):
            variables, state, value = train_step(functional, variables, state, batch)
            seen.append(float(value))
        losses[network.name] = seen
        print(f"{network.name}: loss {seen[0]:.2f} at first, {seen[-1]:.2f} after {steps} steps")
    return losses


if __name__ == "__main__":
    main()
