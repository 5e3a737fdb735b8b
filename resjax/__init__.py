"""Plain networks against their residual twins: does the shortcut help on these images?

Names are loaded when first used, so that reading records needs no JAX and `import resjax` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resjax.arrays import Batch, Variables
    from resjax.data.dataset import Dataset
    from resjax.functional import Functional
    from resjax.models.architecture import ARCHITECTURES, SHORTCUTS, STEMS, Architecture, architecture
    from resjax.models.blocks import BasicBlock, BottleneckBlock
    from resjax.models.network import Network, Stem, build
    from resjax.models.normalization import BatchNorm
    from resjax.models.torch_weights import Loaded, load_weights, save_weights
    from resjax.run.costs import Ledger, forward_flops, ledger, parameter_count
    from resjax.types import BadInput

__version__ = "0.1.0"

_PLACES = {
    "resjax.arrays": ("Batch", "Variables"),
    "resjax.functional": ("Functional",),
    "resjax.run.costs": ("Ledger", "forward_flops", "ledger", "parameter_count"),
    "resjax.models.architecture": ("ARCHITECTURES", "SHORTCUTS", "STEMS", "Architecture", "architecture"),
    "resjax.models.blocks": ("BasicBlock", "BottleneckBlock"),
    "resjax.models.network": ("Network", "Stem", "build"),
    "resjax.models.normalization": ("BatchNorm",),
    "resjax.models.torch_weights": ("Loaded", "load_weights", "save_weights"),
    "resjax.data.dataset": ("Dataset",),
    "resjax.types": ("BadInput",),
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
    "BottleneckBlock",
    "Dataset",
    "Functional",
    "Ledger",
    "Loaded",
    "Network",
    "Stem",
    "Variables",
    "architecture",
    "build",
    "forward_flops",
    "ledger",
    "load_weights",
    "parameter_count",
    "save_weights",
]


def __getattr__(name: str) -> object:
    if name not in _PLACE_OF:
        raise AttributeError(f"module 'resjax' has no attribute {name!r}")
    return getattr(import_module(_PLACE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
