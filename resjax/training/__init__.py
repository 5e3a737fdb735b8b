"""Trains networks by a recipe, one replica or several at once, on one or many devices, and resumes bit for bit.

Names are loaded when first used, so that reading a recipe needs no jax.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
