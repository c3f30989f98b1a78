"""Twins in torch of models of tf_cnn_benchmarks: the same layers and sizes, parameters and multiply-accumulates.

Written from the published architectures (LeNet: LeCun et al. 1998 as TensorFlow's MNIST tutorial has it; AlexNet:
Krizhevsky, arXiv:1404.5997; VGG: Simonyan and Zisserman, arXiv:1409.1556) and upstream's hyperparameters. Only
`torch_cnn.run` imports this module: it needs torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from harness.agent.workloads.torch_inception import inception3
from harness.agent.workloads.torch_layers import convolution, dense, initialized
from harness.agent.workloads.torch_resnet import resnet20, resnet50
from harness.agent.workloads.upstream import (
    CIFAR10_CLASSES,
    IMAGENET_CLASSES,
    TAME_RATE,
    LearningRate,
    constant,
    resnet_warmup,
)

TAME = constant(TAME_RATE)


@dataclass(frozen=True, kw_only=True)
class Twin:
    """A model by its number of classes, the side of its square input in pixels, the learning rate by step and batch."""

    build: Callable[[int], nn.Module]
    image_size: int
    classes: int = IMAGENET_CLASSES
    learning_rate: LearningRate = TAME  # as tf_cnn's task has it

    def model(self) -> nn.Module:
        """Return a new model."""
        return self.build(self.classes)


def trivial(classes: int) -> nn.Module:
    """Return three fully connected layers with a bottleneck of one unit."""
    return initialized(nn.Sequential(*dense((3 * 227 * 227, 1, 4096, classes))))


def lenet(classes: int) -> nn.Module:
    """Return two convolutions, each with its pool, and a hidden layer."""
    features = (convolution(3, 32, 5), nn.MaxPool2d(2), convolution(32, 64, 5), nn.MaxPool2d(2))
    return initialized(nn.Sequential(*features, *dense((64 * 7 * 7, 512, classes))))


def alexnet(classes: int) -> nn.Module:
    """Return AlexNet in one column."""
    features = (
        convolution(3, 64, 11, 4, padding=0),
        nn.MaxPool2d(3, 2),
        convolution(64, 192, 5),
        nn.MaxPool2d(3, 2),
        convolution(192, 384, 3),
        convolution(384, 384, 3),
        convolution(384, 256, 3),
        nn.MaxPool2d(3, 2),
    )
    return initialized(nn.Sequential(*features, *dense((256 * 6 * 6, 4096, 4096, classes), dropout=0.5)))


def vgg16(classes: int) -> nn.Module:
    """Return the network of thirteen convolutions."""
    layers: list[nn.Module] = []
    incoming = 3
    for channels, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers.append(convolution(incoming, channels, 3))
            incoming = channels
        layers.append(nn.MaxPool2d(2))
    return initialized(nn.Sequential(*layers, *dense((512 * 7 * 7, 4096, 4096, classes), dropout=0.5)))


TWINS = {
    "trivial": Twin(build=trivial, image_size=227),
    "lenet": Twin(build=lenet, image_size=28),
    "alexnet": Twin(build=alexnet, image_size=227),
    "vgg16": Twin(build=vgg16, image_size=224),
    "resnet50": Twin(build=partial(resnet50, late_stride=False), image_size=224, learning_rate=resnet_warmup),
    "resnet50_v1.5": Twin(build=partial(resnet50, late_stride=True), image_size=224, learning_rate=resnet_warmup),
    "inception3": Twin(build=inception3, image_size=299, learning_rate=constant(0.005)),
    "resnet20": Twin(build=resnet20, image_size=32, classes=CIFAR10_CLASSES, learning_rate=constant(0.1)),
}
