"""Twins in torch of two models of tf_cnn_benchmarks: the same layers, sizes and number of parameters.

Written from the published architectures (ResNet v1: He et al., arXiv:1512.03385) and upstream's hyperparameters.
Only `torch_cnn.run` imports this module: it needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

CLASSES = 1001  # upstream's ImageNet has a background class
WEIGHT_DECAY = 4e-5  # upstream adds 4e-5 · ½‖w‖² to the loss, batch norm left out: the same gradient
IMAGENET_IMAGES = 1_281_167


@dataclass(frozen=True, kw_only=True)
class Twin:
    """A model, the side of its square input in pixels, and the learning rate by step and batch size."""

    build: Callable[[], nn.Module]
    image_size: int
    learning_rate: Callable[[int, int], float]


def trivial() -> nn.Module:
    """Return three fully connected layers with a bottleneck of one unit."""
    side = TWINS["trivial"].image_size
    return _initialized(
        nn.Sequential(
            nn.Flatten(),
            nn.Linear(3 * side * side, 1),
            nn.ReLU(),
            nn.Linear(1, 4096),
            nn.ReLU(),
            nn.Linear(4096, CLASSES),
        )
    )


def resnet50() -> nn.Module:
    """Return ResNet-50 v1: the stride is in a block's first 1×1 convolution."""
    stages = [(256, 3, 1), (512, 4, 2), (1024, 6, 2), (2048, 3, 2)]  # channels, blocks, stride of the first
    blocks: list[nn.Module] = []
    incoming = 64
    for channels, count, stride in stages:
        for index in range(count):
            blocks.append(Bottleneck(incoming, channels, stride if index == 0 else 1))
            incoming = channels
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)  # pads below and right alone, as upstream's SAME does
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(incoming, CLASSES))
    return _initialized(nn.Sequential(*_convolution(3, 64, 7, 2), nn.ReLU(), pool, *blocks, *head))


class Bottleneck(nn.Module):  # type: ignore[misc]  # torch is not installed where types are checked
    """1×1, 3×3 and 1×1 convolutions around a shortcut, which is projected where the channels change."""

    def __init__(self, incoming: int, channels: int, stride: int) -> None:
        super().__init__()
        inner = channels // 4
        self.shortcut = nn.Identity()
        if incoming != channels:
            self.shortcut = nn.Sequential(*_convolution(incoming, channels, 1, stride))
        self.body = nn.Sequential(
            *_convolution(incoming, inner, 1, stride),
            nn.ReLU(),
            *_convolution(inner, inner, 3, 1),
            nn.ReLU(),
            *_convolution(inner, channels, 1, 1),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        return torch.relu(self.shortcut(images) + self.body(images))


def parameter_groups(model: nn.Module) -> list[dict[str, object]]:
    """Split the parameters for the optimizer: weight decay for all but batch normalization's."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        (plain if isinstance(module, nn.BatchNorm2d) else decayed).extend(own)
    return [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]


def _convolution(incoming: int, outgoing: int, kernel: int, stride: int) -> tuple[nn.Module, nn.Module]:
    """Return a convolution without bias and its batch normalization (decay 0.9 in upstream's terms)."""
    convolution = nn.Conv2d(incoming, outgoing, kernel, stride, padding=(kernel - 1) // 2, bias=False)
    return convolution, nn.BatchNorm2d(outgoing, eps=1e-5, momentum=0.1)


def _initialized(model: nn.Module) -> nn.Module:
    """Draw the weights as upstream does: truncated normal, scaled by the number of inputs; biases 0."""
    layers = [module for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    for layer in layers:
        gain = 2.0 if isinstance(layer, nn.Linear) and layer is not layers[-1] else 1.0
        deviation = math.sqrt(gain / layer.weight[0].numel())
        nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return model


def _constant(_step: int, _batch_size: int) -> float:
    return 0.005


def _resnet_warmup(step: int, batch_size: int) -> float:
    """Upstream's rate within its first five epochs: linear from 0 to 0.128 · batch size / 256."""
    return 0.128 * batch_size / 256 * step / (5 * IMAGENET_IMAGES // batch_size)


TWINS = {
    "trivial": Twin(build=trivial, image_size=227, learning_rate=_constant),
    "resnet50": Twin(build=resnet50, image_size=224, learning_rate=_resnet_warmup),
}
