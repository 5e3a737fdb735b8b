"""Mixup and CutMix: each image of a batch is mixed with the one before it, and so are their labels.

Matches `torchvision.transforms.v2.MixUp` and `CutMix`: the share of the image itself is drawn from Beta(alpha, alpha)
once per batch, and the other image is the batch rolled by one.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int

from resjax.data.augmentation.pixels import RGBImages
from resjax.types import PRNGKey

Share = Float32[Array, ""]
"""What the image itself has in the mixture, 0 to 1; the rest is the other image's."""


def others(values: Array) -> Array:
    """What each image of a batch is mixed with: the one before it, the first with the last."""
    return jnp.roll(values, 1, axis=0)


def mix_pixels(images: RGBImages, shares: Float32[Array, "height width"]) -> RGBImages:
    """The mixture of each image with another one, with the share of the image itself at each pixel."""
    shares = shares[None, :, :, None]
    return shares * images + (1.0 - shares) * others(images)


def cutmix_shares(share: Share, centre: Int[Array, "2"], height: int, width: int) -> Float32[Array, "height width"]:
    """0 inside the box that is taken from the other image, 1 outside (Yun et al. 2019).

    The box has the image's shape, an area of 1 - `share` of it before whatever lies outside the image is cut off, and
    its centre at the pixel `centre` (row, column).
    """
    half = 0.5 * jnp.sqrt(1.0 - share)

    def in_box(size: int, middle: Int[Array, ""]) -> Array:
        reach = jnp.floor(half * size).astype(jnp.int32)
        pixels = jnp.arange(size, dtype=jnp.int32)
        return (pixels >= middle - reach) & (pixels < middle + reach)

    box = in_box(height, centre[0])[:, None] & in_box(width, centre[1])[None, :]
    return jnp.where(box, 0.0, 1.0)


def mix(key: PRNGKey, images: RGBImages, mixup: float, cutmix: float) -> tuple[RGBImages, Share]:
    """A batch that is mixed, and the share of each image's own label.

    With both, each batch is mixed in one of the two ways, with probability 1/2, as torchvision's recipes do. The share
    after CutMix is that of the pixels, so a box that lies partly outside counts as what is left of it.

    Args:
      key: of the draws.
      images: (batch, height, width, 3).
      mixup: alpha of mixup (Zhang et al. 2018); 0 for none.
      cutmix: alpha of CutMix; 0 for none. One of them is above 0.
    """
    way_key, mixup_key, cutmix_key, row_key, column_key = jax.random.split(key, 5)
    height, width = images.shape[1:3]
    ways = []
    if mixup:
        share = jax.random.beta(mixup_key, mixup, mixup, dtype=jnp.float32)
        ways.append((jnp.broadcast_to(share, (height, width)), share))
    if cutmix:
        centre = jnp.stack([jax.random.randint(row_key, (), 0, height), jax.random.randint(column_key, (), 0, width)])
        shares = cutmix_shares(jax.random.beta(cutmix_key, cutmix, cutmix, dtype=jnp.float32), centre, height, width)
        ways.append((shares, shares.mean()))
    if len(ways) == 1:
        ((shares, share),) = ways
    else:
        first = jax.random.bernoulli(way_key)
        shares, share = jax.tree.map(lambda *both: jnp.where(first, *both), *ways)
    return mix_pixels(images, shares), share
