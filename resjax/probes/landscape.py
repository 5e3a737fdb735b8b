"""Loss landscape: the loss on a line and on a plane through the parameters of a network."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from resjax.functional import Functional
from resjax.probes.common import Values, mean_loss, network_input
from resjax.types import Batch, Parameters, PRNGKey, Variables

RADIUS = 0.5
"""Points up to this distance from the network count for the sharpness; 1 is the length of the filters."""


def filter_normalized(key: PRNGKey, parameters: Parameters) -> Parameters:
    """A random direction whose filters have the length of the network's: d_f |w_f| / |d_f| with Gaussian d.

    Li et al. 2018, "Visualizing the loss landscape of neural nets", section 4. A filter is all weights of one output
    channel or logit. Biases and the parameters of norms get 0, as in the paper's code.
    """
    leaves, structure = jax.tree.flatten(parameters)
    # On the host: nothing to compile, and the same numbers on every platform.
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
    return jax.tree.unflatten(structure, [jnp.asarray(_direction(rng, np.asarray(each))) for each in leaves])


def _direction(rng: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    if weights.ndim < 2:
        return np.zeros_like(weights)
    drawn = rng.standard_normal(weights.shape, np.float32)
    axes = tuple(range(weights.ndim - 1))
    length, given = (np.sqrt(np.square(each).sum(axes, keepdims=True)) for each in (weights, drawn))
    return (drawn * length / np.maximum(given, 1e-30)).astype(weights.dtype)


@partial(jax.jit, static_argnums=0)
def losses_at(
    functional: Functional,
    variables: Variables,
    batch: Batch,
    directions: tuple[Parameters, Parameters],
    points: Float[Array, "point 2"],
) -> Float[Array, " point"]:
    """The mean loss at parameters + a d1 + b d2 for each point (a, b), by the running statistics."""
    images = network_input(batch.images)

    def loss(point):
        moved = jax.tree.map(lambda w, d, e: w + point[0] * d + point[1] * e, variables.parameters, *directions)
        return mean_loss(functional.apply_eval(Variables(moved, variables.statistics), images), batch.labels)

    # A single point needs no loop, in which XLA's convolutions are slow on a CPU (jax#12868).
    return loss(points[0])[None] if len(points) == 1 else jax.lax.map(loss, points)


def landscape(
    functional: Functional,
    variables: Variables,
    batch: Batch,
    key: PRNGKey,
    *,
    side: int = 9,
    line: int = 17,
    reach: float = 1.0,
    chunk: int = 1,
) -> Values:
    """The loss on the line a d1 and on the plane a d1 + b d2 for a and b from -reach to reach, and its sharpness.

    d1 and d2 are `filter_normalized` directions; their Gaussian numbers depend on the key alone, so they are the same
    for every seed of a network. Sharpness is the mean rise of the loss from the network to the points of the plane at a
    distance of at most `RADIUS`.

    Args:
      side: points on each axis of the plane, an odd number.
      line: points on the line, an odd number.
      chunk: points in each call of the compiled program.

    Returns:
      `line_at` and `line`, (point,): a and the loss on the line; `grid`, (side,): a and b on the plane; `surface`,
      (side * side,): the loss on the plane, one row per a; `sharpness`, (1,). Losses are in nats per image.
    """
    line_at, grid = np.linspace(-reach, reach, line), np.linspace(-reach, reach, side)
    plane = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    points = np.concatenate([np.stack([line_at, np.zeros(line)], 1), plane]).astype(np.float32)
    first, second = jax.random.split(key)
    directions = filter_normalized(first, variables.parameters), filter_normalized(second, variables.parameters)
    found = []
    for start in range(0, len(points), chunk):
        part = points[start : start + chunk]
        whole = np.concatenate([part, np.zeros((chunk - len(part), 2), np.float32)])
        found.append(np.asarray(losses_at(functional, variables, batch, directions, whole))[: len(part)])
    losses = np.concatenate(found)
    surface = losses[line:]
    near = np.hypot(*plane.T)
    centre = surface[near.argmin()]
    around = (near <= RADIUS) & (near > 0)
    sharpness = [float((surface[around] - centre).mean())] if around.any() else [np.nan]
    return {
        "line_at": line_at,
        "line": losses[:line],
        "grid": grid,
        "surface": surface,
        "sharpness": np.array(sharpness),
    }
