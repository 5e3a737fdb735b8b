"""An optimizer of your own in resjax's train step: Lion, the sign of a momentum (Chen et al. 2023, algorithm 2).

python -m experiments.examples.own_optimizer
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import resjax
from resjax.training import initial_state, make_train_step

from .images import dishes


class LionState(NamedTuple):
    """Arrays alone, so that checkpoints can keep it."""

    momentum: Any


def lion(learning_rate: float, beta1: float = 0.9, beta2: float = 0.99) -> optax.GradientTransformation:
    """Steps of one size along the sign of beta1 * momentum + (1 - beta1) * gradient."""

    def init(params: Any) -> Any:
        return LionState(jax.tree.map(jnp.zeros_like, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        def mixed(share: float) -> Any:
            return jax.tree.map(lambda m, g: share * m + (1 - share) * g, state.momentum, updates)

        return jax.tree.map(lambda each: -learning_rate * jnp.sign(each), mixed(beta1)), LionState(mixed(beta2))

    return optax.GradientTransformation(init, update)


def main(images: int = 100, size: int = 32, width: int = 16, steps: int = 20) -> dict[str, tuple[float, float]]:
    """Trains ResNet-8 by Lion and by Adam on all images at once; returns the first and last loss (nats per image)."""
    functional = resjax.Functional(resjax.architecture("resnet8", width=width), classes=5)
    batch, losses = dishes(images, size), {}
    for name, optimizer in (("lion", lion(1e-3)), ("adam", optax.adam(1e-2))):
        state = initial_state(functional, optimizer, seed=0)
        step = jax.jit(make_train_step(functional, optimizer), donate_argnums=0)
        seen = []
        for _ in range(steps):
            state, sums = step(state, batch)
            seen.append(float(sums.loss) / images)
        losses[name] = seen[0], seen[-1]
        print(f"{name}: loss {seen[0]:.2f} at first, {seen[-1]:.2f} after {steps} steps")
    return losses


if __name__ == "__main__":
    main()
