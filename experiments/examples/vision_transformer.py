"""Is a network of your own better than ResNet-20 on your images? A small Vision Transformer, and ten lines that ask.

  python -m experiments.examples.vision_transformer

On a command line the network is `--architectures=resnet20,experiments.examples.vision_transformer:vision_transformer`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import resjax


class EncoderBlock(nnx.Module):
    """Attention and a perceptron, each normalized before and added to what came in (Dosovitskiy et al. 2021)."""

    def __init__(self, width: int, heads: int, dropout: float, *, rngs: nnx.Rngs):
        self.before_attention = nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(heads, width, decode=False, rngs=rngs)
        self.before_perceptron = nnx.LayerNorm(width, rngs=rngs)
        self.widen = nnx.Linear(width, 2 * width, rngs=rngs)
        self.narrow = nnx.Linear(2 * width, width, rngs=rngs)
        self.dropout = nnx.Dropout(dropout, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        tokens = tokens + self.dropout(self.attention(self.before_attention(tokens)))
        hidden = nnx.gelu(self.widen(self.before_perceptron(tokens)))
        return tokens + self.dropout(self.narrow(hidden))


class VisionTransformer(nnx.Module):
    """Images (batch, height, width, 3) to logits (batch, class), by patches; the tokens' mean is what is classified."""

    def __init__(
        self,
        classes: int,
        *,
        size: int = 32,
        patch: int = 4,
        width: int = 48,
        heads: int = 4,
        depth: int = 3,
        dropout: float = 0.1,
        rngs: nnx.Rngs,
    ):
        self.embed = nnx.Conv(3, width, (patch, patch), strides=patch, padding="VALID", rngs=rngs)
        positions = nnx.initializers.normal(0.02)(rngs.params(), ((size // patch) ** 2, width), jnp.float32)
        self.positions = nnx.Param(positions)
        self.blocks = nnx.List([EncoderBlock(width, heads, dropout, rngs=rngs) for _ in range(depth)])
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.head = nnx.Linear(width, classes, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        patches = self.embed(images)
        tokens = patches.reshape(len(images), -1, patches.shape[-1]) + self.positions[...][None]
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens).mean(1))


def vision_transformer(key: jax.Array, classes: int) -> VisionTransformer:
    """What a comparison calls for each seed."""
    return VisionTransformer(classes, rngs=nnx.Rngs(key))


def cifar_like(images: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Stand-ins for CIFAR's arrays: stripes whose direction is the class, in any colour and with noise."""
    draw = np.random.default_rng(seed)
    labels = np.arange(images) % 4
    angle = (labels * np.pi / 4 + draw.normal(0, 0.1, images))[:, None, None]
    rows, columns = np.mgrid[:32, :32]
    phase = draw.uniform(0, 6.3, (images, 1, 1))
    stripes = np.sin(0.8 * (np.cos(angle) * rows + np.sin(angle) * columns) + phase)[..., None]
    colour = draw.uniform(20, 60, (images, 1, 1, 3))
    pixels = 128 + colour * stripes + draw.normal(0, 25, (images, 32, 32, 3))
    return pixels.clip(0, 255).astype(np.uint8), labels


def main(
    workdir: str = "runs/vision_transformer",
    *,
    baseline: str = "resnet20",
    images: int = 400,
    seeds: int = 6,
    epochs: int = 4,
) -> None:
    """The comparison: the verdict is printed, and `report.html` is in the workdir."""
    resjax.compare(
        [baseline, vision_transformer],
        cifar_like(images),
        recipe=resjax.Recipe(epochs=epochs, batch_size=32, optimizer="adamw", learning_rate=1e-3, schedule="cosine"),
        seeds=seeds,
        near_copies=False,
        workdir=workdir,
    )


if __name__ == "__main__":
    main()
