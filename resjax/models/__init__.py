"""Networks: their architectures and names, the blocks they are made of, their plain twins, and weights from torch.

Names are loaded when first used: reading flags needs architectures and no JAX. The function `architecture` is in the
module of that name, and in `resjax`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resjax.models.architecture import ARCHITECTURES, SHORTCUTS, STEMS, Architecture
    from resjax.models.blocks import BasicBlock, BottleneckBlock, PreactivationBlock, PreactivationBottleneckBlock
    from resjax.models.changes import Changes
    from resjax.models.network import Network, Stem, build
    from resjax.models.normalization import BatchNorm
    from resjax.models.residual import Block, BlockVariant
    from resjax.models.torch_weights import Loaded, load_weights, save_weights
    from resjax.models.twins import Twins, families_of_twins, plain_twin, twins_among

_PLACES = {
    "architecture": ("ARCHITECTURES", "SHORTCUTS", "STEMS", "Architecture"),
    "blocks": ("BasicBlock", "BottleneckBlock", "PreactivationBlock", "PreactivationBottleneckBlock"),
    "changes": ("Changes",),
    "network": ("Network", "Stem", "build"),
    "normalization": ("BatchNorm",),
    "residual": ("Block", "BlockVariant"),
    "torch_weights": ("Loaded", "load_weights", "save_weights"),
    "twins": ("Twins", "families_of_twins", "plain_twin", "twins_among"),
}
_PLACE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "ARCHITECTURES",
    "SHORTCUTS",
    "STEMS",
    "Architecture",
    "BasicBlock",
    "BatchNorm",
    "Block",
    "BlockVariant",
    "BottleneckBlock",
    "Changes",
    "Loaded",
    "Network",
    "PreactivationBlock",
    "PreactivationBottleneckBlock",
    "Stem",
    "Twins",
    "build",
    "families_of_twins",
    "load_weights",
    "plain_twin",
    "save_weights",
    "twins_among",
]


def __getattr__(name: str) -> object:
    if name not in _PLACE_OF:
        raise AttributeError(f"module 'resjax.models' has no attribute {name!r}")
    return getattr(import_module(f"resjax.models.{_PLACE_OF[name]}"), name)
