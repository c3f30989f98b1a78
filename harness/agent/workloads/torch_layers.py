"""What the twins of tf_cnn's models are made of: upstream's layers, their initial weights and their padding, in torch.

Only the modules of the models import this one: it needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import nn

from harness.agent.workloads.upstream import WEIGHT_DECAY

Side = int | tuple[int, int]


def convolution(incoming: int, outgoing: int, kernel: int, stride: int = 1, *, padding: int | None = None) -> nn.Module:
    """Return a convolution with a bias and its ReLU; padded so that stride 1 keeps the size unless told otherwise."""
    padding = (kernel - 1) // 2 if padding is None else padding
    return nn.Sequential(nn.Conv2d(incoming, outgoing, kernel, stride, padding), nn.ReLU())


def normalized(incoming: int, outgoing: int, kernel: int, stride: int, *, same: bool = False) -> list[nn.Module]:
    """Return a convolution without bias and its batch normalization, as upstream's ResNets have them.

    Padded alike on both sides, or, with `same`, as TensorFlow's SAME pads an even side at stride 2: below and right.
    """
    padding = (kernel - 1) // 2
    before: list[nn.Module] = []
    if same and stride == 2:
        before, padding = [nn.ZeroPad2d((0, kernel - 2, 0, kernel - 2))], 0
    norm = nn.BatchNorm2d(outgoing, eps=1e-5, momentum=0.1)  # decay 0.9 in upstream's terms
    return [*before, nn.Conv2d(incoming, outgoing, kernel, stride, padding, bias=False), norm]


def unscaled(incoming: int, outgoing: int, kernel: Side, stride: int = 1, *, valid: bool = False) -> nn.Module:
    """Return a convolution, batch normalization without a scale to learn, and ReLU, as upstream's Inception has them.

    `valid`: without padding.
    """
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (0, 0) if valid else ((height - 1) // 2, (width - 1) // 2)
    norm = nn.BatchNorm2d(outgoing, eps=1e-3, momentum=1e-3)
    del norm.weight
    norm.register_buffer("weight", torch.ones(outgoing))
    return nn.Sequential(nn.Conv2d(incoming, outgoing, (height, width), stride, padding, bias=False), norm, nn.ReLU())


def dense(sizes: Iterable[int], *, dropout: float = 0.0) -> list[nn.Module]:
    """Return fully connected layers of these sizes, input first, each but the last with ReLU and dropout (if any)."""
    widths = list(sizes)
    layers: list[nn.Module] = [nn.Flatten()]
    for incoming, outgoing in pairwise(widths[:-1]):
        layers += [nn.Linear(incoming, outgoing), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
    return [*layers, nn.Linear(widths[-2], widths[-1])]


def initialized(model: nn.Module) -> nn.Module:
    """Draw the weights as upstream does: truncated normal, scaled by the number of inputs; biases 0."""
    layers = [module for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    for layer in layers:
        gain = 2.0 if isinstance(layer, nn.Linear) and layer is not layers[-1] else 1.0
        deviation = math.sqrt(gain / layer.weight[0].numel())
        nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return model


def parameter_groups(model: nn.Module) -> list[dict[str, object]]:
    """Split the parameters for the optimizer: weight decay (upstream's gradient) for all but batch norm's."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        (plain if isinstance(module, nn.BatchNorm2d) else decayed).extend(own)
    return [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
