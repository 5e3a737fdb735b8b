"""A network from its architecture: stem, stages of blocks, head."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import nnx

from resjax.models.architecture import Architecture, architecture
from resjax.models.blocks import BasicBlock, convolution, layer_key
from resjax.models.normalization import BatchNorm
from resjax.types import BadInput, Features, Images, Logits, PRNGKey


class Stem(nnx.Module):
    """From RGB to the first stage's channels.

    `imagenet`: 7x7 with stride 2, batch norm, relu, 3x3 max pool with stride 2, a quarter of the height and width in
    all. `cifar`: 3x3, batch norm, relu.
    """

    def __init__(self, kind: str, channels: int, *, dtype: jnp.dtype | None = None, key: PRNGKey):
        kernel, stride = (7, 2) if kind == "imagenet" else (3, 1)
        self.pooled = kind == "imagenet"
        self.conv = convolution(3, channels, kernel, stride, dtype=dtype, key=layer_key(key, "conv"))
        self.norm = BatchNorm(channels)

    def __call__(self, images: Images) -> Features:
        features = nnx.relu(self.norm(self.conv(images)))
        return nnx.max_pool(features, (3, 3), (2, 2), ((1, 1), (1, 1))) if self.pooled else features


class Network(nnx.Module):
    """A plain or residual network: images (batch, height, width, 3), standardized, to logits (batch, class).

    The map is halved and the channels doubled at the first block of every stage but the first (He et al. 2015,
    table 1). In training mode batch norm uses the batch's statistics and updates its own; `nnx.view(network,
    use_running_average=True)` is the network for evaluation.
    """

    def __init__(self, architecture: Architecture, classes: int, *, dtype: jnp.dtype | None = None, key: PRNGKey):
        self.stem = Stem(architecture.stem, architecture.width, dtype=dtype, key=layer_key(key, "stem"))
        stages, inputs = [], architecture.width
        for stage, count in enumerate(architecture.blocks):
            blocks, outputs = [], architecture.width * 2**stage
            for index in range(count):
                blocks.append(
                    BasicBlock(
                        inputs,
                        outputs,
                        stride=2 if stage > 0 and index == 0 else 1,
                        shortcut=architecture.shortcut,
                        zero_gamma=architecture.zero_gamma,
                        dtype=dtype,
                        key=layer_key(key, f"stage{stage}.block{index}"),
                    )
                )
                inputs = outputs
            stages.append(nnx.List(blocks))
        self.stages = nnx.List(stages)
        self.head = nnx.Linear(
            inputs,
            classes,
            kernel_init=nnx.initializers.normal(0.01),
            dtype=dtype,
            rngs=nnx.Rngs(layer_key(key, "head")),
        )

    def __call__(self, images: Images) -> Logits:
        features = self.stem(images)
        for stage in self.stages:
            for block in stage:
                features = block(features)
        return self.head(features.mean((1, 2)))


def build(
    named: str | Architecture,
    *,
    classes: int,
    key: PRNGKey | int = 0,
    dtype: jnp.dtype | None = None,
    **fields: object,
) -> Network:
    """A freshly initialized network: `build("resnet34", classes=5, key=jax.random.key(0), width=16, stem="cifar")`.

    Args:
      named: a name of `ARCHITECTURES`, or an `Architecture`.
      classes: number of logits, 2 or more.
      key: a key, or the seed of one.
      dtype: what is computed in, float32 by default; parameters and statistics are float32 always.
      **fields: fields of `Architecture` to change.

    Raises:
      BadInput: for an unknown name or a value outside its range.
    """
    if classes < 2:
        raise BadInput(f"classes={classes}: two or more are accepted")
    described = architecture(named, **fields) if isinstance(named, str) else replace(named, **fields)
    return Network(described, classes, dtype=dtype, key=jax.random.key(key) if isinstance(key, int) else key)
