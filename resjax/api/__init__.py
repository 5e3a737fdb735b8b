"""The door for Python: comparisons of anybody's networks, what they left in a workdir, and verdicts on any results."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
