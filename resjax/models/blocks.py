"""The blocks of He et al.: basic and bottleneck (2015, figure 5), and both pre-activated (2016, figure 1).

A block computes relu(F(x) + S(x)) of a branch F and a shortcut S; pre-activated, F(x) + S(x). With `shortcut="none"` it
is a plain block: the same without the addition.

Pre-activated, an identity shortcut leaves from the raw features, any other from the activated ones; projections have no
norm; the stem's norm and relu are the first block's, and a last norm and relu come before the head (2016, appendix).
"""

import jax.numpy as jnp
from flax import nnx

from resjax.models.changes import BlockScales
from resjax.models.normalization import Norm
from resjax.models.residual import ORIGINAL, Block, BlockLayers, BlockVariant
from resjax.models.shortcut import IdentityShortcut
from resjax.types import Features, PRNGKey


class BasicBlock(Block):
    """Two 3x3 convolutions and a shortcut around them (He et al. 2015, figure 5, left).

    (batch, height, width, inputs) becomes (batch, height / stride, width / stride, outputs), rounded up.

    >>> import jax, jax.numpy as jnp
    >>> block = BasicBlock(4, 8, stride=2, shortcut="pad", key=jax.random.key(0))
    >>> block(jnp.ones((1, 9, 9, 4))).shape
    (1, 5, 5, 8)

    Args:
      inputs: channels that come in.
      outputs: channels that go out.
      stride: 1, or 2 to halve height and width.
      shortcut: `none`, `pad`, `project` or `project_all`, as in `Architecture`.
      variant: what later papers changed: normalization, gates, drop rate and initial numbers.
      dtype: what is computed in, float32 by default; parameters are float32 always.
      key: the block's key.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        *,
        shortcut: str = "project",
        variant: BlockVariant = ORIGINAL,
        dtype: jnp.dtype | None = None,
        key: PRNGKey,
    ):
        make = BlockLayers(variant, dtype, key)
        super().__init__(make, outputs, make.shortcut(shortcut, inputs, outputs, stride))
        self.conv1 = make.conv("conv1", inputs, outputs, 3, stride)
        self.norm1 = make.norm(outputs)
        self.conv2 = make.conv("conv2", outputs, outputs, 3, last=True)
        self.norm2 = make.norm(outputs, last=True)

    def __call__(
        self, features: Features, *, key: PRNGKey | None = None, scales: BlockScales | None = None
    ) -> Features:
        branch = nnx.relu(self.norm1(self.conv1(features)))
        branch = self.norm2(self.conv2(branch))
        return nnx.relu(self.add_shortcut(branch, features, key, scales))


class BottleneckBlock(Block):
    """1x1, 3x3 and 1x1 convolutions and a shortcut around them (He et al. 2015, figure 5, right).

    (batch, height, width, inputs) becomes (batch, height / stride, width / stride, outputs), rounded up. V1.5: the
    stride is on the 3x3, as in torchvision; the paper has it on the first 1x1.

    >>> import jax, jax.numpy as jnp
    >>> block = BottleneckBlock(16, 4, 32, stride=2, groups=2, key=jax.random.key(0))
    >>> block(jnp.ones((1, 8, 8, 16))).shape
    (1, 4, 4, 32)

    Args:
      inputs: channels that come in.
      inner: channels of the 3x3 convolution.
      outputs: channels that go out.
      stride: 1, or 2 to halve height and width.
      groups: groups of the 3x3 convolution (ResNeXt: Xie et al. 2017), a divisor of `inner`.
      shortcut: `none`, `pad`, `project` or `project_all`, as in `Architecture`.
      variant: what later papers changed: normalization, gates, drop rate and initial numbers.
      dtype: what is computed in, float32 by default; parameters are float32 always.
      key: the block's key.
    """

    def __init__(
        self,
        inputs: int,
        inner: int,
        outputs: int,
        stride: int = 1,
        groups: int = 1,
        *,
        shortcut: str = "project",
        variant: BlockVariant = ORIGINAL,
        dtype: jnp.dtype | None = None,
        key: PRNGKey,
    ):
        make = BlockLayers(variant, dtype, key)
        super().__init__(make, outputs, make.shortcut(shortcut, inputs, outputs, stride))
        self.conv1 = make.conv("conv1", inputs, inner, 1)
        self.norm1 = make.norm(inner)
        self.conv2 = make.conv("conv2", inner, inner, 3, stride, groups)
        self.norm2 = make.norm(inner)
        self.conv3 = make.conv("conv3", inner, outputs, 1, last=True)
        self.norm3 = make.norm(outputs, last=True)

    def __call__(
        self, features: Features, *, key: PRNGKey | None = None, scales: BlockScales | None = None
    ) -> Features:
        branch = nnx.relu(self.norm1(self.conv1(features)))
        branch = nnx.relu(self.norm2(self.conv2(branch)))
        branch = self.norm3(self.conv3(branch))
        return nnx.relu(self.add_shortcut(branch, features, key, scales))


class PreactivationBlock(Block):
    """Two 3x3 convolutions, each after its norm and relu, and a shortcut around them (He et al. 2016, figure 1, right).

    (batch, height, width, inputs) becomes (batch, height / stride, width / stride, outputs), rounded up. Nothing comes
    after the addition. An identity shortcut leaves from the block's input, any other one from behind the first norm and
    relu, and a projection has no norm of its own (2016, appendix).

    >>> import jax, jax.numpy as jnp
    >>> block = PreactivationBlock(4, 8, stride=2, key=jax.random.key(0))
    >>> block(jnp.ones((1, 9, 9, 4))).shape
    (1, 5, 5, 8)

    Args:
      inputs: channels that come in.
      outputs: channels that go out.
      stride: 1, or 2 to halve height and width.
      activated: whether the input was normalized and activated before, so that the first norm and relu are left out:
        the network's first block, after the stem.
      shortcut: `none`, `pad`, `project` or `project_all`, as in `Architecture`.
      variant: what later papers changed: normalization, gates and drop rate.
      dtype: what is computed in, float32 by default; parameters are float32 always.
      key: the block's key.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        *,
        activated: bool = False,
        shortcut: str = "project",
        variant: BlockVariant = ORIGINAL,
        dtype: jnp.dtype | None = None,
        key: PRNGKey,
    ):
        make = BlockLayers(variant, dtype, key)
        super().__init__(make, outputs, make.shortcut(shortcut, inputs, outputs, stride, normalized=False))
        self.norm1: Norm | None = nnx.data(None if activated else make.norm(inputs))
        self.conv1 = make.conv("conv1", inputs, outputs, 3, stride)
        self.norm2 = make.norm(outputs)
        self.conv2 = make.conv("conv2", outputs, outputs, 3)

    def __call__(
        self, features: Features, *, key: PRNGKey | None = None, scales: BlockScales | None = None
    ) -> Features:
        activated = features if self.norm1 is None else nnx.relu(self.norm1(features))
        branch = self.conv1(activated)
        branch = self.conv2(nnx.relu(self.norm2(branch)))
        entering = features if isinstance(self.shortcut, IdentityShortcut) else activated
        return self.add_shortcut(branch, entering, key, scales)


class PreactivationBottleneckBlock(Block):
    """1x1, 3x3 and 1x1 convolutions, each after its norm and relu, and a shortcut around them (He et al. 2016).

    (batch, height, width, inputs) becomes (batch, height / stride, width / stride, outputs), rounded up. The shortcut
    leaves where that of `PreactivationBlock` does, and the stride is on the 3x3.

    >>> import jax, jax.numpy as jnp
    >>> block = PreactivationBottleneckBlock(16, 4, 32, stride=2, key=jax.random.key(0))
    >>> block(jnp.ones((1, 8, 8, 16))).shape
    (1, 4, 4, 32)

    Args:
      inputs: channels that come in.
      inner: channels of the 3x3 convolution.
      outputs: channels that go out.
      stride: 1, or 2 to halve height and width.
      groups: groups of the 3x3 convolution, a divisor of `inner`.
      activated: whether the input was normalized and activated before, so that the first norm and relu are left out:
        the network's first block, after the stem.
      shortcut: `none`, `pad`, `project` or `project_all`, as in `Architecture`.
      variant: what later papers changed: normalization, gates and drop rate.
      dtype: what is computed in, float32 by default; parameters are float32 always.
      key: the block's key.
    """

    def __init__(
        self,
        inputs: int,
        inner: int,
        outputs: int,
        stride: int = 1,
        groups: int = 1,
        *,
        activated: bool = False,
        shortcut: str = "project",
        variant: BlockVariant = ORIGINAL,
        dtype: jnp.dtype | None = None,
        key: PRNGKey,
    ):
        make = BlockLayers(variant, dtype, key)
        super().__init__(make, outputs, make.shortcut(shortcut, inputs, outputs, stride, normalized=False))
        self.norm1: Norm | None = nnx.data(None if activated else make.norm(inputs))
        self.conv1 = make.conv("conv1", inputs, inner, 1)
        self.norm2 = make.norm(inner)
        self.conv2 = make.conv("conv2", inner, inner, 3, stride, groups)
        self.norm3 = make.norm(inner)
        self.conv3 = make.conv("conv3", inner, outputs, 1)

    def __call__(
        self, features: Features, *, key: PRNGKey | None = None, scales: BlockScales | None = None
    ) -> Features:
        activated = features if self.norm1 is None else nnx.relu(self.norm1(features))
        branch = self.conv1(activated)
        branch = self.conv2(nnx.relu(self.norm2(branch)))
        branch = self.conv3(nnx.relu(self.norm3(branch)))
        entering = features if isinstance(self.shortcut, IdentityShortcut) else activated
        return self.add_shortcut(branch, entering, key, scales)
