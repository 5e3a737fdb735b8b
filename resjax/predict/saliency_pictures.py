"""Pictures of what a classifier looks at: each image beside itself with its Grad-CAM map laid over it."""

import re
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from PIL import Image

from resjax.errors import BadInput
from resjax.predict.trained_network import TrainedArm
from resjax.probes.saliency import grad_cam
from resjax.report.storage import atomic
from resjax.types import Batch

SHOWN_SIZE = 256
"""Height and width in pixels, at least; the network's own size where that is larger."""
COVER = 0.55
"""The share of the map in the picture, the image's is the rest."""
GAP = 4


class SaliencyPictures:
    """Writes a PNG for each image into a folder: left as the network sees it, right under the map for its class.

    The map is the mean over the replicas (see `grad_cam`), divided by its largest value: yellow is where the features
    lie that speak for the class, black where nothing does.

    Raises:
      BadInput: where the folder cannot be made.
    """

    def __init__(self, arm: TrainedArm, folder: Path):
        self._arm, self._folder, self._written = arm, folder, 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"--grad_cam={folder}: {error.strerror}; a folder that can be written is accepted"
            ) from error

    def write(self, names: Sequence[str], pixels: np.ndarray, labels: np.ndarray) -> list[Path]:
        """The pictures of these images, whose files carry a number and the image's own name.

        `pixels` (image, height, width, 3) and `labels` may have more rows than names: those fill up the batch.
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
        """(image, row, column), from 0 to 1."""
        batch = Batch(jnp.asarray(pixels), jnp.asarray(labels, jnp.int32))
        maps = [grad_cam(self._arm.functional, each, batch)["maps"] for each in self._arm.variables.values()]
        mean = np.mean([np.asarray(each) for each in maps], axis=0)
        return mean / np.maximum(mean.max((1, 2), keepdims=True), 1e-30)


def beside(pixels: np.ndarray, heat: np.ndarray) -> Image.Image:
    """An image (height, width, 3) in uint8 beside itself under a map (row, column) from 0 to 1."""
    from matplotlib import colormaps

    side = max(SHOWN_SIZE, *pixels.shape[:2])
    plain = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    # As floats, so that a map of 4 x 4 becomes no staircase of grey levels.
    spread = np.asarray(Image.fromarray(heat.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC))
    colors = 255 * colormaps["inferno"](spread.clip(0, 1))[..., :3]
    over = (1 - COVER) * np.asarray(plain) + COVER * colors
    picture = Image.new("RGB", (2 * side + GAP, side), "white")
    picture.paste(plain, (0, 0))
    picture.paste(Image.fromarray(over.round().astype(np.uint8)), (side + GAP, 0))
    return picture
