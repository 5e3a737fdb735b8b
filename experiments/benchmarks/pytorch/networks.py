"""The same networks in PyTorch, with the structure and parameter names of torchvision's and timm's ResNets.

They were written independently of resjax.models as a reference for it, and share only the description with it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resjax.errors import BadInput
from resjax.models.architecture import Architecture


class SqueezeExcitation(nn.Module):
    """timm's SEModule: 1x1 convolutions of the means, 8 channels between them at least."""

    def __init__(self, channels: int, reduction: int):
        super().__init__()
        squeezed = max(channels // reduction, 8)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class TorchBlock(nn.Module):
    """A basic or bottleneck block, post- or pre-activated, with the shortcut of the architecture.

    Shapes: (batch, in_channels, height, width) to (batch, channels, height / stride, width / stride).
    """

    def __init__(self, architecture: Architecture, in_channels: int, planes: int, stride: int, first: bool):
        super().__init__()
        self.preactivation, self.shortcut, self.stride = architecture.preactivation, architecture.shortcut, stride
        if architecture.block == "basic":
            channels = planes
            convs = [(in_channels, planes, 3, stride, 1), (planes, planes, 3, 1, 1)]
        else:
            channels, groups = 4 * planes, architecture.cardinality
            inner = int(planes * architecture.base_width / 64) * groups
            convs = [(in_channels, inner, 1, 1, 1), (inner, inner, 3, stride, groups), (inner, channels, 1, 1, 1)]
        self.depth, self.new_channels = len(convs), channels - in_channels
        for number, (inputs, outputs, kernel, step, groups) in enumerate(convs, 1):
            conv = nn.Conv2d(inputs, outputs, kernel, step, kernel // 2, groups=groups, bias=False)
            self.add_module(f"conv{number}", conv)
            if not (self.preactivation and first and number == 1):
                self.add_module(f"bn{number}", nn.BatchNorm2d(inputs if self.preactivation else outputs))
        reduction = architecture.squeeze_excitation
        self.se = SqueezeExcitation(channels, reduction) if reduction else None
        changes = stride > 1 or bool(self.new_channels)
        self.downsample = None
        if self.shortcut == "project_all" or (self.shortcut == "project" and changes):
            projection = [nn.Conv2d(in_channels, channels, 1, stride, bias=False)]
            if not self.preactivation:
                projection.append(nn.BatchNorm2d(channels))
            self.downsample = nn.Sequential(*projection)
        self.identity = self.downsample is None and not changes

    def forward(self, x: Tensor) -> Tensor:
        out = entering = x
        for number in range(1, self.depth + 1):
            conv, bn = getattr(self, f"conv{number}"), getattr(self, f"bn{number}", None)
            if self.preactivation:
                out = out if bn is None else F.relu(bn(out))
                if number == 1 and not self.identity:
                    entering = out
                out = conv(out)
            else:
                assert bn is not None  # Only the first preactivated block lacks one.
                out = bn(conv(out))
                if number < self.depth:
                    out = F.relu(out, inplace=True)
        if self.se is not None:
            out = self.se(out)
        if self.downsample is not None:
            out = out + self.downsample(entering)
        elif self.shortcut != "none":
            kept = entering[:, :, :: self.stride, :: self.stride]
            out = out + F.pad(kept, (0, 0, 0, 0, 0, self.new_channels))
        return out if self.preactivation else F.relu(out, inplace=True)


class TorchNetwork(nn.Module):
    """The network of an architecture with batch norm: images (batch, 3, height, width) to logits (batch, class).

    Raises:
      BadInput: for an architecture with another normalization, or with stochastic depth.
    """

    def __init__(self, architecture: Architecture, classes: int):
        super().__init__()
        if architecture.normalization != "batch" or architecture.stochastic_depth:
            raise BadInput(f"{architecture.name} in torch: expected batch norm without stochastic depth")
        width, imagenet = architecture.width, architecture.stem == "imagenet"
        self.conv1 = nn.Conv2d(3, width, 7 if imagenet else 3, 2 if imagenet else 1, 3 if imagenet else 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if imagenet else nn.Identity()
        stages, channels = [], width
        for stage, blocks in enumerate(architecture.blocks):
            layers, planes = [], width * architecture.widening << stage
            for block in range(blocks):
                stride, first = 2 if stage and not block else 1, not stage and not block
                layers.append(TorchBlock(architecture, channels, planes, stride, first))
                channels = planes if architecture.block == "basic" else 4 * planes
            stages.append(nn.Sequential(*layers))
            self.add_module(f"layer{stage + 1}", stages[-1])
        self.stages = tuple(stages)
        self.bn = nn.BatchNorm2d(channels) if architecture.preactivation else None
        self.fc = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """The output of each stage."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(x)), inplace=True))
        out = []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return tuple(out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)[-1]
        if self.bn is not None:
            x = F.relu(self.bn(x))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
