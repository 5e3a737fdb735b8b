"""What networks cost: published numbers, the traced program's, and the difference between twins."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resjax.functional import Functional
from resjax.models.architecture import Architecture, architecture
from resjax.run.setup.costs import activation_bytes, forward_flops, forward_flops_xla, ledger, parameter_count

# torchvision's and timm's tables: parameters, 1e9 multiplications and 1e6 activations at 224 pixels, 1,000 classes.
PUBLISHED = {
    "resnet18": (11_689_512, 1.82, 2.48),
    "resnet34": (21_797_672, 3.67, 3.74),
    "resnet50": (25_557_032, 4.09, 11.11),
    "resnet101": (44_549_160, 7.80, 16.23),
    "resnet152": (60_192_808, 11.51, 22.56),
    "resnext50_32x4d": (25_028_904, 4.23, 14.40),
    "resnext101_32x8d": (88_791_336, 16.41, 31.21),
    "wide_resnet50_2": (68_883_240, 11.40, 14.40),
    "wide_resnet101_2": (126_886_696, 22.75, 21.23),
    "se_resnet50": (28_088_024, 4.09, 11.13),
}


@pytest.mark.parametrize(("name", "published"), PUBLISHED.items())
def test_costs_are_the_published_ones(name, published):
    functional = Functional(architecture(name), 1000)
    parameters, multiplications, activations = published
    assert parameter_count(functional.shapes()) == parameters
    assert forward_flops(functional, 224) / 2e9 == pytest.approx(multiplications, abs=0.012)
    assert activation_bytes(functional, 224) / 4e6 == pytest.approx(activations, abs=0.006)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # He et al. 2015, table 6; 110 pre-activated, 164 and 1001 in He et al. 2016, tables 2 and 4; Zagoruyko and
        # Komodakis 2016, table 4: millions, to the digits that they give.
        *[("resnet20", "0.27"), ("resnet32", "0.46"), ("resnet44", "0.66"), ("resnet56", "0.85"), ("resnet110", "1.7")],
        *[("preact_resnet110", "1.7"), ("preact_resnet164", "1.7")],
        *[("wide_resnet28_10", "36.5"), ("wide_resnet16_4", "2.7")],
    ],
)
def test_parameters_of_the_cifar_networks_are_the_papers(name, count):
    millions = parameter_count(Functional(architecture(name), 10).shapes()) / 1e6
    assert f"{millions:.{len(count.split('.')[1])}f}" == count


def steps_of(jaxpr):
    """The steps of a traced function, with those within; of our operations, those of their form for any platform."""
    for step in jaxpr.eqns:
        if step.primitive.name == "resjax_operation":
            operation = step.params["operation"]
            yield from steps_of(jax.make_jaxpr(operation.anywhere)(*(each.aval for each in step.invars)).jaxpr)
        elif step.primitive.name == "jit":
            yield from steps_of(step.params["jaxpr"].jaxpr)
        else:
            yield step


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
@pytest.mark.parametrize("size", [37, 40])
@pytest.mark.parametrize(
    "name", ["resnet18_project_all", "se_resnet50", "preact_plain34", "wide_resnet28_10", "resnext50_32x4d"]
)
def test_formulas_count_the_traced_convolutions_and_dense_layers(name, size, stem):
    width = 16 if "next" in name else 4
    described = replace(architecture(name, width=width, stem=stem), blocks=(1, 2, 1))
    functional = Functional(described, 3)
    images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    flops = activations = 0
    for step in steps_of(jax.make_jaxpr(functional.apply_eval)(functional.shapes(), images).jaxpr):
        if step.primitive.name in ("conv_general_dilated", "dot_general"):
            out = step.outvars[0].aval.shape
            # A kernel's numbers are multiplied once at every place of the map that comes out.
            places = np.prod(out[1:3]) if len(out) == 4 else 1
            flops += 2 * np.prod(step.invars[1].aval.shape) * places
            activations += np.prod(out)
    assert forward_flops(functional, size) == flops
    assert activation_bytes(functional, size) == 4 * activations
    assert activation_bytes(Functional(described, 3, "bfloat16"), size) == 2 * activations


def test_xlas_count_leaves_out_the_paddings_zeros_and_adds_what_is_no_kernel():
    # One block at 8 x 8, stride 1: 7 of 8 rows and columns are inside for two of the three kernel rows.
    described = Architecture("one", (1,), "none", stem="cifar", width=4)
    functional = Functional(described, 3)
    inside = (22 / 24) ** 2
    kernels = 2 * 64 * 9 * (3 * 4 + 2 * 4 * 4) * inside + 2 * 4 * 3
    norms_and_relus = forward_flops_xla(functional, 8) - kernels
    # Two to four operations for each of the three norms' 256 outputs, a relu, a mean, the folding of statistics.
    assert 3 * 256 * 2 < norms_and_relus < 3 * 256 * 8


@pytest.mark.parametrize("name", ["resnet34", "se_resnet50", "preact_resnet56_project"])
def test_the_ledgers_of_twins_differ_by_the_projections_alone(name):
    residual = Functional(architecture(name, width=16), 5)
    plain = Functional(residual.architecture.with_shortcut("none"), 5)
    one, other = ledger(plain, 64), ledger(residual, 64)
    size, kernels, outputs = 64 // residual.architecture.stem_stride, 0, 0
    for place in residual.architecture.places():
        size = -(-size // place.stride)
        if place.stride > 1 or place.inputs != place.outputs:
            kernels += place.inputs * place.outputs * size**2
            outputs += place.outputs * size**2
    assert other.forward_flops - one.forward_flops == 2 * kernels
    assert other.activation_bytes - one.activation_bytes == 4 * outputs
    assert other.forward_flops_xla > one.forward_flops_xla and other.parameters > one.parameters
