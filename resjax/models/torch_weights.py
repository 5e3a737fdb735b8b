"""Weights under the names and in the layout of torchvision's and timm's ResNets, read and written as files.

torchvision and timm share the names of 18 to 152, ResNeXt and Wide ResNet: `conv1`, `bn1`, `layer1.0.conv1`,
`layer1.0.downsample.0`, `fc`; timm's squeeze-and-excitation is `layer1.0.se.fc1` and `se.fc2`. What neither has is
named in their manner: `bn` is the norm that ends a pre-activated network, `layer1.0.scale` is SkipInit's scalar,
`layer1.0.conv1.shift` is Fixup's.

A plain or padded network takes the file of its projecting twin minus `downsample`, and says so; the other way round is
refused. timm's `resnet50_gn`, `legacy_seresnet` and Caffe-style files are not read. The hash of a file's bytes belongs
to the recipe, its path does not.
"""

import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from resjax.errors import BadInput
from resjax.types import Variables

StateDict = Mapping[str, np.ndarray]
"""Arrays by torch's names, kernels in torch's layout: (out, in, height, width), (out, in)."""

_TORCH_SUFFIXES = (".pth", ".pt", ".bin")
_LEAVES = {"kernel": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var", "shift": "shift"}
_LAYERS: dict[tuple[str, ...], str] = {
    ("shortcut", "conv"): "downsample.0",
    ("shortcut", "norm"): "downsample.1",
    ("gate", "squeeze"): "se.fc1",
    ("gate", "excite"): "se.fc2",
}


class Loaded(NamedTuple):
    """A network's variables with a file's numbers in them, and a sentence about each thing that was left out.

    >>> Loaded(variables=None, notes=("w.safetensors: its head has 10 classes, not 5: the head is fresh",)).notes[0]
    'w.safetensors: its head has 10 classes, not 5: the head is fresh'
    """

    variables: Variables
    notes: tuple[str, ...]


def load_weights(path: str | os.PathLike, like: Variables) -> Loaded:
    """The variables `like` (those of `Functional.init`) with the numbers of a file of torch's weights.

    The head keeps the numbers of `like` where the file's has another number of classes; a network without projections
    takes the file of its projecting twin, less the projections. `notes` says so.

    >>> import os, tempfile
    >>> import jax
    >>> from resjax import Functional, architecture, load_weights, save_weights
    >>> functional = Functional(architecture("resnet20", width=4), classes=10)
    >>> variables = functional.init(jax.random.key(0))
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
    >>> save_weights(path, variables)
    >>> load_weights(path, functional.init(jax.random.key(1))).notes
    ()

    Raises:
      BadInput: where the file cannot be read, or does not fit: every missing, unexpected and mis-shaped key is named.
    """
    return fill(like, read_state_dict(path), source=str(path))


def save_weights(path: str | os.PathLike, variables: Variables) -> None:
    """Writes variables as a .safetensors file that torchvision's or timm's network of the same shape loads.

    >>> from resjax import save_weights
    >>> save_weights("weights.onnx", None)
    Traceback (most recent call last):
    ...
    resjax.errors.BadInput: weights.onnx: expected a file named .safetensors

    Raises:
      BadInput: for another file name, or a folder that cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise BadInput(f"{path}: expected a file named .safetensors")
    partial = path.with_name(f"{path.name}.partial")
    try:
        # Not its save_file, whose files nobody else may read (mode 600).
        partial.write_bytes(save(to_state_dict(variables), metadata={"format": "pt"}))
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{path}: cannot be written ({error}); expected a folder that can be written") from error


def to_state_dict(variables: Variables) -> dict[str, np.ndarray]:
    """The variables as torch has them; `num_batches_tracked`, which torch asks for and does not use, is 0."""
    state = {}
    for tree in variables:
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
            parts = _parts(path)
            state[torch_name(parts)] = np.array(_to_torch_layout(parts, np.asarray(leaf)), order="C")
    norms = [name.removesuffix("running_var") for name in state if name.endswith("running_var")]
    return state | {f"{norm}num_batches_tracked": np.zeros((), np.int64) for norm in norms}


def fill(like: Variables, state: StateDict, *, source: str = "the state dict") -> Loaded:
    """`load_weights` from arrays in memory; `source` is what messages call them."""
    expected = {
        torch_name(parts): _to_torch_layout(parts, np.broadcast_to(np.float32(0), leaf.shape)).shape
        for tree in like
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
        for parts in [_parts(path)]
    }
    given = {name: array for name, array in state.items() if not name.endswith("num_batches_tracked")}
    notes = []
    if not any(".downsample." in name for name in expected):
        shortcuts = [name for name in given if re.fullmatch(r"layer\d+\.\d+\.downsample\.[01]\.\w+", name)]
        if shortcuts:
            notes.append(f"{source}: {len(shortcuts)} arrays of the shortcut's projections are left out")
            given = {name: array for name, array in given.items() if name not in shortcuts}
    fresh = _fresh_head(expected, given)
    if fresh:
        notes.append(
            f"{source}: its head has {len(given['fc.bias'])} classes, not {expected['fc.bias'][0]}: the head is fresh"
        )
    mismatches = _mismatches(expected, {name: array.shape for name, array in given.items()}, fresh)
    if mismatches:
        raise BadInput(f"{source} does not fit the network: {'; '.join(mismatches)}; expected the names of torchvision")

    def filled(path: Sequence, leaf: jax.Array) -> jax.Array:
        name = torch_name(_parts(path))
        return leaf if name in fresh else jnp.asarray(_from_torch_layout(given[name], leaf.ndim), leaf.dtype)

    return Loaded(Variables(*(jax.tree_util.tree_map_with_path(filled, tree) for tree in like)), tuple(notes))


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of a .safetensors file; of a .pth file, where torch is installed, by its `weights_only` loader.

    Raises:
      BadInput: for a file that is missing, truncated or of another kind, or a .pth file without torch.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such file; expected a .safetensors file, or a .pth file where torch is installed")
    if path.suffix in _TORCH_SUFFIXES:
        state = _read_torch(path)
    elif path.suffix == ".safetensors":
        state = _read_safetensors(path)
    else:
        raise BadInput(f"{path}: expected a file named .safetensors, or .pth where torch is installed")
    if state and all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): array for name, array in state.items()}
    return state


def torch_name(parts: Sequence[str]) -> str:
    """torchvision's or timm's name of one of our arrays: (stages, 0, 1, conv2, kernel) is layer1.1.conv2.weight."""
    *layer, leaf = parts
    if leaf == "scale":
        leaf = "weight" if layer[-1].startswith("norm") else "scale"
    leaf = _LEAVES.get(leaf, leaf)
    if layer[0] == "head":
        return f"fc.{leaf}"
    if layer[0] == "norm":
        return f"bn.{leaf}"
    if layer[0] == "stem":
        return f"{'conv1' if layer[1] == 'conv' else 'bn1'}.{leaf}"
    _, stage, block, *inner = layer
    name = _LAYERS.get(tuple(inner), ".".join(inner).replace("norm", "bn"))
    return ".".join(part for part in (f"layer{int(stage) + 1}", block, name, leaf) if part)


def _parts(path: Sequence) -> tuple[str, ...]:
    return tuple(str(getattr(part, "key", part)) for part in path)


def _to_torch_layout(parts: tuple[str, ...], array: np.ndarray) -> np.ndarray:
    """HWIO kernels as OIHW, (in, out) matrices as (out, in), those of the gate as 1x1 kernels; the rest as it is."""
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    if array.ndim == 2:
        return array.T[:, :, None, None] if "gate" in parts else array.T
    return array


def _from_torch_layout(array: np.ndarray, dimensions: int) -> np.ndarray:
    """The way back to an array of so many dimensions."""
    if dimensions == 4:
        return array.transpose(2, 3, 1, 0)
    return array.reshape(array.shape[:2]).T if dimensions == 2 else array


def _fresh_head(expected: Mapping[str, tuple[int, ...]], given: StateDict) -> frozenset[str]:
    """The names of the head, where the file's has the same features and another number of classes."""
    if not {"fc.weight", "fc.bias"} <= set(given):
        return frozenset()
    weight, bias = given["fc.weight"].shape, given["fc.bias"].shape
    fits = len(weight) == 2 and weight[1:] == expected["fc.weight"][1:] and bias == weight[:1]
    return frozenset({"fc.weight", "fc.bias"} if fits and weight != expected["fc.weight"] else ())


def _mismatches(
    expected: Mapping[str, tuple[int, ...]], given: Mapping[str, tuple[int, ...]], fresh: frozenset[str]
) -> list[str]:
    missing = [name for name in expected if name not in given]
    unexpected = [name for name in given if name not in expected]
    misshaped = [
        f"{name} is {given[name]}, not {shape}"
        for name, shape in expected.items()
        if name in given and name not in fresh and given[name] != shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "mis-shaped": misshaped}
    return [f"{len(names)} {kind} ({', '.join(names)})" for kind, names in kinds.items() if names]


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as stored:
            return {name: stored.get_tensor(name) for name in stored.keys()}
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path}: no whole safetensors file ({error}); download or convert it again") from error


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    if importlib.util.find_spec("torch") is None:
        raise BadInput(f"{path}: torch is not installed, and only torch reads its files; expected a .safetensors file")
    import torch  # pyright: ignore[reportMissingImports]

    try:
        stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler and its zip reader raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"{path}: torch cannot read it as weights alone ({reason})") from error
    for nested in ("state_dict", "model"):
        stored = stored.get(nested, stored) if isinstance(stored, Mapping) else stored
    if not isinstance(stored, Mapping) or not all(isinstance(value, torch.Tensor) for value in stored.values()):
        raise BadInput(f"{path}: no state dict; expected a file of named tensors")
    return {name: (tensor.float() if tensor.is_floating_point() else tensor).numpy() for name, tensor in stored.items()}
