"""Everything that training depends on, the architecture excepted."""

import difflib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from resjax.types import BadInput

if TYPE_CHECKING:
    from resjax.data.augmentation import Augmentation

RECIPE_VERSION = 1
"""Goes up with anything that changes what becomes of a replica: none goes on under another version."""
OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "step")
WARMUP_SHAPES = ("linear", "tenth")
DECAYED = ("all", "kernels")
WAYS = ("sequential", "map", "vmap", "devices")
"""How the replicas of an arm are trained: one after another; by one program that goes from one to the next each step;
by one program that computes all of them at once; or one on each device."""


def require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises `BadInput` with the nearest of `choices` where `value` is none of them."""
    if value not in choices:
        near = difflib.get_close_matches(value, choices, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise BadInput(f"{name}={value!r}: {hint}one of {', '.join(choices)} is accepted")


def require_range(name: str, value: float, low: float, high: float = math.inf, *, above: bool = False) -> None:
    """Raises `BadInput` unless low <= value <= high (low < value with `above`)."""
    if not (low < value if above else low <= value) or not value <= high or not math.isfinite(value):
        limit = f"{'above' if above else 'at least'} {low:g}" + (f" and at most {high:g}" if high < math.inf else "")
        raise BadInput(f"{name}={value:g}: a number {limit} is accepted")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; equal for every arm of a comparison.

    Raises:
      BadInput: for a value outside its range, with the name of the flag that sets it.
    """

    epochs: int = 10
    batch_size: int = 24
    """Images a step; the last step of an epoch takes the rest, so that every image counts once."""
    optimizer: str = "adam"
    """`adam`: the decay is added to the gradient (torch.optim.Adam). `adamw`: decoupled. `sgd`: with momentum."""
    learning_rate: float = 5e-4
    weight_decay: float = 5e-4
    decayed: str = "all"
    """`all` parameters, as torch does, or only the `kernels` of convolutions and of the head."""
    momentum: float = 0.9
    """For `sgd` alone."""
    schedule: str = "constant"
    """`constant`; `cosine` to zero; `step`: divided by 10 at each of the milestones."""
    milestones: tuple[float, ...] = (0.5, 0.75)
    """For `step` alone: after these shares of the steps, rising."""
    warmup_epochs: float = 0.0
    """Epochs of warm-up, part of `epochs`."""
    warmup_shape: str = "linear"
    """`linear`: from zero to the full rate. `tenth`: a tenth of it, as He et al. 2015 began with 110 layers."""
    augmentations: "tuple[Augmentation, ...]" = ()
    freeze: tuple[str, ...] = ()
    """Patterns of parameters that are not trained: see `resjax.functional.frozen_mask`."""

    def without_rates(self) -> "Recipe":
        """The same for all recipes that one compiled program serves: with a learning rate and a decay of 1.

        No decay stays none: a program leaves the addition out, which changes how XLA rounds what is left.
        """
        return replace(self, learning_rate=1.0, weight_decay=1.0 if self.weight_decay else 0.0)

    def __post_init__(self) -> None:
        require_range("--epochs", self.epochs, 1)
        require_range("--batch_size", self.batch_size, 1)
        require_range("--learning_rate", self.learning_rate, 0, above=True)
        require_range("--weight_decay", self.weight_decay, 0)
        require_range("--momentum", self.momentum, 0, 1)
        require_range("--warmup_epochs", self.warmup_epochs, 0, self.epochs)
        if any(not 0 < each < 1 for each in self.milestones) or sorted(set(self.milestones)) != [*self.milestones]:
            given = ",".join(f"{each:g}" for each in self.milestones)
            raise BadInput(f"--milestones={given}: rising shares of the run between 0 and 1 are accepted")
        require_choice("--optimizer", self.optimizer, OPTIMIZERS)
        require_choice("--schedule", self.schedule, SCHEDULES)
        require_choice("--warmup_shape", self.warmup_shape, WARMUP_SHAPES)
        require_choice("--decayed", self.decayed, DECAYED)
