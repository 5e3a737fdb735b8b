"""The networks of a comparison: read from names, recorded, and tested before anything is trained."""

import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from typing import Any

import jax
import jax.numpy as jnp
from msgspec import UNSET, UnsetType

from resjax.data.augmentation import Augmentation, augment
from resjax.errors import BadInput
from resjax.functional import Functional, path_name
from resjax.models.architecture import Architecture, architecture
from resjax.models.layers import key_of_seed
from resjax.models.names import parse_name
from resjax.models.own_network import NetworkSpec, OwnNetwork
from resjax.records import OwnSource
from resjax.run.setup.costs import parameter_count
from resjax.run.setup.sources import source_of
from resjax.training.state import purpose_key
from resjax.types import Variables

_NAME = re.compile(r"\w[\w.+-]{0,99}")


def named_network(name: str, **sizes: object) -> NetworkSpec:
    """The network that a text names: as `architecture` knows it, or `package.module:function` for one of one's own.

    The function is called with a key, and returns a module; the network is called like it.

    Raises:
      BadInput: for an unknown name, or a function that cannot be imported.
    """
    if ":" not in name:
        return architecture(name, **sizes)
    return own_network(name.rpartition(":")[2].rpartition(".")[2], imported(name))


def own_network(name: str, make: Callable[..., Any]) -> OwnNetwork:
    """A network of one's own.

    Raises:
      BadInput: for a name that cannot be a folder or is one of resjax's.
    """
    parts = parse_name(name)
    if not _NAME.fullmatch(name) or (parts and parts.sizes()):
        raise BadInput(
            f"network {name!r}: expected a name of letters, digits, _, ., + and -, which resjax has not given away"
        )
    return OwnNetwork(name, make)


def imported(origin: str) -> Any:
    """What `package.module:name` names, also in the current folder.

    Raises:
      BadInput: if it cannot be imported, or is nothing that can be called.
    """
    module, _, name = origin.partition(":")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:  # The module's code runs here.
        raise BadInput(
            f"network {origin!r}: {type(error).__name__}: {_one_line(error)}; expected package.module:function, as "
            "Python imports it"
        ) from error
    if not callable(found):
        raise BadInput(
            f"network {origin!r}: {type(found).__name__} is no function; expected one from a key to a module"
        )
    return found


def own_source(network: NetworkSpec, sizes: Mapping[str, object]) -> OwnSource | UnsetType:
    """What records say of a network that its name and the sizes of all networks do not say; UNSET for nothing."""
    if isinstance(network, OwnNetwork):
        found = source_of(network.make)
        return OwnSource(origin=found.origin, sha256=found.sha256)
    parts = parse_name(network.name)
    given = {name: value for name, value in sizes.items() if value is not None}
    if parts and parts.sizes() and architecture(network.name, **given) == network:
        return UNSET
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(network).items()}
    return OwnSource(origin="Architecture", sha256=sha256(repr(fields).encode()).hexdigest(), fields=fields)


def recorded_network(name: str, own: OwnSource | UnsetType, sizes: Mapping[str, object]) -> NetworkSpec:
    """The network of a record.

    Raises:
      BadInput: for one of one's own that cannot be imported, or has another source by now.
    """
    if own is UNSET:
        return architecture(name, **sizes)
    if own.fields is not UNSET:
        return Architecture(**{**own.fields, "blocks": tuple(own.fields["blocks"])})
    if own.origin.startswith("__main__:") or "<" in own.origin:
        raise BadInput(
            f"network {name} was made by {own.origin}, which cannot be imported; expected a function of a module"
        )
    make = imported(own.origin)
    if source_of(make).sha256 != own.sha256:
        raise BadInput(
            f"network {name}: {own.origin} has another source than when it was trained; expected that source"
        )
    return own_network(name, make)


def require_trainable(
    functional: Functional, image_size: int, seeds: Sequence[int], augmentations: Sequence[Augmentation] = ()
) -> None:
    """Tests what resjax's networks are known to do, of a network of one's own: shapes, and numbers from the seed alone.

    Args:
      augmentations: which may change the size of the images in training.

    Raises:
      BadInput: names the network and what is wrong with it.
    """
    if not isinstance(functional.network, OwnNetwork):
        return
    name = f"network {functional.name}"
    if functional.dtype != "float32":
        raise BadInput(f"dtype={functional.dtype} with {name}: expected float32; a network of your own chooses its own")
    images = jax.ShapeDtypeStruct((2, image_size, image_size, 3), jnp.float32)
    key = jax.eval_shape(lambda: key_of_seed(0))
    try:
        shapes = functional.shapes()
        logits = jax.eval_shape(functional.apply_eval, shapes, images)
        training_images = jax.eval_shape(partial(augment, augmentations), key, images)
        trained, statistics = jax.eval_shape(functional.apply_train, shapes, training_images, key)
    except BadInput:
        raise
    except Exception as error:  # Whatever its code raises.
        raise BadInput(
            f"{name}: {type(error).__name__}: {_one_line(error)} (for images (2, {image_size}, {image_size}, 3))"
        ) from error
    for mode, found in (("", logits), (" in training", trained)):
        is_array = isinstance(found, jax.ShapeDtypeStruct)
        if not is_array or found.shape != (2, functional.classes) or not jnp.issubdtype(found.dtype, jnp.floating):
            what = f"{found.dtype} of shape {found.shape}" if is_array else type(found).__name__
            raise BadInput(
                f"{name}: for 2 images it returns {what}{mode}; expected floating-point logits of shape "
                f"(2, {functional.classes}), for {functional.classes} classes"
            )
    if not jax.tree.leaves(shapes.parameters):
        raise BadInput(f"{name}: it has no nnx.Param; expected something to train")
    for path, leaf in jax.tree_util.tree_flatten_with_path(shapes.parameters)[0]:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise BadInput(f"{name}: parameter {path_name(path)} has {leaf.dtype}; expected floating-point numbers")
    if _forms(statistics) != _forms(shapes.statistics):
        raise BadInput(f"{name}: its state has other shapes after a step than before; expected the same, to resume it")
    _require_seeded(functional, name, seeds)


def _require_seeded(functional: Functional, name: str, seeds: Sequence[int]) -> None:
    first, again, other = (
        _initial(functional, seed) for seed in (seeds[0], seeds[0], seeds[1] if len(seeds) > 1 else seeds[0] + 1)
    )
    if not _equal(first, again):
        raise BadInput(f"{name}: it starts from other numbers at each call; expected them to depend on the key alone")
    if _equal(first, other):
        raise BadInput(
            f"{name}: two seeds start from the same numbers, so seeds would say nothing; expected numbers drawn from "
            "the key, such as nnx.Rngs(key)"
        )


def _initial(functional: Functional, seed: int) -> Variables:
    return functional.init(purpose_key(key_of_seed(seed), "parameters"))


def _equal(first: Any, second: Any) -> bool:
    return all(map(_same, jax.tree.leaves(first), jax.tree.leaves(second)))


def _same(first: jax.Array, second: jax.Array) -> bool:
    return first.shape == second.shape and bool((first == second).all())


def _forms(tree: Any) -> Any:
    return {path_name(path): (leaf.shape, leaf.dtype) for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def likeness(first: Functional, second: Functional, seed: int) -> str:
    """How far two networks are the same: their parameters, and the numbers that both start from at a seed."""
    initial = [_initial(each, seed) for each in (first, second)]
    ours, theirs = (
        {path_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(variables._asdict())[0]}
        for variables in initial
    )
    shared = [path for path, leaf in ours.items() if path in theirs and leaf.shape == theirs[path].shape]
    equal = sum(_same(ours[path], theirs[path]) for path in shared)
    more = parameter_count(initial[1]) - parameter_count(initial[0])
    return (
        f"{second.name} beside {first.name}: {more:+,} parameters; {len(shared)} of "
        f"{len(theirs)} arrays have the path and shape of one there, and {equal} of them start from the same numbers"
    )


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:297]}..."
