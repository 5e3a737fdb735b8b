"""What a network costs: parameters, floating-point operations of a forward pass, activations."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp

from resjax.functional import Functional
from resjax.models.own_network import OwnNetwork
from resjax.ops.cpu import cpu_convolutions
from resjax.run.setup.operations import Kernel, kernels_of
from resjax.types import Parameters, Variables


class Ledger(NamedTuple):
    """What a network costs for one image; twins differ by their projections and by nothing else.

    >>> from resjax import Functional, Ledger, architecture, ledger
    >>> twins = [ledger(Functional(architecture(name), classes=10), 32) for name in ("plain20", "resnet20")]
    >>> isinstance(twins[0], Ledger), twins[0].parameters == twins[1].parameters, twins[1].activation_bytes
    (True, True, 753704)
    """

    parameters: int
    """Numbers that the optimizer changes, frozen ones included."""
    forward_flops: float
    """By formula, or counted in the program of a network of one's own: see `forward_flops`."""
    forward_flops_xla: float | None
    """By XLA's cost analysis of the program before optimization: without the padding's zeros, with norms and relus."""
    activation_bytes: int
    """See `activation_bytes`."""


def ledger(functional: Functional, image_size: int) -> Ledger:
    """The ledger of a network for square images, from shapes alone: nothing is computed or compiled.

    >>> from resjax import Functional, architecture, ledger
    >>> ledger(Functional(architecture("resnet34"), classes=5), image_size=224).parameters
    21287237
    """
    return Ledger(
        parameter_count(functional.shapes()),
        forward_flops(functional, image_size),
        forward_flops_xla(functional, image_size),
        activation_bytes(functional, image_size),
    )


def parameter_count(variables: Variables) -> int:
    """How many numbers the optimizer changes; takes arrays or shapes.

    >>> from resjax import Functional, architecture, parameter_count
    >>> parameter_count(Functional(architecture("resnet18"), classes=1000).shapes())
    11689512
    """
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables.parameters))


def forward_flops(functional: Functional, image_size: int) -> float:
    """Floating-point operations of all kernels in one image's forward pass.

    A multiplication and an addition count as two, and the padding's zeros count, as is usual: ResNet-34 at 224 pixels
    has 7.3e9 (He et al. 2015 give 3.6e9 multiplications). Norms, relus, pools and additions do not count. Of a network
    of one's own, the matrix products and convolutions of its program count alike, those of attention too.

    >>> from resjax import Functional, architecture, forward_flops
    >>> round(forward_flops(Functional(architecture("resnet50"), classes=1000), 224) / 1e9, 2)
    8.18
    """
    if isinstance(functional.network, OwnNetwork):
        return float(sum(kernel.flops for kernel in _kernels_of_program(functional, image_size)))
    return 2.0 * sum(math.prod(kernel) * places for kernel, places in _kernels(functional, image_size))


def forward_flops_xla(functional: Functional, image_size: int) -> float | None:
    """Floating-point operations of one image's forward pass as XLA counts them, on the program as it was traced.

    None where the platform has no such count.
    """
    images = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
    # XLA counts nothing in calls of oneDNN.
    with cpu_convolutions("xla"):
        lowered = jax.jit(functional.apply_eval).lower(functional.shapes(), images)
    analysis = lowered.cost_analysis()
    return float(analysis["flops"]) if analysis and "flops" in analysis else None


def activation_bytes(functional: Functional, image_size: int) -> int:
    """Bytes that the outputs of all convolutions and dense layers take for one image, in the dtype of computation.

    The activations of Radosavovic et al. 2020 (section 3.1), which the backward pass has to keep; ResNet-50 at 224
    pixels has 11.1 million. What is kept beside them, by relus above all, grows in proportion.
    """
    if isinstance(functional.network, OwnNetwork):
        outputs = sum(kernel.outputs for kernel in _kernels_of_program(functional, image_size))
    else:
        outputs = sum(kernel[-1] * places for kernel, places in _kernels(functional, image_size))
    return int(outputs) * jnp.dtype(functional.dtype).itemsize


def _kernels_of_program(functional: Functional, image_size: int) -> list[Kernel]:
    images = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
    return kernels_of(functional.apply_eval, functional.shapes(), images)


def _kernels(functional: Functional, image_size: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """The shape of each kernel, and the number of places of the map that comes out of it."""
    architecture, parameters = functional.architecture, functional.shapes().parameters
    # Halvings round up, so dividing once by all of them gives what dividing step by step gives.
    stem_size = -(-image_size // (2 if architecture.stem == "imagenet" else 1))
    yield from _with_places(parameters["stem"], stem_size**2)
    size = -(-image_size // architecture.stem_stride)
    for place in architecture.places():
        block = parameters["stages"][place.stage][place.index]
        entering, size = size, -(-size // place.stride)
        for name, layer in block.items():
            # A bottleneck's first convolution comes before the stride.
            before = name == "conv1" and architecture.block == "bottleneck"
            yield from _with_places(layer, entering**2 if before else size**2)
    yield from _with_places(parameters["head"], 1)


def _with_places(layer: Parameters, places: int) -> Iterator[tuple[tuple[int, ...], int]]:
    for path, leaf in jax.tree_util.tree_flatten_with_path({"": layer})[0]:
        if getattr(path[-1], "key", None) == "kernel":
            # Dense layers see one place: the head, and squeeze-and-excitation.
            yield leaf.shape, places if len(leaf.shape) == 4 else 1
