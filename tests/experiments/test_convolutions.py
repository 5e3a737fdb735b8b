"""The benchmark of single convolutions: what a row says, and the same layer on both sides."""

import numpy as np
import pytest

from experiments.benchmarks.convolutions import (
    LAYERS,
    Layer,
    convolution_row,
    describe_convolution,
    layers_asked,
    random_arrays,
)
from experiments.benchmarks.harness.contenders import InProcess
from experiments.benchmarks.harness.machine import Device
from resjax.errors import BadInput
from resjax.ops import cpu

CPU = Device("cpu", "a processor, 2 cores")
SMALL = {
    "3x3": Layer((2, 6, 6, 4), (3, 3, 4, 6), stride=2),
    "groups": Layer((2, 6, 6, 4), (3, 3, 2, 6), groups=2),
    "transposed": Layer((2, 4, 5, 4), (4, 4, 4, 3), padding=2, between=2),
    "1-D": Layer((2, 9, 4), (5, 4, 3), padding=2),
    "3-D": Layer((2, 4, 4, 4, 2), (3, 3, 3, 2, 3)),
}


def test_a_row_has_all_sides_and_says_which_is_faster(monkeypatch):
    monkeypatch.setenv(cpu.VARIABLE, "xla")
    row = convolution_row("3x3", SMALL["3x3"], "float32", CPU, (), 1, 0.0, InProcess)
    assert row.failed == {} and set(row.milliseconds) == {"ours", "xla"} and row.torch_over_ours is None
    assert min(row.milliseconds.values()) > 0 and "3x3" in describe_convolution(row)


@pytest.mark.parametrize("layer", SMALL.values(), ids=SMALL)
def test_sizes_of_outputs_are_those_of_the_convolution(layer):
    images, kernel, gradient = random_arrays(layer)
    assert layer.apply(images, kernel).shape == gradient.shape == layer.outputs


@pytest.mark.parametrize("layer", SMALL.values(), ids=SMALL)
@pytest.mark.parametrize("mode", ["eager", "channels_last"])
def test_torch_computes_the_same_layer(layer, mode):
    pytest.importorskip("torch")
    from experiments.benchmarks.pytorch.layers import torch_layer

    arrays = random_arrays(layer)
    program = torch_layer(layer, "float32", mode, arrays)
    program.run(1)
    expected = layer.apply(arrays.images, arrays.kernel)
    np.testing.assert_allclose(program.describe()["outputs"], expected, rtol=1e-4, atol=1e-4)


def test_layers_are_asked_for_by_name():
    assert layers_asked("all") == LAYERS and list(layers_asked("1-D; 3x3, stride 2")) == ["1-D", "3x3, stride 2"]
    with pytest.raises(BadInput, match="--layers"):
        layers_asked("5x5")
