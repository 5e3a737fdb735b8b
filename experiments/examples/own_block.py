"""A block of your own in the place of resjax's, as a ResNet and as its plain twin.

python -m experiments.examples.own_block
"""

import jax
import jax.numpy as jnp
from flax import nnx

import resjax
from resjax.models import Block, BlockLayers, BlockScales


class SeparableBlock(Block):
    """A 3x3 convolution of each channel apart, a 1x1 convolution, and a shortcut around them (Howard et al. 2017).

    (batch, height, width, inputs) becomes (batch, height / stride, width / stride, outputs), rounded up.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        *,
        shortcut: str,
        variant: resjax.BlockVariant,
        dtype: jnp.dtype | None = None,
        key: jax.Array,
    ):
        # Each layer draws its numbers by its name, so twins start from the same ones.
        make = BlockLayers(variant, dtype, key)
        super().__init__(make, outputs, make.shortcut(shortcut, inputs, outputs, stride))
        self.depthwise = make.conv("depthwise", inputs, inputs, 3, stride, groups=inputs)
        self.norm1 = make.norm(inputs)
        self.pointwise = make.conv("pointwise", inputs, outputs, 1, last=True)
        self.norm2 = make.norm(outputs, last=True)

    def __call__(
        self, features: jax.Array, *, key: jax.Array | None = None, scales: BlockScales | None = None
    ) -> jax.Array:
        branch = nnx.relu(self.norm1(self.depthwise(features)))
        branch = self.norm2(self.pointwise(branch))
        return nnx.relu(self.add_shortcut(branch, features, key, scales))


def main(name: str = "resnet20", width: int = 16) -> dict[str, int]:
    """Builds both twins of separable blocks; returns how many numbers each trains."""
    described = resjax.architecture(name, width=width)
    images = jax.random.normal(jax.random.key(1), (2, 32, 32, 3))
    counts = {}
    for each in (described, described.with_shortcut("none")):
        network = resjax.build(each, classes=10, key=0, make_block=SeparableBlock)
        counts[each.name] = sum(leaf.size for leaf in jax.tree.leaves(nnx.as_pure(nnx.state(network, nnx.Param))))
        print(f"{each.name} of separable blocks: {counts[each.name]} parameters, logits {network(images).shape}")
    return counts


if __name__ == "__main__":
    main()
