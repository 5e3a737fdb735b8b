"""A network from its architecture: stem, stages of blocks, head."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer

from resjax.errors import BadInput
from resjax.models.architecture import Architecture, Place, architecture
from resjax.models.blocks import BasicBlock, BottleneckBlock, PreactivationBlock, PreactivationBottleneckBlock
from resjax.models.changes import Changes, mixed_with_input
from resjax.models.layers import LayerKey, convolution, key_of_seed, layer_key
from resjax.models.normalization import Norm, make_norm
from resjax.models.residual import Block, BlockVariant
from resjax.ops import max_pool
from resjax.types import Features, Images, Logits, PRNGKey

MakeBlock = Callable[..., Block]
"""`BasicBlock`, or a class or function that is called like it."""
LARGEST_VALUE = 50.0
"""Images with larger values are refused as not standardized: pixels reach 255, standardized ones 2.7."""
_EXPECTED = "expected standardized floats: resjax.data.standardize(resjax.data.to_float(images)) of uint8 pixels"


class Stem(nnx.Module):
    """What comes before the blocks: images (batch, height, width, 3) to features with the first stage's channels.

    `imagenet`: 7x7 with stride 2, batch norm, relu, 3x3 max pool with stride 2, a quarter of the height and width in
    all. `cifar`: 3x3, batch norm, relu.

    >>> import jax, jax.numpy as jnp
    >>> Stem("imagenet", 8, key=key_of_seed(0))(jnp.zeros((1, 64, 50, 3))).shape
    (1, 16, 13, 8)
    """

    def __init__(
        self,
        kind: str,
        channels: int,
        *,
        normalization: str = "batch",
        dtype: jnp.dtype | None = None,
        key: PRNGKey,
    ):
        kernel, stride = (7, 2) if kind == "imagenet" else (3, 1)
        self.pooled = kind == "imagenet"
        self.conv = convolution(
            3, channels, kernel, stride, normalization=normalization, dtype=dtype, key=layer_key(key, "conv")
        )
        self.norm = make_norm(normalization, channels)

    def __call__(self, images: Images) -> Features:
        features = nnx.relu(self.norm(self.conv(images)))
        return max_pool(features) if self.pooled else features


class Network(nnx.Module):
    """A plain or residual network: images (batch, height, width, 3), standardized, to logits (batch, class).

    The map is halved and the channels doubled at the first block of every stage but the first (He et al. 2015,
    table 1). In training mode batch norm uses the batch's statistics and updates its own; `nnx.view(network,
    use_running_average=True)` is the network for evaluation.

    >>> import jax.numpy as jnp
    >>> network = build("resnet20", classes=10, width=4)
    >>> isinstance(network, Network), network(jnp.zeros((2, 32, 32, 3))).shape
    (True, (2, 10))
    >>> [features.shape for features in network.features(jnp.zeros((2, 32, 32, 3)))]
    [(2, 32, 32, 4), (2, 16, 16, 8), (2, 8, 8, 16)]

    Args:
      architecture: what it is built from.
      classes: number of logits.
      make_block: makes each block in the place of the architecture's own: a class like `BasicBlock`, called as it is.
      dtype: what is computed in, float32 by default; parameters and statistics are float32 always.
      key: of the initial numbers.
    """

    def __init__(
        self,
        architecture: Architecture,
        classes: int,
        *,
        make_block: MakeBlock | None = None,
        dtype: jnp.dtype | None = None,
        key: PRNGKey,
    ):
        kind, width = architecture.normalization, architecture.width
        self.name, self.stride, self.preactivation = architecture.name, architecture.stride, architecture.preactivation
        self.stem = Stem(architecture.stem, width, normalization=kind, dtype=dtype, key=layer_key(key, "stem"))
        stages: list[list[Block]] = [[] for _ in architecture.blocks]
        for place in architecture.places():
            block_key = layer_key(key, f"stage{place.stage}.block{place.index}")
            stages[place.stage].append(_make_block(architecture, place, make_block, dtype, block_key))
        self.stages = nnx.List([nnx.List(blocks) for blocks in stages])
        # A pre-activated network ends in a sum that is neither normalized nor activated (He et al. 2016, appendix);
        # Fixup has a scalar bias before each layer, the head too.
        has_norm = architecture.preactivation or kind == "fixup"
        self.norm: Norm | None = nnx.data(make_norm(kind, place.outputs) if has_norm else None)
        self.head = nnx.Linear(
            place.outputs,
            classes,
            kernel_init=nnx.initializers.zeros if kind == "fixup" else nnx.initializers.normal(0.01),
            dtype=dtype,
            rngs=cast(nnx.Rngs, LayerKey(layer_key(key, "head"))),
        )

    def features(self, images: Images, *, key: PRNGKey | None = None) -> tuple[Features, ...]:
        """What comes out of each stage; with a key, stochastic depth drops branches.

        Raises:
          BadInput: for images that are no floats, are smaller than the network's stride or have another number of
            channels than 3; outside of `jax.jit` also for values above 50, as pixels from 0 to 255 have them.
        """
        passed = self._pass(images, key, None)
        ends = np.cumsum([len(blocks) for blocks in self.stages])
        return tuple(passed[end] for end in ends)

    def __call__(self, images: Images, *, key: PRNGKey | None = None, changes: Changes | None = None) -> Logits:
        """The logits; with a key, stochastic depth drops branches. Raises as `features`."""
        return self.trace(images, key=key, changes=changes)[0]

    def trace(
        self, images: Images, *, key: PRNGKey | None = None, changes: Changes | None = None
    ) -> tuple[Logits, tuple[Features, ...]]:
        """The logits, and what enters each block, in order, with what leaves the last one. Raises as `features`."""
        passed = self._pass(images, key, changes)
        return self._classify(passed[-1]), passed

    def _pass(self, images: Images, key: PRNGKey | None, changes: Changes | None) -> tuple[Features, ...]:
        _require_images(images, self.name, self.stride)
        features, passed, place = self.stem(images), [], 0
        for stage, blocks in enumerate(self.stages):
            for index, block in enumerate(blocks):
                if changes is not None and changes.added is not None:
                    features = features + changes.added[place]
                passed.append(features)
                block_key = None if key is None else layer_key(key, f"stage{stage}.block{index}")
                scales = None if changes is None else changes.scales(place)
                output = block(features, key=block_key, scales=scales)
                if scales is not None and block.shortcut is None:
                    output = mixed_with_input(output, features, scales.branch)
                features = output
                place += 1
        if changes is not None and changes.added is not None:
            features = features + changes.added[place]
        return (*passed, features)

    def _classify(self, features: Features) -> Logits:
        if self.norm is not None:
            features = self.norm(features)
        if self.preactivation:
            features = nnx.relu(features)
        return self.head(features.mean((1, 2)))


def _make_block(
    architecture: Architecture, place: Place, make_own: MakeBlock | None, dtype: jnp.dtype | None, key: PRNGKey
) -> Block:
    variant = BlockVariant(
        normalization=architecture.normalization,
        zero_gamma=architecture.zero_gamma,
        squeeze_excitation=architecture.squeeze_excitation,
        drop_rate=place.drop_rate,
        kernel_scale=architecture.kernel_scale,
    )
    # The stem has activated what the first block sees (He et al. 2016, appendix).
    is_first = place.stage == place.index == 0
    shortcut, stride = architecture.shortcut, place.stride
    if make_own is not None:
        return make_own(place.inputs, place.outputs, stride, shortcut=shortcut, variant=variant, dtype=dtype, key=key)
    if architecture.block == "basic":
        make = partial(PreactivationBlock, activated=is_first) if architecture.preactivation else BasicBlock
        return make(place.inputs, place.outputs, stride, shortcut=shortcut, variant=variant, dtype=dtype, key=key)
    make = partial(PreactivationBottleneckBlock, activated=is_first) if architecture.preactivation else BottleneckBlock
    sizes = place.inputs, place.inner, place.outputs, stride, architecture.cardinality
    return make(*sizes, shortcut=shortcut, variant=variant, dtype=dtype, key=key)


def _require_images(images: Images, name: str, stride: int) -> None:
    if not isinstance(images, jax.Array | np.ndarray):
        raise BadInput(f"{name}: images of type {type(images).__name__}; expected an array (batch, height, width, 3)")
    shape = images.shape
    if len(shape) != 4 or shape[-1] != 3:
        raise BadInput(f"{name}: images of shape {shape}; expected (batch, height, width, 3)")
    if min(shape[1:3]) < stride:
        raise BadInput(
            f"{name}: images of {shape[1]} x {shape[2]} pixels; expected {stride} x {stride} or more, "
            "the network divides height and width by that"
        )
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise BadInput(f"{name}: images of {images.dtype}; {_EXPECTED}")
    # Values are looked at outside of jit alone: inside, that would cost time in every step.
    if isinstance(images, Tracer) or not getattr(images, "is_fully_addressable", True) or not images.size:
        return
    if (largest := float(np.abs(jax.device_get(images)).max())) > LARGEST_VALUE:
        raise BadInput(f"{name}: images with values up to {largest:g}; {_EXPECTED}")


def build(
    named: str | Architecture,
    *,
    classes: int,
    key: PRNGKey | int = 0,
    dtype: jnp.dtype | None = None,
    make_block: MakeBlock | None = None,
    **fields: object,
) -> Network:
    """A freshly initialized network from a name or an `Architecture`, and a key or a seed.

    >>> network = build("preact_resnet20", classes=10, key=0, width=4)
    >>> network.head.kernel.shape
    (16, 10)

    Args:
      named: a name that `architecture` knows, or an `Architecture`.
      classes: number of logits, 2 or more.
      key: a key, or the seed of one.
      dtype: what is computed in, float32 by default; parameters and statistics are float32 always.
      make_block: makes each block in the place of the architecture's own, see `Network`.
      **fields: fields of `Architecture` to change.

    Raises:
      BadInput: for an unknown name or a value outside its range.
    """
    if classes < 2:
        raise BadInput(f"classes={classes}: expected two or more")
    described = architecture(named, **fields) if isinstance(named, str) else replace(named, **fields)
    own_key = key_of_seed(key) if isinstance(key, int) else key
    return Network(described, classes, make_block=make_block, dtype=dtype, key=own_key)
