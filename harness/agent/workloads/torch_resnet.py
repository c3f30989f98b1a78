"""ResNets as tf_cnn has them (He et al., arXiv:1512.03385): 50 layers for ImageNet, 20 for CIFAR-10."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from harness.agent.workloads.torch_layers import initialized, normalized


def resnet50(classes: int, *, late_stride: bool) -> nn.Module:
    """Return ResNet-50. A block's stride is in its first 1×1 convolution (v1) or, `late_stride`, in its 3×3 (v1.5)."""
    stages = [(256, 3, 1), (512, 4, 2), (1024, 6, 2), (2048, 3, 2)]  # channels, blocks, stride of the first
    blocks: list[nn.Module] = []
    incoming = 64
    for channels, count, stride in stages:
        for index in range(count):
            strides = (1, stride) if late_stride else (stride, 1)
            blocks.append(Bottleneck(incoming, channels, strides if index == 0 else (1, 1)))
            incoming = channels
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)  # pads below and right alone, as upstream's SAME does
    stem = (*normalized(3, 64, 7, 2), nn.ReLU(), pool)
    return initialized(nn.Sequential(*stem, *blocks, *_head(incoming, classes)))


def resnet20(classes: int) -> nn.Module:
    """Return the ResNet of CIFAR-10 with three blocks a stage."""
    blocks: list[nn.Module] = []
    incoming = 16
    for channels in (16, 32, 64):
        for _ in range(3):
            blocks.append(Residual(incoming, channels))
            incoming = channels
    return initialized(nn.Sequential(*normalized(3, 16, 3, 1), *blocks, *_head(incoming, classes)))


def _head(channels: int, classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]


class Bottleneck(nn.Module):  # type: ignore[misc]  # torch is not installed where types are checked
    """1×1, 3×3 and 1×1 convolutions around a shortcut, which is projected where the channels change."""

    def __init__(self, incoming: int, channels: int, strides: tuple[int, int]) -> None:
        super().__init__()
        inner = channels // 4
        first, second = strides
        self.shortcut = nn.Identity()
        if incoming != channels:
            self.shortcut = nn.Sequential(*normalized(incoming, channels, 1, first * second))
        self.body = nn.Sequential(
            *normalized(incoming, inner, 1, first),
            nn.ReLU(),
            *normalized(inner, inner, 3, second),
            nn.ReLU(),
            *normalized(inner, channels, 1, 1),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        return torch.relu(self.shortcut(images) + self.body(images))


class Residual(nn.Module):  # type: ignore[misc]  # torch is not installed where types are checked
    """Two 3×3 convolutions around a shortcut without parameters: more channels are zeros, half the size is a stride."""

    def __init__(self, incoming: int, channels: int) -> None:
        super().__init__()
        self.stride = 1 if incoming == channels else 2
        self.added = (channels - incoming) // 2
        self.body = nn.Sequential(
            *normalized(incoming, channels, 3, self.stride, same=True),
            nn.ReLU(),
            *normalized(channels, channels, 3, 1),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        shortcut = images[:, :, :: self.stride, :: self.stride]
        if self.added:
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, self.added, self.added))
        return torch.relu(shortcut + self.body(images))
