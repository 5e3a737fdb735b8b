"""Networks of a user's own that train in a moment, as a module of theirs would have them."""

import jax
from flax import nnx


class Averaged(nnx.Module):
    """A convolution with nnx's batch norm and dropout, its map's mean, and a linear layer."""

    def __init__(self, classes: int, width: int = 4, *, rngs: nnx.Rngs):
        self.conv = nnx.Conv(3, width, (3, 3), strides=2, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.dropout = nnx.Dropout(0.3, rngs=rngs)
        self.head = nnx.Linear(width, classes, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        features = nnx.relu(self.norm(self.conv(images))).mean((1, 2))
        return self.head(self.dropout(features))


def averaged(key: jax.Array, classes: int) -> Averaged:
    return Averaged(classes, rngs=nnx.Rngs(key))


def wider(key: jax.Array, classes: int) -> Averaged:
    return Averaged(classes, width=6, rngs=nnx.Rngs(key))


def no_module(key: jax.Array) -> int:
    return 3


NOT_CALLABLE = 3
