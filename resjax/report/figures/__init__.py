"""The figures of runs, splits, sweeps, probes and depth, drawn by matplotlib from records alone."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
