"""`--measure=convolution`: single layers with both gradients, of kinds that are slow in XLA on a CPU."""

import os
import statistics
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from resjax.errors import BadInput
from resjax.ops import conv_general_dilated
from resjax.ops.cpu import VARIABLE
from resjax.training.recipe import require_choice

from .harness.contenders import Program, Worker, contest
from .harness.machine import Device
from .harness.rows import ConvolutionRow, versions
from .pytorch.layers import torch_layer

CAVEAT = "These are single layers in a loop, forward and both gradients. In a network memory and other work add to it."
LAYOUTS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}
SIDES = {"ours": "", "xla": "xla"}
"""What computes our convolutions, as RESJAX_CPU_CONVOLUTIONS says it; empty for the default."""


@dataclass(frozen=True)
class Layer:
    """One convolution: images (batch, *spatial, in), kernel (*taps, in / groups, out)."""

    images: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: int = 1
    padding: int = 1
    groups: int = 1
    between: int = 1
    """`lhs_dilation`: above 1 it is a transposed convolution."""

    @property
    def outputs(self) -> tuple[int, ...]:
        """(batch, *spatial, out)."""
        sizes = zip(self.images[1:-1], self.kernel[:-2], strict=True)
        after = (((size - 1) * self.between + 2 * self.padding - taps + 1) // self.stride + 1 for size, taps in sizes)
        return (self.images[0], *after, self.kernel[-1])

    def apply(self, images: jax.Array, kernel: jax.Array) -> jax.Array:
        """The convolution by `resjax.ops`."""
        dims = len(self.kernel) - 2
        return conv_general_dilated(
            images,
            kernel,
            (self.stride,) * dims,
            [(self.padding, self.padding)] * dims,
            lhs_dilation=(self.between,) * dims,
            dimension_numbers=lax.conv_dimension_numbers(images.shape, kernel.shape, LAYOUTS[dims]),
            feature_group_count=self.groups,
        )


LAYERS = {
    "3x3": Layer((24, 28, 28, 128), (3, 3, 128, 128)),
    "3x3 of 2x2 pixels": Layer((24, 2, 2, 512), (3, 3, 512, 512)),
    "3x3, stride 2": Layer((24, 28, 28, 128), (3, 3, 128, 256), stride=2),
    "32 groups": Layer((24, 28, 28, 128), (3, 3, 4, 128), groups=32),
    "depthwise": Layer((24, 28, 28, 128), (3, 3, 1, 128), groups=128),
    "transposed": Layer((8, 16, 16, 128), (4, 4, 128, 64), padding=2, between=2),
    "1-D": Layer((24, 1024, 64), (9, 64, 64), padding=4),
    "3-D": Layer((4, 16, 28, 28, 32), (3, 3, 3, 32, 32)),
}
"""By name. Depthwise and transposed ones are jax#23713 and jax#23783, 3-D ones openxla/xla#34273."""


class Arrays(NamedTuple):
    """Random numbers for a layer: images, kernel, and the gradient by the outputs."""

    images: np.ndarray
    kernel: np.ndarray
    gradient: np.ndarray


def random_arrays(layer: Layer) -> Arrays:
    """The same numbers for all sides."""
    draw = np.random.default_rng(0).standard_normal
    return Arrays(*(draw(shape, np.float32) for shape in (layer.images, layer.kernel, layer.outputs)))


def our_layer(layer: Layer, dtype: str, by: str) -> Program:
    """Forward and both gradients, with convolutions by `by` (see `SIDES`)."""
    if by:
        os.environ[VARIABLE] = by
    images, kernel, gradient = (jnp.asarray(array, dtype) for array in random_arrays(layer))

    @jax.jit
    def step(images: jax.Array, kernel: jax.Array, gradient: jax.Array) -> Any:
        outputs, back = jax.vjp(layer.apply, images, kernel)
        return outputs, *back(gradient)

    def run(steps: int) -> None:
        for _ in range(steps):
            jax.block_until_ready(step(images, kernel, gradient))

    return Program(run)


def layers_asked(text: str) -> dict[str, Layer]:
    """Layers by name, from `all` or names joined by semicolons.

    Raises:
      BadInput: for an unknown name.
    """
    if text == "all":
        return LAYERS
    names = [name.strip() for name in text.split(";")]
    for name in names:
        require_choice("--layers", name, tuple(LAYERS))
    return {name: LAYERS[name] for name in names}


def convolution_row(
    name: str,
    layer: Layer,
    dtype: str,
    device: Device,
    torch_modes: tuple[str, ...],
    samples: int,
    min_seconds: float = 0.3,
    open_contender: Any = Worker,
) -> ConvolutionRow:
    """Measures a layer on every side.

    Raises:
      BadInput: for modes of PyTorch that compile.
    """
    if compiled := [mode for mode in torch_modes if mode not in ("eager", "channels_last")]:
        raise BadInput(f"--torch_modes={','.join(compiled)} with --measure=convolution: expected eager, channels_last")
    programs: dict[str, tuple[Any, ...]] = {side: (our_layer, layer, dtype, by) for side, by in SIDES.items()}
    programs |= {mode: (torch_layer, layer, dtype, mode, random_arrays(layer)) for mode in torch_modes}
    rates, failures, _ = contest(programs, samples, min_seconds, open_contender, device.warm_up)
    milliseconds = {side: [1000 / rate for rate in values] for side, values in rates.items()}
    medians = {side: statistics.median(values) for side, values in milliseconds.items()}
    torch = min((medians[mode] for mode in torch_modes if mode in medians), default=None)
    ours = medians.get("ours")
    return ConvolutionRow(
        measure="convolution",
        layer=name,
        images=layer.images,
        kernel=layer.kernel,
        dtype=dtype,
        device=device.name,
        milliseconds=medians,
        torch_over_ours=torch / ours if torch and ours else None,
        versions=versions("jax", "jaxlib", *(("torch",) if torch_modes else ())),
        samples=milliseconds,
        failed=failures,
    )


def describe_convolution(row: ConvolutionRow) -> str:
    """A row in words."""
    sides = ", ".join(f"{side} {value:.2f}" for side, value in row.milliseconds.items())
    ratio = f"; torch / ours {row.torch_over_ours:.2f}" if row.torch_over_ours else ""
    failed = "".join(f"; {side} FAILED, {why}" for side, why in row.failed.items())
    return f"{row.layer}, {row.dtype}: milliseconds {sides}{ratio}{failed}"
