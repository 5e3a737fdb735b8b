"""Where images come from: csv files, folders, TFDS and drawings, each opened as one `Catalogue`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
