"""oneDNN's convolutions inside compiled JAX programs on a CPU, by ctypes and XLA's foreign function interface."""

from resjax.ops.onednn.convolution import convolve as convolve
from resjax.ops.onednn.library import library as library
from resjax.ops.onednn.objects import Unavailable as Unavailable
from resjax.ops.onednn.plans import FORWARD as FORWARD
from resjax.ops.onednn.plans import IMAGE_GRADIENT as IMAGE_GRADIENT
from resjax.ops.onednn.plans import KERNEL_GRADIENT as KERNEL_GRADIENT
from resjax.ops.onednn.plans import Description as Description
