"""Array types with named axes, and the error for bad input.

Axis names are the same everywhere: `batch`, `height`, `width`, `channel`, `class`, `image` (all images of a set). The
types of JAX's arrays lie in `resjax.arrays` and are loaded when first used: what reads flags, records and images needs
no JAX.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resjax.arrays import Batch as Batch
    from resjax.arrays import Features as Features
    from resjax.arrays import Images as Images
    from resjax.arrays import Labels as Labels
    from resjax.arrays import Logits as Logits
    from resjax.arrays import Parameters as Parameters
    from resjax.arrays import PixelImages as PixelImages
    from resjax.arrays import PRNGKey as PRNGKey
    from resjax.arrays import Statistics as Statistics
    from resjax.arrays import Variables as Variables


class BadInput(ValueError):
    """What the user gave cannot be used.

    The text is one line that names the value and what would be accepted; the command line prints it and exits with 2.

    >>> from resjax import BadInput, architecture
    >>> try:
    ...     architecture("resnet34", width=0)
    ... except BadInput as error:
    ...     print(error)
    --width=0: a number of channels, 1 or more, is accepted
    """


def __getattr__(name: str) -> object:
    if name.startswith("_"):
        raise AttributeError(f"module 'resjax.types' has no attribute {name!r}")
    from resjax import arrays

    return getattr(arrays, name)
