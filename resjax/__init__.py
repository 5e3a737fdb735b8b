"""Plain networks against their residual twins: does the shortcut help on these images?

Names are loaded when first used, so that reading records needs no JAX and `import resjax` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resjax.functional import Functional, forward_flops, parameter_count
    from resjax.models.architecture import ARCHITECTURES, SHORTCUTS, STEMS, Architecture, architecture
    from resjax.models.blocks import BasicBlock
    from resjax.models.network import Network, Stem, build
    from resjax.models.normalization import BatchNorm
    from resjax.types import BadInput, Batch, Dataset, Variables

__version__ = "0.1.0"

_PLACES = {
    "resjax.functional": ("Functional", "forward_flops", "parameter_count"),
    "resjax.models.architecture": ("ARCHITECTURES", "SHORTCUTS", "STEMS", "Architecture", "architecture"),
    "resjax.models.blocks": ("BasicBlock",),
    "resjax.models.network": ("Network", "Stem", "build"),
    "resjax.models.normalization": ("BatchNorm",),
    "resjax.types": ("BadInput", "Batch", "Dataset", "Variables"),
}
_PLACE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "ARCHITECTURES",
    "SHORTCUTS",
    "STEMS",
    "Architecture",
    "BadInput",
    "BasicBlock",
    "Batch",
    "BatchNorm",
    "Dataset",
    "Functional",
    "Network",
    "Stem",
    "Variables",
    "architecture",
    "build",
    "forward_flops",
    "parameter_count",
]


def __getattr__(name: str) -> object:
    if name not in _PLACE_OF:
        raise AttributeError(f"module 'resjax' has no attribute {name!r}")
    return getattr(import_module(_PLACE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
