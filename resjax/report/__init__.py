"""Tables, sentences, figures and HTML pages of comparisons, made from their records alone."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
