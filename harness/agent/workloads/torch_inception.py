"""Inception v3 (Szegedy et al., arXiv:1512.00567) as tf_cnn has it: without the auxiliary head."""

from __future__ import annotations

import torch
from torch import nn

from harness.agent.workloads.torch_layers import initialized, unscaled


class Columns(nn.Module):  # type: ignore[misc]  # torch is not installed where types are checked
    """Columns of layers beside each other, their outputs joined by channel."""

    def __init__(self, *columns: nn.Module) -> None:
        super().__init__()
        self.columns = nn.ModuleList(columns)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return all columns' outputs."""
        return torch.cat([column(images) for column in self.columns], dim=1)


def inception3(classes: int) -> nn.Module:
    """Return the network for images of 299 × 299 pixels."""
    stem = (
        unscaled(3, 32, 3, 2, valid=True),
        unscaled(32, 32, 3, valid=True),
        unscaled(32, 64, 3),
        nn.MaxPool2d(3, 2),
        unscaled(64, 80, 1),
        unscaled(80, 192, 3, valid=True),
        nn.MaxPool2d(3, 2),
    )
    fine = (_fine(192, 32), _fine(256, 64), _fine(288, 64), _halved_to_17())
    middle = (_factorized(128), _factorized(160), _factorized(160), _factorized(192), _halved_to_8())
    coarse = (_wide(1280, _average()), _wide(2048, nn.MaxPool2d(3, 1, 1)))
    head = (nn.AvgPool2d(8), nn.Flatten(), nn.Linear(2048, classes))
    return initialized(nn.Sequential(*stem, *fine, *middle, *coarse, *head))


def _average() -> nn.Module:
    return nn.AvgPool2d(3, 1, 1, count_include_pad=False)  # SAME does not count what it pads


def _fine(incoming: int, pooled: int) -> nn.Module:
    return Columns(
        unscaled(incoming, 64, 1),
        nn.Sequential(unscaled(incoming, 48, 1), unscaled(48, 64, 5)),
        nn.Sequential(unscaled(incoming, 64, 1), unscaled(64, 96, 3), unscaled(96, 96, 3)),
        nn.Sequential(_average(), unscaled(incoming, pooled, 1)),
    )


def _halved_to_17() -> nn.Module:
    return Columns(
        unscaled(288, 384, 3, 2, valid=True),
        nn.Sequential(unscaled(288, 64, 1), unscaled(64, 96, 3), unscaled(96, 96, 3, 2, valid=True)),
        nn.MaxPool2d(3, 2),
    )


def _factorized(inner: int) -> nn.Module:
    return Columns(
        unscaled(768, 192, 1),
        nn.Sequential(unscaled(768, inner, 1), unscaled(inner, inner, (1, 7)), unscaled(inner, 192, (7, 1))),
        nn.Sequential(
            unscaled(768, inner, 1),
            unscaled(inner, inner, (7, 1)),
            unscaled(inner, inner, (1, 7)),
            unscaled(inner, inner, (7, 1)),
            unscaled(inner, 192, (1, 7)),
        ),
        nn.Sequential(_average(), unscaled(768, 192, 1)),
    )


def _halved_to_8() -> nn.Module:
    return Columns(
        nn.Sequential(unscaled(768, 192, 1), unscaled(192, 320, 3, 2, valid=True)),
        nn.Sequential(
            unscaled(768, 192, 1),
            unscaled(192, 192, (1, 7)),
            unscaled(192, 192, (7, 1)),
            unscaled(192, 192, 3, 2, valid=True),
        ),
        nn.MaxPool2d(3, 2),
    )


def _wide(incoming: int, pool: nn.Module) -> nn.Module:
    return Columns(
        unscaled(incoming, 320, 1),
        nn.Sequential(unscaled(incoming, 384, 1), _split()),
        nn.Sequential(unscaled(incoming, 448, 1), unscaled(448, 384, 3), _split()),
        nn.Sequential(pool, unscaled(incoming, 192, 1)),
    )


def _split() -> nn.Module:
    return Columns(unscaled(384, 384, (1, 3)), unscaled(384, 384, (3, 1)))
