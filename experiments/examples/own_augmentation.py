"""An augmentation of your own beside resjax's: any function of a key and images (Cutout: DeVries and Taylor 2017).

python -m experiments.examples.own_augmentation
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax

import resjax
from resjax.data import augment, parse_augmentation, to_float
from resjax.training import initial_state, make_train_step

from .images import dishes


@dataclass(frozen=True)
class Cutout:
    """A square of `side` pixels becomes grey, around a place drawn anew for each image; the border may cut it off."""

    side: int

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Images (batch, height, width, 3) in [0, 1]; of the same shape and dtype."""
        count, height, width, _ = images.shape
        centre = jax.random.uniform(key, (count, 2)) * jnp.array([[height, width]])
        rows = jnp.abs(jnp.arange(height)[None] + 0.5 - centre[:, :1]) < self.side / 2
        columns = jnp.abs(jnp.arange(width)[None] + 0.5 - centre[:, 1:]) < self.side / 2
        cut = rows[:, :, None] & columns[:, None, :]
        return jnp.where(cut[..., None], jnp.asarray(0.5, images.dtype), images)


def main(images: int = 100, size: int = 32, width: int = 16, steps: int = 10) -> tuple[float, float]:
    """Trains with flips and Cutout; returns the share of pixels that are cut, and the last loss (nats per image)."""
    augmentations = (*parse_augmentation("flip"), Cutout(size // 2))
    functional = resjax.Functional(resjax.architecture("resnet8", width=width), classes=5)
    optimizer = optax.adam(1e-2)
    batch, state = dishes(images, size), initial_state(functional, optimizer, seed=0)
    step = jax.jit(make_train_step(functional, optimizer, augmentations), donate_argnums=0)
    for _ in range(steps):
        state, sums = step(state, batch)
    pixels = to_float(batch.images)
    changed = augment(augmentations[1:], jax.random.key(0), pixels) != pixels
    share, loss = float(changed.any(-1).mean()), float(sums.loss) / images
    print(f"{share:.0%} of the pixels are cut; loss {loss:.2f} after {steps} steps")
    return share, loss


if __name__ == "__main__":
    main()
