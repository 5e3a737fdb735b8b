"""Operations formulated for the platform that they run on; each is a drop-in for one of JAX's or Flax's."""

from resjax.ops.convolution import conv_general_dilated as conv_general_dilated
from resjax.ops.normalization import batch_norm as batch_norm
from resjax.ops.pooling import max_pool as max_pool
