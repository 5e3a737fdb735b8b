"""What bfloat16 and the device's own float32 change: gradients, Adam's moments, batch norm's statistics, the loss.

The reference computes in float32 with the highest precision of products; on a GPU the device's own float32 has products
in TensorFloat-32. All start from the same numbers and see the same batches.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from resjax.functional import Functional
from resjax.models.architecture import architecture
from resjax.training.optimizer import make_optimizer
from resjax.training.state import TrainState, initial_state
from resjax.training.step import make_train_step
from resjax.types import Batch

from ..harness.cases import CLASSES, RECIPE
from .cifar import made_images
from .settings import Measured, SuiteCase, SuiteSettings

REFERENCE = ("float32", "highest")
OTHERS = (("float32", None), ("bfloat16", None))
"""The dtype of the network, and JAX's precision of products; None for the device's own."""


class Size(NamedTuple):
    """A network and how long it is trained."""

    architecture: str
    width: int | None
    image_size: int
    batch_size: int
    steps: int


class Trained(NamedTuple):
    """What a precision gave."""

    first: TrainState
    """After one step."""
    losses: np.ndarray
    """Of each step, nats per image."""


SIZES = (Size("resnet20", None, 32, 128, 100), Size("resnet34", None, 64, 24, 50))
TINY = Size("resnet8", 2, 8, 4, 2)


def precision_cases(settings: SuiteSettings) -> list[SuiteCase]:
    """A case for each network."""
    sizes = (TINY,) if settings.rehearsal else SIZES
    return [SuiteCase(f"{size.architecture}, {size.steps} steps", partial(_precision, size)) for size in sizes]


def _precision(size: Size, seconds: float) -> Measured:
    reference = _train(size, *REFERENCE)
    found = {}
    for dtype, precision in OTHERS:
        found[dtype] = differences(reference, _train(size, dtype, precision))
    parts = [
        f"{dtype}: cosine of gradients {each['gradient_cosine']:.6f}, second moments differ by "
        f"{each['second_moment']:.1e}, statistics by {each['statistics']:.1e}, the loss after {size.steps} steps by "
        f"{each['last_loss']:.1e}"
        for dtype, each in found.items()
    ]
    return Measured("; ".join(parts), found)


def differences(reference: Trained, other: Trained) -> dict[str, float]:
    """How a precision differs from the reference: Euclidean norms of differences over those of the reference."""

    def moment(trained: Trained, name: str) -> np.ndarray:
        return _flat(optax.tree_utils.tree_get(trained.first.optimizer, name))

    # After one step Adam's first moment is a tenth of the gradient, decay included.
    gradients = moment(reference, "mu"), moment(other, "mu")
    cosine = gradients[0] @ gradients[1] / (np.linalg.norm(gradients[0]) * np.linalg.norm(gradients[1]))
    statistics = [_flat(each.first.variables.statistics) for each in (reference, other)]
    losses = np.abs(other.losses - reference.losses)
    return {
        "gradient_cosine": float(cosine),
        "second_moment": _relative(moment(reference, "nu"), moment(other, "nu")),
        "statistics": _relative(*statistics),
        "last_loss": float(losses[-1]),
        "largest_loss_difference": float(losses.max()),
    }


def _relative(reference: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(other - reference) / np.linalg.norm(reference))


def _flat(tree: Any) -> np.ndarray:
    """All numbers, in float64."""
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)])


def _train(size: Size, dtype: str, precision: str | None) -> Trained:
    functional = Functional(
        architecture(size.architecture, **({"width": size.width} if size.width else {})), CLASSES, dtype
    )
    optimizer = make_optimizer(RECIPE, steps_per_epoch=1)
    with jax.default_matmul_precision(precision or "default"):
        step = jax.jit(make_train_step(functional, optimizer))
        state, first, losses = initial_state(functional, optimizer, seed=0), None, []
        for number in range(size.steps):
            pixels, labels = made_images(size.batch_size, size.image_size, CLASSES, seed=number)
            state, sums = step(state, Batch(jnp.asarray(pixels), jnp.asarray(labels)))
            losses.append(float(sums.loss) / size.batch_size)
            first = first or state
    assert first is not None
    return Trained(first, np.array(losses))
