"""The door for Python: a whole comparison of anybody's networks, and a verdict on anybody's results."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
