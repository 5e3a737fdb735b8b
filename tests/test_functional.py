"""The functional core: pure arrays in and out, equal to the modules, under every transformation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from resjax.functional import Functional, forward_flops, parameter_count
from resjax.models.architecture import architecture
from resjax.models.network import build
from resjax.types import Variables

assert_trees_close = lambda one, other: jax.tree.map(  # noqa: E731
    lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), one, other
)
