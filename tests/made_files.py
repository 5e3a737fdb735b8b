"""Image files and catalogues of them, for the tests of decoding and of its cache."""

import io

import numpy as np
from PIL import Image

from resjax.data.dataset import Dataset
from resjax.data.sources.opening import Catalogue

SIZE = 12


def photograph(seed: int = 0, height: int = 40, width: int = 52) -> np.ndarray:
    """Smooth colours that differ from corner to corner, so that a turned or mirrored image shows."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC))


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def catalogue_of(*files: bytes, labels: list[int] | None = None) -> Catalogue:
    return Catalogue(
        name="files",
        classes=("x", "y"),
        ids=tuple(f"{index:02}.jpg" for index in range(len(files))),
        labels=np.array(labels or [index % 2 for index in range(len(files))], np.int32),
        read=lambda image: files[image],
        has_near_duplicates=False,
    )


def pixels_of(dataset: Dataset) -> np.ndarray:
    return dataset.images[np.arange(len(dataset.images))]


def pngs(count: int) -> list[bytes]:
    return [saved(Image.fromarray(photograph(seed)), "PNG") for seed in range(count)]
