"""The HTML pages of runs, sweeps, audits and reproductions: one file each that loads nothing."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
