"""What results say: metrics of a network, statistics of a comparison, and a diagnosis of a run, from records alone."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
