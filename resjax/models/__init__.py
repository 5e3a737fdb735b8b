"""Networks: their architectures and names, the blocks they are made of, their plain twins, and weights from torch.

Names are loaded when first used: reading flags needs architectures and no jax. The function `architecture` is in the
module of that name, and in `resjax`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
