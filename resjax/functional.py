"""A network as pure functions of arrays: the only place that splits and merges nnx modules."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from resjax.errors import BadInput
from resjax.models.architecture import Architecture
from resjax.models.changes import Changes
from resjax.models.layers import key_of_seed, layer_key
from resjax.models.network import Network, build
from resjax.models.normalization import MOMENTUM
from resjax.models.own_network import NetworkSpec, OwnNetwork
from resjax.types import Features, Images, Logits, Parameters, PRNGKey, Statistics, Variables

__all__ = ["Functional", "Trace", "frozen_mask", "path_name", "require_matched"]


class Trace(NamedTuple):
    """What `Functional.trace` returns: the logits, and what passes between the blocks."""

    logits: Logits
    features: tuple[Features, ...]
    """What enters each block, in order, and what leaves the last one."""
    statistics: Statistics
    """The running statistics afterwards."""


@dataclass(frozen=True)
class Functional:
    """A network of `classes` classes as pure functions of arrays, computed in `dtype`; hashable, so static in jit.

    >>> import jax, jax.numpy as jnp
    >>> from resjax.models.architecture import architecture
    >>> functional = Functional(architecture("resnet20", width=4), classes=10)
    >>> variables = functional.init(jax.random.key(0))
    >>> logits, statistics = functional.apply_train(variables, jnp.zeros((2, 32, 32, 3)))
    >>> jax.vmap(functional.init)(jax.random.split(jax.random.key(0), 3)).parameters["head"]["bias"].shape
    (3, 10)
    """

    network: NetworkSpec
    """An architecture, or a network of one's own."""
    classes: int
    dtype: str = "float32"
    """A network of one's own decides itself what it computes in."""
    frozen: tuple[str, ...] = ()
    """Patterns of parameters that are not trained (see `frozen_mask`). Batch norms whose parameters all are frozen
    normalize by their running statistics in training too, and leave them: the frozen part stays the same function."""
    dose: float = 1.0
    """What every shortcut is multiplied by before the addition."""

    @property
    def name(self) -> str:
        """Of the network."""
        return self.network.name

    @property
    def architecture(self) -> Architecture:
        """The architecture.

        Raises:
          BadInput: for a network of one's own, which has neither blocks nor shortcuts that could be looked at.
        """
        if isinstance(self.network, OwnNetwork):
            raise BadInput(_unknown_inside(self.name))
        return self.network

    def init(self, key: PRNGKey) -> Variables:
        """Fresh parameters and statistics; the parameters that twins share get the same numbers from the same key.

        Both are nested dicts of arrays: `parameters["stages"][0][1]["conv2"]["kernel"]`.
        """
        # Not under jit: layer by layer, what is compiled for one network serves the next.
        return _split(self._build(key))[1]

    def shapes(self) -> Variables:
        """The variables as `jax.ShapeDtypeStruct`s, without computing them."""
        return jax.tree.map(lambda leaf: leaf, _described(self)[2])

    def apply_train(
        self, variables: Variables, images: Images, key: PRNGKey | None = None
    ) -> tuple[Logits, Statistics]:
        """Logits by the batch's own statistics, and the running statistics after the batch.

        Raises:
          BadInput: without a key, where training draws numbers: stochastic depth, dropout.
        """
        if isinstance(self.network, OwnNetwork):
            network = self._own(0, variables, key)
            return network(images), _split(network)[1].statistics
        if self.network.stochastic_depth and key is None:
            raise BadInput(f"{self.name}: training with stochastic depth needs a key")
        network = self._merged(0, variables)
        logits = network(images, key=key, changes=self._changes())
        return logits, _plain(nnx.state(network, nnx.BatchStat))

    def apply_eval(self, variables: Variables, images: Images) -> Logits:
        """Logits by the running statistics."""
        if isinstance(self.network, OwnNetwork):
            return self._own(1, variables, key_of_seed(0))(images)
        return self._merged(1, variables)(images, changes=self._changes())

    def trace(
        self, variables: Variables, images: Images, changes: Changes | None = None, *, training: bool = False
    ) -> Trace:
        """The logits with what passes between the blocks, changed blocks included; stochastic depth drops nothing.

        By the running statistics, or in `training` by the batch's own.

        Raises:
          BadInput: for a network of one's own.
        """
        network = self._merged(0 if training else 1, variables)
        logits, features = network.trace(images, changes=self._changes() if changes is None else changes)
        return Trace(logits, features, _plain(nnx.state(network, nnx.BatchStat)))

    def batch_statistics(self, variables: Variables, images: Images, changes: Changes | None = None) -> Statistics:
        """The statistics of this batch alone, in the place of the running ones."""
        # From zeros, the running statistics after a batch are the batch's, times what is not kept of the old.
        empty = Variables(variables.parameters, jax.tree.map(jnp.zeros_like, variables.statistics))
        statistics = self.trace(empty, images, changes, training=True).statistics
        return jax.tree.map(lambda each: each / (1 - MOMENTUM), statistics)

    def _changes(self) -> Changes | None:
        return None if self.dose == 1 else Changes(shortcut=jnp.full(sum(self.architecture.blocks), self.dose))

    def features(self, variables: Variables, images: Images) -> tuple[Features, ...]:
        """What comes out of each stage, by the running statistics."""
        return self._merged(1, variables).features(images)

    def _build(self, key: PRNGKey):
        if isinstance(self.network, OwnNetwork):
            return self.network.build(key, self.classes)
        return build(self.network, classes=self.classes, key=key, dtype=jnp.dtype(self.dtype))

    def _merged(self, mode: int, variables: Variables) -> Network:
        """The network of an architecture in a mode: 0 trains, 1 evaluates."""
        if isinstance(self.network, OwnNetwork):
            raise BadInput(_unknown_inside(self.name))
        return nnx.merge(self._graphs[mode], *variables, {})

    def _own(self, mode: int, variables: Variables, key: PRNGKey | None) -> Any:
        """The module of a network of one's own, whose streams of random numbers all begin anew from the key.

        So they are no part of the training state: a step draws the same numbers, whatever came before it.
        """
        graph, streams = self._graphs[mode], _described(self)[3]
        if jax.tree.leaves(streams) and key is None:
            raise BadInput(f"{self.name}: training draws random numbers, which needs a key")
        begun = jax.tree_util.tree_map_with_path(lambda path, leaf: _begun(leaf, key, path_name(path)), streams)
        return nnx.merge(graph, *variables, begun)

    @property
    def _graphs(self) -> tuple[nnx.GraphDef, nnx.GraphDef]:
        return _described(self)[:2]


def _unknown_inside(name: str) -> str:
    return (
        f"{name} is a network of your own, whose blocks and shortcuts are not known; expected networks that have a "
        "name in resjax, such as resnet20"
    )


def _split(network: nnx.Module) -> tuple[nnx.GraphDef, Variables, dict[str, Any]]:
    """The graph, the variables, and the streams of random numbers of a module.

    What is neither a parameter nor drawn from counts as statistics: batch norm's, and whatever else a module of one's
    own keeps. What it sows is dropped.
    """
    nnx.pop(network, nnx.Intermediate)
    graph, parameters, streams, statistics = nnx.split(network, nnx.Param, nnx.RngState, ...)
    return graph, Variables(_plain(parameters), _plain(statistics)), _plain(streams)


def _begun(leaf: jax.ShapeDtypeStruct, key: PRNGKey | None, path: str) -> jax.Array:
    """A part of a stream (nnx.RngStream): its key, drawn from the key and the path, or its count, which is zero."""
    if key is None or not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jnp.zeros(leaf.shape, leaf.dtype)
    own = layer_key(key, path)
    return jax.random.split(own, leaf.shape) if leaf.shape else own


def _plain(state: nnx.State) -> dict[str, Any]:
    """The arrays in nested dicts; stages and blocks have numbers as keys, which sort as numbers."""
    return nnx.to_pure_dict(nnx.as_pure(state))


@lru_cache(maxsize=64)
def _described(functional: Functional) -> tuple[nnx.GraphDef, nnx.GraphDef, Variables, dict[str, Any]]:
    """The static descriptions for training and for evaluation, equal for equal architectures, and the shapes.

    Last come the shapes of the streams of random numbers, which networks of one's own may have.

    Building the modules is what takes the time, and the shapes are asked for again and again.
    """
    graphs = []

    def describe() -> tuple[Variables, dict[str, Any]]:
        network = functional._build(key_of_seed(0))
        for running in (False, True):
            view = _in_mode(network, running)
            if functional.frozen:
                _freeze_norms(view, functional.frozen)
            graph, variables, streams = _split(view)
            graphs.append(graph)
        return variables, streams

    shapes, streams = jax.eval_shape(describe)
    return graphs[0], graphs[1], shapes, streams


def _in_mode(network: nnx.Module, running: bool) -> nnx.Module:
    if isinstance(network, Network):
        # Networks without batch norm have nothing of that name.
        return nnx.view(network, raise_if_not_found=False, use_running_average=running)
    if running:
        network.eval()
    else:
        network.train()
    return network


def path_name(path: Sequence) -> str:
    """A leaf's path as text, as `--freeze` takes it: `stages.0.1.conv2.kernel`."""
    return ".".join(str(getattr(part, "key", part)) for part in path)


def frozen_mask(parameters: Parameters, patterns: Sequence[str]) -> Parameters:
    """True for the parameters whose path matches one of the patterns: `stem.*`, `stages.[01].*`, `*.norm?.*`.

    As in `fnmatch`: `*` stands for anything, dots included, `?` for one character, `[01]` for one of these.
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, _: any(fnmatchcase(path_name(path), pattern) for pattern in patterns), parameters
    )


def require_matched(patterns: Sequence[str], functionals: Iterable[Functional]) -> None:
    """Refuses what `frozen_mask` would not understand as it was meant.

    Raises:
      BadInput: where a pattern matches no parameter of any network, or nothing of a network is left to train.
    """
    functionals = list(functionals) if patterns else []
    masks = [frozen_mask(functional.shapes().parameters, patterns) for functional in functionals]
    for functional, mask in zip(functionals, masks, strict=True):
        if all(jax.tree.leaves(mask)):
            raise BadInput(
                f"--freeze={','.join(patterns)}: nothing of {functional.name} is left to train; "
                "expected patterns that leave some of it"
            )
    paths = [path_name(path) for mask in masks for path, _ in jax.tree_util.tree_flatten_with_path(mask)[0]]
    for pattern in patterns:
        if not any(fnmatchcase(path, pattern) for path in paths):
            near = difflib.get_close_matches(pattern, paths, n=2)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise BadInput(
                f"--freeze={pattern}: no parameter is called like that; {hint}"
                "expected patterns such as stem.*, stages.[01].*, *.norm?.*, head.kernel"
            )


def _freeze_norms(network: nnx.Module, patterns: Sequence[str]) -> None:
    for path, module in nnx.iter_modules(network):
        if isinstance(module, nnx.BatchNorm):
            names = [path_name((*path, parameter)) for parameter in ("scale", "bias")]
            if all(any(fnmatchcase(name, pattern) for pattern in patterns) for name in names):
                module.use_running_average = True
