"""Saliency pictures of a classifier: each image beside itself with its Grad-CAM map over it."""

import re
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from PIL import Image

from resjax.errors import BadInput
from resjax.models.own_network import OwnNetwork
from resjax.predict.trained_network import TrainedNetwork
from resjax.probes.saliency import grad_cam
from resjax.records import atomic
from resjax.types import Batch

SHOWN_SIZE = 256
"""The least height and width in pixels; the network's own size if that is larger."""
COVER = 0.55
"""The opacity of the map over the image."""
GAP = 4
"""Pixels between the two halves."""


class SaliencyPictures:
    """Writes a PNG for each image into a folder: on the left as the network sees it, on the right under its map.

    The map is that of the predicted class: the mean over the replicas (see `grad_cam`), divided by its largest value.
    Features that support the class are yellow; where there are none, the map is black.

    Raises:
      BadInput: if the folder cannot be made, or the network is one of the caller's own.
    """

    def __init__(self, network: TrainedNetwork, folder: Path):
        self._network, self._folder, self._written = network, folder, 0
        if isinstance(network.functional.network, OwnNetwork):
            raise BadInput(f"--grad_cam={folder}: {network.name} is a network of your own, whose maps are not known")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"--grad_cam={folder}: {error.strerror}, expected a folder that can be written") from error

    def write(self, names: Sequence[str], pixels: np.ndarray, labels: np.ndarray) -> list[Path]:
        """Writes the pictures of these images to files named by a number and the image's name.

        `pixels` (image, height, width, 3) and `labels` may have more rows than names, which pad the batch.
        """
        paths = []
        for name, image, heat in zip(names, pixels, self._maps(pixels, labels), strict=False):
            self._written += 1
            stem = re.sub(r"[^\w.-]+", "_", Path(name).stem)[:60]
            path = self._folder / f"{self._written:05}_{stem}.png"
            with atomic(path) as file:
                beside(image, heat).save(file, "PNG")
            paths.append(path)
        return paths

    def _maps(self, pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The maps (image, row, column), from 0 to 1."""
        batch = Batch(jnp.asarray(pixels), jnp.asarray(labels, jnp.int32))
        maps = [grad_cam(self._network.functional, each, batch)["maps"] for each in self._network.variables.values()]
        mean = np.mean([np.asarray(each) for each in maps], axis=0)
        return mean / np.maximum(mean.max((1, 2), keepdims=True), 1e-30)


def beside(pixels: np.ndarray, heat: np.ndarray) -> Image.Image:
    """An image (height, width, 3) in uint8 beside the same image under a map (row, column) from 0 to 1."""
    from matplotlib import colormaps

    side = max(SHOWN_SIZE, *pixels.shape[:2])
    plain = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    # As floats, so that a map of 4 x 4 is not quantized to grey levels.
    spread = np.asarray(Image.fromarray(heat.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC))
    colors = 255 * colormaps["inferno"](spread.clip(0, 1))[..., :3]
    over = (1 - COVER) * np.asarray(plain) + COVER * colors
    picture = Image.new("RGB", (2 * side + GAP, side), "white")
    picture.paste(plain, (0, 0))
    picture.paste(Image.fromarray(over.round().astype(np.uint8)), (side + GAP, 0))
    return picture
