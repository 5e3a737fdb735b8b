"""The kernels of a program of JAX: their floating-point operations, and the numbers that come out of them."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
from jax.extend import core


class Kernel(NamedTuple):
    """A matrix product or convolution."""

    flops: float
    """A multiplication and an addition count as two; the padding's zeros count."""
    outputs: float
    """Numbers that come out of it."""


def kernels_of(function: Any, *arguments: Any) -> list[Kernel]:
    """The matrix products and convolutions of a function, attention's included, whatever library it is written with.

    What `lax.scan` repeats counts each time, of `lax.cond` the dearest branch, and the body of a `while_loop` once,
    because nobody knows how often it runs. Norms, activations and sums do not count.

    >>> import jax.numpy as jnp
    >>> kernels_of(lambda a, b: a @ b, jnp.zeros((2, 3)), jnp.zeros((3, 5)))
    [Kernel(flops=60.0, outputs=10)]
    """
    return [*_kernels(jax.make_jaxpr(function)(*arguments).jaxpr)]


def _kernels(jaxpr: core.Jaxpr) -> Iterator[Kernel]:
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name in ("dot_general", "conv_general_dilated"):
            yield _kernel(name, equation)
        elif name == "resjax_operation":
            # An operation of resjax.ops says in operations of JAX what it computes.
            operation, axes = equation.params["operation"], equation.params["axes"]
            function = operation.anywhere
            for in_axes in reversed(axes):
                function = jax.vmap(function, in_axes)
            arrays: list[Any] = [variable.aval for variable in equation.invars]
            yield from kernels_of(function, *(jax.ShapeDtypeStruct(each.shape, each.dtype) for each in arrays))
        elif name == "cond":
            branches = [[*_kernels(each.jaxpr)] for each in equation.params["branches"]]
            yield from max(branches, key=lambda kernels: sum(each.flops for each in kernels))
        else:
            times = equation.params["length"] if name == "scan" else 1
            for inner in _inner(equation):
                yield from (Kernel(times * each.flops, times * each.outputs) for each in _kernels(inner))


def _inner(equation: Any) -> Iterator[core.Jaxpr]:
    for value in equation.params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            if isinstance(each, core.ClosedJaxpr):
                yield each.jaxpr
            elif isinstance(each, core.Jaxpr):
                yield each


def _kernel(name: str, equation: Any) -> Kernel:
    left, right = (variable.aval.shape for variable in equation.invars)
    outputs = math.prod(equation.outvars[0].aval.shape)
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        summed = math.prod(left[axis] for axis in contracted)
    else:
        out_channels = equation.params["dimension_numbers"].rhs_spec[0]
        summed = math.prod(right) // right[out_channels]
    return Kernel(2.0 * outputs * summed, outputs)
