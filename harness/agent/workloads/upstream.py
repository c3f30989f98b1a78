"""What tf_cnn_benchmarks trains with, for its twins in whatever framework: classes, learning rates, weight decay."""

from __future__ import annotations

from collections.abc import Callable

IMAGENET_CLASSES = 1001  # upstream's data sets have a background class
CIFAR10_CLASSES = 11
IMAGENET_IMAGES = 1_281_167
WEIGHT_DECAY = 4e-5  # upstream adds 4e-5 · ½‖w‖² to the loss, batch normalization left out
TAME_RATE = 1e-7  # in place of upstream's own, for the models of which `harness.agent.workloads.tf_cnn` says why

LearningRate = Callable[[int, int], float]  # by step and batch size


def constant(rate: float) -> LearningRate:
    """Return the rate that is the same in every step."""
    return lambda _step, _batch_size: rate


def resnet_warmup(step: int, batch_size: int) -> float:
    """Upstream's rate within its first five epochs: linear from 0 to 0.128 · batch size / 256."""
    return 0.128 * batch_size / 256 * step / (5 * IMAGENET_IMAGES // batch_size)
