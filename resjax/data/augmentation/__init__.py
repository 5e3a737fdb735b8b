"""Random changes of a batch that run on the device inside jit.

Images are float32 in [0, 1], NHWC. Each kind has a deterministic function with explicit amounts per image, and a frozen
dataclass that draws these amounts anew for every image. `mixing` mixes images with each other, and so their labels.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
