"""A network as pure functions of arrays: the only place that splits and merges nnx modules."""

from dataclasses import dataclass
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from resjax.models.architecture import Architecture
from resjax.models.network import build
from resjax.types import Images, Logits, Parameters, PRNGKey, Statistics, Variables


@dataclass(frozen=True)
class Functional:
    """The functions of a network of `classes` classes, computed in `dtype`; hashable, so static under `jax.jit`."""

    architecture: Architecture
    classes: int
    dtype: str = "float32"

    def init(self, key: PRNGKey) -> Variables:
        """Fresh parameters and statistics; the parameters that twins share get the same numbers from the same key."""
        # Not under jit: layer by layer, what is compiled for one network serves the next.
        return _split(self._build(key))[1]

    def shapes(self) -> Variables:
        """The variables as `jax.ShapeDtypeStruct`s, without computing them."""
        return jax.eval_shape(lambda: _split(self._build(jax.random.key(0)))[1])

    def apply_train(self, variables: Variables, images: Images) -> tuple[Logits, Statistics]:
        """Logits by the batch's own statistics, and the running statistics after the batch."""
        network = nnx.merge(self._graphs[0], *variables)
        logits = network(images)
        return logits, nnx.as_pure(nnx.state(network, nnx.BatchStat))

    def apply_eval(self, variables: Variables, images: Images) -> Logits:
        """Logits by the running statistics."""
        return nnx.merge(self._graphs[1], *variables)(images)

    def _build(self, key: PRNGKey):
        return build(self.architecture, classes=self.classes, key=key, dtype=jnp.dtype(self.dtype))

    @property
    def _graphs(self) -> tuple[nnx.GraphDef, nnx.GraphDef]:
        return _graphs(self)


def _split(network) -> tuple[nnx.GraphDef, Variables]:
    graph, parameters, statistics = nnx.split(network, nnx.Param, nnx.BatchStat)
    return graph, Variables(nnx.as_pure(parameters), nnx.as_pure(statistics))


@lru_cache(maxsize=64)
def _graphs(functional: Functional) -> tuple[nnx.GraphDef, nnx.GraphDef]:
    """The static descriptions for training and for evaluation; equal for equal architectures."""
    graphs = []

    def describe() -> Variables:
        network = functional._build(jax.random.key(0))
        for running in (False, True):
            graph, variables = _split(nnx.view(network, use_running_average=running))
            graphs.append(graph)
        return variables

    jax.eval_shape(describe)
    return graphs[0], graphs[1]


def parameter_count(variables: Variables) -> int:
    """How many numbers the optimizer changes; takes arrays or shapes."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(variables.parameters))


def forward_flops(functional: Functional, image_size: int) -> float:
    """Floating-point operations of the convolutions and the head in one image's forward pass.

    A multiplication and an addition count as two, and the padding's zeros count, as is usual: ResNet-34 at 224 pixels
    has 7.3e9 (He et al. 2015 give 3.6e9 multiplications). XLA's own cost analysis leaves the zeros out.
    """

    def weights(parameters: Parameters) -> int:
        return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(parameters) if len(leaf.shape) > 1)

    parameters = functional.shapes().parameters
    halvings = 1 if functional.architecture.stem == "imagenet" else 0
    size = -(-image_size // 2**halvings)
    multiplications = weights(parameters["stem"]) * size**2 + weights(parameters["head"])
    for stage in range(len(functional.architecture.blocks)):
        # A basic block strides in its first convolution and its shortcut, so all of a stage works on the same map.
        size = -(-image_size // 2 ** (2 * halvings + stage))
        multiplications += weights(parameters["stages"][stage]) * size**2
    return 2.0 * multiplications
