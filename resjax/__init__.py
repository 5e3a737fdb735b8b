"""Does the shortcut help on these images? Plain networks against ResNets, compared over seeds with honest statistics.

Names are loaded when first used (`__init__.pyi` lists them): reading records needs no jax, and `import resjax` takes no
time.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
