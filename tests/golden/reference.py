"""What both sides of the parity tests share: seeded weights by torch's names, their way into ours, and the cases."""

import zlib
from collections.abc import Mapping
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from resjax.functional import Functional
from resjax.models.architecture import Architecture, architecture
from resjax.models.torch_weights import fill, to_state_dict
from resjax.types import Variables

CASES: dict[str, tuple[Architecture, int]] = {
    f"{name}-{stem}": (architecture(name, width=8, stem=stem), size)
    for name, stem, size in (
        ("plain34", "imagenet", 64),
        ("resnet34", "imagenet", 64),
        ("resnet18_pad", "cifar", 15),
        ("resnet18_project_all", "cifar", 16),
    )
}
"""By name: architecture, and image size in pixels, even and odd."""

# Three blocks of each kind, among them one with stride 1, one with stride 2 and one with an identity.
CASES |= {
    f"{name}-{size}px": (replace(architecture(name, **{"width": 8, **fields}), stem=stem, blocks=(1, 2)), size)
    for name, stem, sizes, fields in (
        ("resnet18", "cifar", (16, 15), {}),
        ("resnet50", "cifar", (16, 15), {}),
        ("resnet50", "imagenet", (33,), {}),
        ("preact_resnet18", "cifar", (16, 15), {}),
        ("preact_resnet18_pad", "cifar", (14,), {}),
        ("preact_resnet50", "imagenet", (32,), {}),
        ("se_resnet18", "cifar", (16, 15), {}),
        ("se_preact_plain50", "cifar", (16,), {}),
        ("resnext50_32x4d", "cifar", (15,), {"width": 16}),
        ("wide_resnet28_10", "cifar", (16,), {"widening": 2}),
    )
    for size in sizes
}
CLASSES = 5
BATCH = 4
STEPS, MOMENTUM = 10, 0.9
"""Steps of SGD on the same batch, after which the running statistics are compared."""


def learning_rate(name: str) -> float:
    """The rate of these steps. At these weights the gradients of 34 plain layers are a thousand times larger, and at
    the rate of the others even float64's rounding would grow to 1e-2 in ten steps."""
    return 1e-6 if name.startswith("plain34") else 1e-3


def generator(name: str) -> np.random.RandomState:
    """A generator for one array. The legacy one: its numbers are the same in every version of numpy."""
    return np.random.RandomState(zlib.crc32(name.encode()))


def images_and_labels(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Standardized images (batch, height, width, 3) and labels (batch,).

    Of 60 seeds the one that keeps every relu's input of the float32 cases furthest from zero, 7e-6. With others one
    lies within rounding of zero, falls on either side as the processor rounds, and takes gradients with it.
    """
    return generator("images 33").standard_normal((BATCH, size, size, 3)), np.arange(BATCH) % CLASSES


def torch_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A state dict in float64 from nothing but names and shapes: plausible, and nowhere trivial."""
    weights = {}
    for name, shape in shapes.items():
        noise = generator(name).standard_normal(shape)
        if len(shape) == 4:
            weights[name] = noise * np.sqrt(2 / (shape[0] * shape[2] * shape[3]))
        elif name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
            weights[name] = 1 + 0.2 * np.tanh(noise)
        else:
            weights[name] = 0.1 * noise
    return weights


def named(parameters: object, statistics: object) -> dict[str, np.ndarray]:
    """Arrays of ours under torch's names and in torch's layout."""
    state = to_state_dict(Variables(parameters, statistics))
    return {name: array for name, array in state.items() if not name.endswith("num_batches_tracked")}


def torch_shapes(functional: Functional) -> dict[str, tuple[int, ...]]:
    """The shapes that torch's network of the same architecture has, from ours."""
    zeros = jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), functional.shapes())
    return {name: array.shape for name, array in named(*zeros).items()}


def our_variables(functional: Functional) -> Variables:
    """The seeded weights in our layout, in the functional's dtype."""
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, functional.dtype), functional.shapes())
    return jax.tree.map(jnp.asarray, fill(like, torch_weights(torch_shapes(functional))).variables)


def digest(name: str, array: np.ndarray) -> list[float]:
    """Norm, and product with a seeded unit vector: two numbers that a wrong array does not share."""
    flat = np.asarray(array, np.float64).ravel()
    probe = generator(f"probe {name}").standard_normal(flat.size)
    return [float(np.linalg.norm(flat)), float(flat @ probe / np.linalg.norm(probe))]
