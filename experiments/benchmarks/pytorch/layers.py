"""Single convolutions in PyTorch, forward and both gradients."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..harness.contenders import Program


def torch_layer(layer: Any, dtype: str, mode: str, arrays: Sequence[np.ndarray]) -> Program:
    """A `convolutions.Layer` on a CPU, by `eager` (channels first) or `channels_last`; arrays as JAX has them."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    dims = len(layer.kernel) - 2
    images, kernel, gradient = (torch.from_numpy(array).to(getattr(torch, dtype)) for array in arrays)
    # (*taps, in / groups, out) to (out, in / groups, *taps); a transposed one has (in, out, *taps), reversed.
    kernel = kernel.movedim((-1, -2), (0, 1)).contiguous()
    images, gradient = (array.movedim(-1, 1).contiguous() for array in (images, gradient))
    if layer.between > 1:
        kernel = kernel.flip(tuple(range(2, dims + 2))).transpose(0, 1).contiguous()
    if mode == "channels_last" and dims > 1:
        memory = torch.channels_last if dims == 2 else torch.channels_last_3d
        images, kernel, gradient = (array.to(memory_format=memory) for array in (images, kernel, gradient))
    images.requires_grad_(True)
    kernel.requires_grad_(True)

    def compute() -> Any:
        if layer.between > 1:
            apply = getattr(functional, f"conv_transpose{dims}d")
            padding = layer.kernel[0] - 1 - layer.padding
            return apply(images, kernel, stride=layer.between, padding=padding)
        apply = getattr(functional, f"conv{dims}d")
        return apply(images, kernel, stride=layer.stride, padding=layer.padding, groups=layer.groups)

    def run(steps: int) -> None:
        for _ in range(steps):
            torch.autograd.grad(compute(), (images, kernel), gradient)

    return Program(run, lambda: {"outputs": compute().detach().movedim(1, -1).float().numpy()})
