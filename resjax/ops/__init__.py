"""Convolution, max pool and batch norm that are fast on a CPU; each is a drop-in for one of JAX's or Flax's."""

from resjax.ops.convolution import conv_general_dilated as conv_general_dilated
from resjax.ops.cpu import cpu_convolutions as cpu_convolutions
from resjax.ops.cpu import cpu_convolutions_used as cpu_convolutions_used
from resjax.ops.normalization import batch_norm as batch_norm
from resjax.ops.pooling import max_pool as max_pool
