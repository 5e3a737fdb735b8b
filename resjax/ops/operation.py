"""Operations with fast gradients of their own that work under every transformation of JAX.

`jax.custom_vjp` would take forward-mode differentiation away: `jax.jvp`, `jax.linearize` and Hessian-vector products as
the jvp of a gradient. Here an `Operation` is a primitive of JAX. It names its tangent and its transposes, which are
operations again, so both modes work at any order, and a backward pass uses the gradients that are named.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array

Places = tuple[int, ...]
Axes = tuple[tuple[int | None, ...], ...]
"""For each `jax.vmap` around an operation, the outermost first, and each array: 0 where it is batched, else None."""


class Operation(ABC):
    """A function of arrays, linear in each of some groups of them; a frozen dataclass, hashable.

    `anywhere`, `on_cpu` and `foreign` compute it, and nothing else changes with the way: the gradients are operations
    too, with ways of their own.
    """

    groups: ClassVar[tuple[Places, ...]] = ()
    """The places of the arrays of each group; none where it is linear in no array, see `tangent`."""

    @abstractmethod
    def anywhere(self, *arrays: Array) -> tuple[Array, ...]:
        """The results in operations of JAX. It decides their shapes, and derivatives by arrays that are in no group."""

    def on_cpu(self, *arrays: Array) -> tuple[Array, ...]:
        """The results as a CPU computes them."""
        return self.anywhere(*arrays)

    def foreign(self, *arrays: Array) -> tuple[Array, ...] | None:
        """The results as a library computes them in a CPU's memory; None if it does not.

        It is not asked where XLA would have to divide the call over several devices, and not for `jax.export`.
        """
        return None

    def transposed(self, group: int) -> tuple["Operation", Places]:
        """The transpose by a group, and the arrays that it takes: places among arrays and the results' cotangents.

        Raises:
          TypeError: of an operation without groups, which has none.
        """
        raise TypeError(f"{type(self).__name__} is linear in no array")

    def tangent(self) -> tuple["Operation", Places] | None:
        """The tangent of the first result of an operation without groups, None where `anywhere` is differentiated.

        With the arrays that it takes: places among arrays, results and tangents of arrays. Other results are integers.
        """
        return None

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        return _bind(self, (), arrays)


_primitive = Primitive("resjax_operation")
_primitive.multiple_results = True


def _bind(operation: Operation, axes: Axes, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple(_primitive.bind(*_varying_alike(arrays), operation=operation, axes=axes))


def _bind_chosen(chosen: tuple[Operation, Places], axes: Axes, arrays: list[Any]) -> tuple[Array, ...]:
    operation, places = chosen
    kept = tuple(tuple(in_axes[place] for place in places) for in_axes in axes)
    return _bind(operation, kept, tuple(arrays[place] for place in places))


def _varying_alike(arrays: tuple[Array, ...]) -> list[Array]:
    """Lets all arrays vary over the same axes of `jax.shard_map`; JAX then sums the gradient of one that did not."""
    varying = [jax.typeof(array).manual_axis_type.varying for array in arrays]
    everywhere = frozenset().union(*varying)
    return [
        lax.pcast(array, tuple(sorted(everywhere - own)), to="varying")
        for array, own in zip(arrays, varying, strict=True)
    ]


@partial(jax.jit, static_argnames=("operation", "axes"))
def _compiled(*arrays: Array, operation: Operation, axes: Axes) -> list[Array]:
    return _primitive.bind(*arrays, operation=operation, axes=axes)


@_primitive.def_impl
def _evaluate(*arrays: Array, operation: Operation, axes: Axes) -> list[Array]:
    # A primitive is compiled alone under `jax.disable_jit` too, as those of JAX are.
    with jax.disable_jit(False):
        return _compiled(*arrays, operation=operation, axes=axes)


def _mapped(function: Callable[..., tuple[Array, ...]], axes: Axes) -> Callable[..., tuple[Array, ...]]:
    for in_axes in reversed(axes):
        function = jax.vmap(function, in_axes)
    return function


@_primitive.def_abstract_eval
def _abstract(*arrays: ShapedArray, operation: Operation, axes: Axes) -> list[ShapedArray]:
    described = (jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding) for array in arrays)
    # Inside `jax.shard_map` the results vary over the axes that the arrays vary over.
    varying, mesh = arrays[0].manual_axis_type, arrays[0].sharding
    return [
        ShapedArray(
            result.shape,
            result.dtype,
            sharding=result.sharding or mesh.update(spec=jax.P(*[None] * result.ndim)),
            manual_axis_type=varying,
        )
        for result in _shapes(operation, axes, tuple(described))
    ]


@lru_cache(maxsize=4096)
def _shapes(operation: Operation, axes: Axes, arrays: tuple[jax.ShapeDtypeStruct, ...]) -> tuple[Any, ...]:
    return jax.eval_shape(_mapped(operation.anywhere, axes), *arrays)


def _lower(on_cpu: bool, ctx: Any, *values: Any, operation: Operation, axes: Axes) -> Any:
    exported = ctx.module_context.lowering_parameters.for_export
    foreign = on_cpu and not exported and _is_undivided(ctx.module_context.axis_context)

    def compute(*arrays: Array) -> tuple[Array, ...]:
        if foreign and (results := operation.foreign(*arrays)) is not None:
            return results
        return operation.on_cpu(*arrays) if on_cpu and not exported else operation.anywhere(*arrays)

    # Without the axes of `jax.shard_map`, so that constants, which vary over none, mix with the arrays.
    plain = [ShapedArray(array.shape, array.dtype) for array in ctx.avals_in]
    lowered = mlir.lower_fun(_mapped(compute, axes), multiple_results=True)
    return lowered(ctx.replace(avals_in=plain), *values)


def _is_undivided(context: Any) -> bool:
    """Whether XLA divides no array: on one device, or inside a `jax.shard_map` over all axes."""
    mesh = getattr(context, "mesh", None)
    if mesh is None:
        return getattr(context, "num_devices", 1) == 1
    return math.prod(size for axis, size in mesh.shape.items() if axis not in context.manual_axes) == 1


# Not inline, so that layers with the same shapes are lowered once.
mlir.register_lowering(_primitive, partial(_lower, False), inline=False)
mlir.register_lowering(_primitive, partial(_lower, True), platform="cpu", inline=False)


def _batch(arrays: Any, dimensions: Any, *, operation: Operation, axes: Axes) -> tuple[list[Array], list[int]]:
    moved = [
        array if dimension is None else jnp.moveaxis(array, dimension, 0)
        for array, dimension in zip(arrays, dimensions, strict=True)
    ]
    outermost = tuple(None if dimension is None else 0 for dimension in dimensions)
    results = _primitive.bind(*moved, operation=operation, axes=(outermost, *axes))
    return results, [0] * len(results)


batching.primitive_batchers[_primitive] = _batch


def _jvp(primals: Any, tangents: Any, *, operation: Operation, axes: Axes) -> tuple[Any, Any]:
    results = _bind(operation, axes, primals)
    if chosen := operation.tangent():
        given = [*primals, *results, *(ad.instantiate_zeros(tangent) for tangent in tangents)]
        of_given = tuple((*in_axes, *(0 for _ in results), *in_axes) for in_axes in axes)
        (moved,) = _bind_chosen(chosen, of_given, given)
        return results, (moved, *(ad.Zero(jax.typeof(result).to_tangent_aval()) for result in results[1:]))
    moving = {place for place, tangent in enumerate(tangents) if not isinstance(tangent, ad.Zero)}
    terms = []
    for group in operation.groups:
        if moving.intersection(group):
            arrays = list(primals)
            for place in group:
                arrays[place] = ad.instantiate_zeros(tangents[place])
            terms.append(_bind(operation, axes, tuple(arrays)))
    if others := sorted(moving.difference(*operation.groups)):

        def of_others(*values: Array) -> tuple[Array, ...]:
            arrays = list(primals)
            for place, value in zip(others, values, strict=True):
                arrays[place] = value
            return _mapped(operation.anywhere, axes)(*_varying_alike(tuple(arrays)))

        at = [primals[place] for place in others]
        terms.append(jax.jvp(of_others, at, [tangents[place] for place in others])[1])
    return results, tuple(_sum(each) for each in zip(*terms, strict=True))


def _sum(terms: tuple[Any, ...]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = ad.add_tangents(total, term)
    return total


ad.primitive_jvps[_primitive] = _jvp


def _transpose(cotangents: Any, *arrays: Any, operation: Operation, axes: Axes) -> list[Any]:
    unknown = {place for place, array in enumerate(arrays) if ad.is_undefined_primal(array)}
    group = next(number for number, places in enumerate(operation.groups) if unknown <= set(places))
    given = [*arrays, *(ad.instantiate_zeros(cotangent) for cotangent in cotangents)]
    of_given = tuple((*in_axes, *(0 for _ in cotangents)) for in_axes in axes)
    gradients: list[Any] = [None] * len(arrays)
    results = _bind_chosen(operation.transposed(group), of_given, given)
    for place, result in zip(operation.groups[group], results, strict=True):
        if place in unknown:
            # An array that all calls of a `jax.vmap` share gets the sum of their gradients.
            shared = tuple(level for level, in_axes in enumerate(axes) if in_axes[place] is None)
            gradients[place] = result.sum(shared) if shared else result
    return gradients


ad.primitive_transposes[_primitive] = _transpose
