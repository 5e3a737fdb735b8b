"""What the comparisons of pictures share: grey values, the crops that are expected, resizing and blurring."""

import numpy as np
from jaxtyping import Float32

WINDOWS = ((0.0, 1.0), (0.0, 0.95), (0.025, 0.975), (0.05, 1.0))
"""The parts of the height, and of the width, that a crop of 5 % leaves."""
GREY = np.array((0.299, 0.587, 0.114), np.float32)


def resampling(size: int, window: tuple[float, float], to: int) -> Float32[np.ndarray, "to size"]:
    """The matrix that resizes a part of an axis by Pillow's bilinear filter with antialiasing."""
    start, end = (size * share for share in window)
    scale = (end - start) / to
    centres = start + scale * (np.arange(to) + 0.5)
    distances = np.abs(np.arange(size) + 0.5 - centres[:, None])
    weights = np.maximum(0.0, 1.0 - distances / max(1.0, scale))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def blurred(images: Float32[np.ndarray, "... size size"], width: float) -> Float32[np.ndarray, "... size size"]:
    """The images under a Gaussian blur of this standard deviation in pixels."""
    size = images.shape[-1]
    offsets = np.arange(size) - np.arange(size)[:, None]
    weights = np.exp(-0.5 * (offsets / width) ** 2)
    blur = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    # One large matrix product per axis is several times faster than two small ones per image.
    for _ in range(2):
        images = images.swapaxes(-1, -2)
        images = (images.reshape(-1, size) @ blur.T).reshape(images.shape)
    return images
