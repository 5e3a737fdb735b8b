"""Duplicate groups: finds near-duplicates, describes the groups, and computes the leaks to expect from them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
