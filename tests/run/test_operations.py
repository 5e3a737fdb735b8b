"""Operations counted in a program, against closed forms and the formula of resjax's networks."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from resjax.functional import Functional
from resjax.models.architecture import architecture
from resjax.models.own_network import OwnNetwork
from resjax.run.setup.costs import activation_bytes, forward_flops, ledger
from resjax.run.setup.operations import kernels_of


@pytest.mark.parametrize("name", ["resnet8", "se_resnet8", "plainnext50_32x4d"])
def test_resjax_s_own_networks_count_as_by_their_formula(name):
    functional = Functional(architecture(name, width=16), classes=5)
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    found = kernels_of(functional.apply_eval, functional.shapes(), images)
    assert sum(kernel.flops for kernel in found) == forward_flops(functional, 32)
    assert 4 * sum(kernel.outputs for kernel in found) == activation_bytes(functional, 32)


def test_attention_counts_with_both_of_its_products():
    tokens, width, heads = 6, 8, 2
    attention = nnx.MultiHeadAttention(heads, width, decode=False, rngs=nnx.Rngs(0))
    found = kernels_of(attention, jax.ShapeDtypeStruct((1, tokens, width), jnp.float32))
    assert sum(kernel.flops for kernel in found) == 2 * (4 * tokens * width**2 + 2 * tokens**2 * width)


def test_loops_count_as_often_as_they_run_and_branches_once():
    square = jnp.ones((3, 3))
    scanned = kernels_of(lambda a: jax.lax.scan(lambda x, _: (x @ x, None), a, length=5), square)
    assert sum(kernel.flops for kernel in scanned) == 5 * 2 * 27
    chosen = kernels_of(lambda a: jax.lax.cond(a.sum() > 0, lambda x: x @ x @ x, lambda x: x @ x, a), square)
    assert sum(kernel.flops for kernel in chosen) == 2 * 2 * 27


def test_a_network_of_one_s_own_has_a_ledger():
    class Convolution(nnx.Module):
        def __init__(self, rngs):
            self.conv = nnx.Conv(3, 4, (3, 3), feature_group_count=1, strides=2, rngs=rngs)

        def __call__(self, images):
            return self.conv(images).mean((1, 2))

    functional = Functional(OwnNetwork("conv", lambda key: Convolution(nnx.Rngs(key))), classes=4)
    found = ledger(functional, 16)
    assert found.parameters == 3 * 3 * 3 * 4 + 4
    assert found.forward_flops == 2 * (8 * 8 * 4) * (3 * 3 * 3) and found.activation_bytes == 4 * 8 * 8 * 4
