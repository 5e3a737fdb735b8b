from .convolution import conv_general_dilated as conv_general_dilated
from .cpu import cpu_convolutions as cpu_convolutions
from .cpu import cpu_convolutions_used as cpu_convolutions_used
from .normalization import batch_norm as batch_norm
from .pooling import max_pool as max_pool
