"""What both sides of the parity tests share: seeded weights by torch's names, their way into ours, and the cases."""

import zlib
from collections.abc import Mapping

import jax
import numpy as np

from resjax.functional import Functional
from resjax.models.architecture import Architecture, architecture
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
"""By name: architecture, and image size in pixels (one of them odd)."""
CLASSES = 5
BATCH = 4


def generator(name: str) -> np.random.RandomState:
    """A generator for one array. The legacy one: its numbers are the same in every version of numpy."""
    return np.random.RandomState(zlib.crc32(name.encode()))


def images_and_labels(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Standardized images (batch, height, width, 3) and labels (batch,)."""
    return generator("images").standard_normal((BATCH, size, size, 3)), np.arange(BATCH) % CLASSES


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


def torch_name(path: tuple[str, ...]) -> str:
    """torchvision's name of one of our arrays: (stages, 0, 1, conv2, kernel) is layer1.1.conv2.weight."""
    leaf = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}[
        path[-1]
    ]
    if path[0] == "stem":
        return f"{'conv1' if path[1] == 'conv' else 'bn1'}.{leaf}"
    if path[0] == "head":
        return f"fc.{leaf}"
    _, stage, block, *layer, _ = path
    if layer[0] == "shortcut":
        layer = ["downsample", "0" if layer[1] == "conv" else "1"]
    return ".".join([f"layer{int(stage) + 1}", block, *layer, leaf]).replace("norm", "bn")


def named(tree: object) -> dict[str, jax.Array]:
    """The leaves of a tree of ours by torch's names."""
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {torch_name(tuple(str(getattr(key, "key", key)) for key in path)): leaf for path, leaf in paths}


def to_torch_layout(array: np.ndarray) -> np.ndarray:
    """HWIO kernels as OIHW, (in, out) matrices as (out, in); the rest as it is."""
    return np.transpose(array, {4: (3, 2, 0, 1), 2: (1, 0)}.get(np.ndim(array), range(np.ndim(array))))


def torch_shapes(functional: Functional) -> dict[str, tuple[int, ...]]:
    """The shapes that torch's network of the same architecture has, from ours."""
    shapes = functional.shapes()
    leaves = named(shapes.parameters) | named(shapes.statistics)
    return {name: to_torch_layout(np.empty(leaf.shape)).shape for name, leaf in leaves.items()}


def our_variables(functional: Functional) -> Variables:
    """The seeded weights in our layout, in the functional's dtype."""
    weights = torch_weights(torch_shapes(functional))

    def convert(path, leaf):
        array = weights[torch_name(tuple(str(getattr(key, "key", key)) for key in path))]
        return np.transpose(array, {4: (2, 3, 1, 0), 2: (1, 0)}.get(array.ndim, range(array.ndim))).astype(
            functional.dtype
        )

    return Variables(*(jax.tree_util.tree_map_with_path(convert, tree) for tree in functional.shapes()))


def digest(name: str, array: np.ndarray) -> list[float]:
    """Norm, and product with a seeded unit vector: two numbers that a wrong array does not share."""
    flat = np.asarray(array, np.float64).ravel()
    probe = generator(f"probe {name}").standard_normal(flat.size)
    return [float(np.linalg.norm(flat)), float(flat @ probe / np.linalg.norm(probe))]
