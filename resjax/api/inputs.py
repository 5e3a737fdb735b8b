"""What a caller in Python may give for networks and images, turned into what the engine takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from resjax.data.dataset import Dataset
from resjax.data.sources.array_source import open_arrays
from resjax.data.sources.catalogue import Catalogue
from resjax.errors import BadInput
from resjax.models.architecture import Architecture
from resjax.models.own_network import NetworkSpec, OwnNetwork
from resjax.run.settings import SourceSettings
from resjax.run.setup.networks import named_network, own_network

ARRAYS = "arrays"
"""The name of images that come as arrays."""
SIDES = ("train", "val", "test")
Network = str | NetworkSpec | Callable[..., Any]
"""A name, an `Architecture`, or a callable from a key to a `flax.nnx.Module`."""
Arrays = tuple[Any, Any]
"""Images (image, height, width, channel), uint8, and labels (image,)."""
Data = str | Arrays | Mapping[str, Arrays] | Dataset
"""A source as in `--dataset`; images with labels; these for `train`, `val` and `test`; or a `Dataset`."""


def networks_of(given: Sequence[Network] | Mapping[str, Network]) -> tuple[NetworkSpec, ...]:
    """The networks, the baseline first.

    Raises:
      BadInput: for none, for names that occur twice or cannot be folders, and for what is no network.
    """
    if isinstance(given, str) or not isinstance(given, Mapping | Sequence):
        raise BadInput(f"networks={given!r}: expected a list or a dict, such as ['plain20', 'resnet20']")
    pairs = given.items() if isinstance(given, Mapping) else [(None, each) for each in given]
    found = tuple(_network(name, each) for name, each in pairs)
    names = [each.name for each in found]
    if not names or len(set(names)) < len(names):
        raise BadInput(f"networks: {', '.join(names) or 'none'}; expected one or more, with different names")
    return found


def _network(name: str | None, given: Network) -> NetworkSpec:
    if name is not None and not isinstance(name, str):
        raise BadInput(f"networks: the name {name!r}; expected a text")
    if isinstance(given, str):
        given = named_network(given)
    if isinstance(given, Architecture):
        return given if name in (None, given.name) else replace(given, name=own_network(name, Architecture).name)
    if isinstance(given, OwnNetwork):
        return own_network(name or given.name, given.make)
    if isinstance(given, nnx.Module):
        raise BadInput(
            f"network {name or type(given).__name__}: a module that exists already, so all seeds would start from the "
            "same numbers; expected a callable from a key, such as lambda key: Module(rngs=nnx.Rngs(key))"
        )
    if not callable(given):
        raise BadInput(f"networks: {given!r}; expected a name, an Architecture, or a callable from a key to a module")
    own_name = name or getattr(given, "__name__", "")
    if not own_name or own_name == "<lambda>":
        raise BadInput("networks: a callable without a name; expected a dict such as {'vit': lambda key: ...}")
    return own_network(own_name, given)


def source_of_data(
    data: Data, *, class_names: Sequence[str] | None, cache_dir: Path | None, near_copies: bool
) -> tuple[SourceSettings, int | None]:
    """Where the images come from, and how high they are where they are known already.

    Raises:
      BadInput: for arrays of wrong type, shape or length, labels that do not fit, and data for each network.
    """
    catalogue: Catalogue | Dataset | None = None
    name, size = ARRAYS, None
    if isinstance(data, str):
        name = data
        if class_names is not None:
            raise BadInput(f"class_names with the source {data!r}: expected them with arrays alone, it has its own")
    elif isinstance(data, Dataset):
        catalogue, name = _checked(data), data.name
        size = data.images.shape[1]
    else:
        images, labels, sides = _joined(data)
        catalogue = open_arrays(ARRAYS, images, labels, class_names, sides)
        size = max(images.shape[1:3])
    source = SourceSettings(
        dataset=name,
        image_dir=None,
        data_dir=None,
        cache_dir=cache_dir,
        cache_gb=20.0,
        near_copies=near_copies,
        given=catalogue,
    )
    return source, size


def _joined(data: Any) -> tuple[np.ndarray, np.ndarray, Mapping[str, np.ndarray] | None]:
    """All images with their labels, and the numbers of the images of each side where there are sides."""
    if not isinstance(data, Mapping):
        return *_pair("data", data), None
    if unknown := [side for side in data if side not in SIDES]:
        raise BadInput(
            f"data: {unknown[0]!r} is no side; expected train, val and test, each (images, labels). All networks "
            "see the same images, so there are none for each"
        )
    if not data:
        raise BadInput("data: an empty dict; expected train, val and perhaps test, each (images, labels)")
    pairs = {side: _pair(side, data[side]) for side in SIDES if side in data}
    shapes = {images.shape[1:] for images, _ in pairs.values()}
    kinds = {(images.dtype, labels.dtype.kind) for images, labels in pairs.values()}
    if len(shapes) > 1 or len(kinds) > 1:
        raise BadInput(
            f"data: images of {', '.join(map(str, sorted(shapes)))} and types "
            f"{', '.join(sorted({str(images.dtype) for images, _ in pairs.values()}))}; expected one shape and uint8 "
            "in all sides"
        )
    ends = np.cumsum([len(images) for images, _ in pairs.values()])
    sides = {
        side: np.arange(end - len(images), end) for (side, (images, _)), end in zip(pairs.items(), ends, strict=True)
    }
    images, labels = (np.concatenate(each) for each in zip(*pairs.values(), strict=True))
    return images, labels, sides


def _pair(name: str, given: Any) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise BadInput(f"{name}: {type(given).__name__}; expected a pair (images, labels)")
    images, labels = (np.asarray(each) for each in given)
    if images.ndim not in (3, 4):
        raise BadInput(f"{name}: images of shape {images.shape}; expected (image, height, width, 3), or 1 channel")
    if labels.shape[:1] != images.shape[:1]:
        raise BadInput(f"{name}: {len(images)} images with labels of shape {labels.shape}; expected one for each image")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise BadInput(f"{name}: images with NaN or infinite numbers; expected uint8, 0 to 255")
    return images, labels


def _checked(dataset: Dataset) -> Dataset:
    """A data set of the caller's, whose parts belong together."""
    count, shape = len(dataset.ids), dataset.images.shape
    if len(shape) != 4 or shape[0] != count or shape[1] != shape[2] or shape[3] != 3:
        raise BadInput(f"Dataset {dataset.name!r}: images of shape {shape}; expected ({count}, size, size, 3)")
    if count and (kind := dataset.images[np.arange(1)].dtype) != np.uint8:
        raise BadInput(f"Dataset {dataset.name!r}: images of {kind}; expected uint8, 0 to 255")
    for name in ("labels", "contents", "groups", "sides"):
        rows = getattr(dataset, name)
        if rows is not None and len(rows) != count:
            raise BadInput(f"Dataset {dataset.name!r}: {len(rows)} {name} of {count} images; expected one for each")
    labels = np.asarray(dataset.labels)
    if labels.dtype.kind not in "iu" or not count or labels.min() < 0 or labels.max() >= len(dataset.classes):
        raise BadInput(f"Dataset {dataset.name!r}: expected labels from 0 to {len(dataset.classes) - 1}")
    if len(set(dataset.ids)) < count:
        raise BadInput(f"Dataset {dataset.name!r}: expected different ids")
    return dataset
