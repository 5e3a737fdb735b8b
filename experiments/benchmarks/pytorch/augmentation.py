"""The augmentation of the first exercise on batches in torch, as a reference for `resjax.data.augmentation`.

The changes and the distributions of their amounts are the same. It runs on the device and is written as users of torch
would write it.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

DEGREES, FACTOR, HUE = 15.0, 0.2, 0.1
"""`flip,rotate:15,color:0.2,0.2,0.2,0.1`"""
GREY = (0.299, 0.587, 0.114)


def augmented(images: Tensor) -> Tensor:
    """Images (batch, 3, height, width) in [0, 1], randomly flipped, rotated and changed in colour."""
    flipped = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    images = rotated(torch.where(flipped, images.flip(3), images), _uniform(images, -DEGREES, DEGREES))
    changes = [_brightness, _contrast, _saturation]
    # As in ours, all images of a batch share one order of the four changes.
    for number in torch.randperm(4).tolist():
        if number == 3:
            images = with_hue(images, _uniform(images, -HUE, HUE))
        else:
            images = changes[number](images, _uniform(images, 1 - FACTOR, 1 + FACTOR))
    return images


def rotated(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotated counter-clockwise about the centre, bilinear, black outside the source; degrees (batch, 1, 1, 1)."""
    angle = degrees.flatten() * (math.pi / 180)
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    height, width = images.shape[2:]
    rows = (cosine, -sine * (height / width), zero, sine * (width / height), cosine, zero)
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def with_hue(images: Tensor, shift: Tensor) -> Tensor:
    """The hue of HSV turned by a fraction of the circle, in the same closed form as ours."""
    red, green, blue = images.unbind(1)
    value = images.amax(1)
    chroma = value - images.amin(1)
    scale = 1.0 / torch.where(chroma == 0, 1.0, chroma)
    hue = torch.where(
        value == red,
        (green - blue) * scale,
        torch.where(value == green, 2.0 + (blue - red) * scale, 4.0 + (red - green) * scale),
    )
    start = torch.tensor((5.0, 3.0, 1.0), device=images.device).view(1, 3, 1, 1)
    k = torch.remainder(hue[:, None] + 6.0 * shift + start, 6.0)
    return value[:, None] - chroma[:, None] * torch.minimum(k, 4.0 - k).clamp(0.0, 1.0)


def _brightness(images: Tensor, factor: Tensor) -> Tensor:
    return (images * factor).clamp(0.0, 1.0)


def _contrast(images: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(_grey(images).mean((2, 3), keepdim=True), images, factor).clamp(0.0, 1.0)


def _saturation(images: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(_grey(images), images, factor).clamp(0.0, 1.0)


def _grey(images: Tensor) -> Tensor:
    return (images * torch.tensor(GREY, device=images.device).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _uniform(images: Tensor, low: float, high: float) -> Tensor:
    return torch.empty(len(images), 1, 1, 1, device=images.device).uniform_(low, high)
