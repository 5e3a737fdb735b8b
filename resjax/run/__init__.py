"""One comparison in one workdir: what is pending, training it, resuming, locking, stopping, and summing up."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
