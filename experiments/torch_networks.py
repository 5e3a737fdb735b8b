"""The same networks in PyTorch, with the structure and parameter names of torchvision.models.resnet."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resjax.models.architecture import Architecture


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; what is added at the end follows the architecture's shortcut.

    Shapes: (batch, in_channels, height, width) to (batch, channels, height / stride, width / stride).
    """

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: str):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut, self.stride, self.new_channels = shortcut, stride, channels - in_channels
        changes = stride > 1 or in_channels != channels
        if shortcut == "project_all" or (shortcut == "project" and changes):
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )
        else:
            self.downsample = None

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        if self.shortcut == "none":
            return F.relu(out, inplace=True)
        if self.downsample is not None:
            x = self.downsample(x)
        elif self.stride > 1 or self.new_channels:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))
        return F.relu(out + x, inplace=True)


class TorchNetwork(nn.Module):
    """The network of an architecture of basic blocks: images (batch, 3, height, width) to logits (batch, class)."""

    def __init__(self, architecture: Architecture, classes: int):
        super().__init__()
        width, imagenet = architecture.width, architecture.stem == "imagenet"
        self.conv1 = nn.Conv2d(3, width, 7 if imagenet else 3, 2 if imagenet else 1, 3 if imagenet else 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if imagenet else nn.Identity()
        stages, channels = [], width
        for stage, blocks in enumerate(architecture.blocks):
            layers = []
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                layers.append(BasicBlock(channels, width << stage, stride, architecture.shortcut))
                channels = width << stage
            stages.append(nn.Sequential(*layers))
            self.add_module(f"layer{stage + 1}", stages[-1])
        self.stages = tuple(stages)
        self.fc = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(F.relu(self.bn1(self.conv1(x)), inplace=True))
        for stage in self.stages:
            x = stage(x)
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
