"""Convolution, max pool and batch norm that are fast on a CPU; each is a drop-in for one of JAX's or Flax's."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
