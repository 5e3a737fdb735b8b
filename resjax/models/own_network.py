"""A network of one's own: what a comparison has to know of it, as `Architecture` says it of resjax's."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from resjax.errors import BadInput
from resjax.models.architecture import Architecture

if TYPE_CHECKING:
    from flax import nnx

    from resjax.types import PRNGKey


@dataclass(frozen=True)
class OwnNetwork:
    """A network that a callable makes from a key.

    >>> from flax import nnx
    >>> from resjax.models.layers import key_of_seed
    >>> linear = OwnNetwork("linear", lambda key, classes: nnx.Linear(3, classes, rngs=nnx.Rngs(key)))
    >>> linear.build(key_of_seed(0), classes=5).kernel.shape
    (3, 5)
    """

    name: str
    """In records, tables and folders."""
    make: "Callable[..., nnx.Module]"
    """From a key to a module whose `__call__` takes images (batch, height, width, 3), standardized, to logits (batch,
    class). Where it has an argument `classes`, it is told their number. Train and evaluation mode are nnx's own."""

    def build(self, key: "PRNGKey", classes: int) -> "nnx.Module":
        """A fresh module.

        Raises:
          BadInput: if the callable returns something else.
        """
        from flax import nnx

        made = self.make(key, classes=classes) if self._takes_classes else self.make(key)
        if not isinstance(made, nnx.Module):
            raise BadInput(f"network {self.name}: its callable returned {type(made).__name__}; expected a nnx.Module")
        return made

    @property
    def _takes_classes(self) -> bool:
        make = self.make
        while isinstance(make, partial):
            if "classes" in make.keywords:
                return False
            make = make.func
        # The metaclass of nnx hides the arguments of a class.
        make = make.__init__ if inspect.isclass(make) else make
        try:
            return "classes" in inspect.signature(make).parameters
        except (TypeError, ValueError):  # Some builtins say nothing of their arguments.
            return False


NetworkSpec = Architecture | OwnNetwork
"""A network of a comparison: its name, and how it is built for a number of classes."""


def architectures_among(networks: Any) -> list[Architecture]:
    """Those networks that are described by an `Architecture`; alone they have depths, blocks and plain twins."""
    return [each for each in networks if isinstance(each, Architecture)]
