"""Twins in Keras 3 of two models of tf_cnn_benchmarks: the same layers, sizes, parameters and initial weights.

Only `keras_cnn.run` imports this module: it needs Keras.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import initializers, layers

from harness.agent.workloads.upstream import IMAGENET_CLASSES, TAME_RATE, LearningRate, constant, resnet_warmup

Tensor = Any  # of Keras, which is not installed where types are checked


@dataclass(frozen=True, kw_only=True)
class Twin:
    """A model, the side of its square input in pixels, and the learning rate by step and batch size."""

    build: Callable[[int], Tensor]
    image_size: int
    learning_rate: LearningRate

    def model(self) -> Tensor:
        """Return a new model."""
        return self.build(self.image_size)


def trivial(side: int) -> Tensor:
    """Return three fully connected layers with a bottleneck of one unit."""
    images = keras.Input((side, side, 3))
    state = layers.Flatten()(images)
    for units in (1, 4096):
        state = _dense(units, gain=2.0, activation="relu")(state)
    return keras.Model(images, _dense(IMAGENET_CLASSES)(state))


def resnet50(side: int) -> Tensor:
    """Return ResNet-50 v1 (He et al., arXiv:1512.03385): the stride is in a block's first 1×1 convolution."""
    images = keras.Input((side, side, 3))
    state = layers.Activation("relu")(_normalized(images, 64, 7, 2))
    state = layers.MaxPooling2D(3, 2, padding="same")(state)
    for channels, count, stride in ((256, 3, 1), (512, 4, 2), (1024, 6, 2), (2048, 3, 2)):
        for index in range(count):
            state = _bottleneck(state, channels, stride if index == 0 else 1)
    return keras.Model(images, _dense(IMAGENET_CLASSES)(layers.GlobalAveragePooling2D()(state)))


def _bottleneck(incoming: Tensor, channels: int, stride: int) -> Tensor:
    projected = incoming.shape[-1] != channels
    shortcut = _normalized(incoming, channels, 1, stride) if projected else incoming
    state = layers.Activation("relu")(_normalized(incoming, channels // 4, 1, stride))
    state = layers.Activation("relu")(_normalized(state, channels // 4, 3, 1))
    return layers.Activation("relu")(layers.Add()([shortcut, _normalized(state, channels, 1, 1)]))


def _normalized(incoming: Tensor, channels: int, kernel: int, stride: int) -> Tensor:
    """Return a convolution without bias, padded alike on both sides, and its batch normalization."""
    if stride > 1 and kernel > 1:
        incoming = layers.ZeroPadding2D((kernel - 1) // 2)(incoming)
    padding = "valid" if stride > 1 else "same"
    weights = initializers.VarianceScaling(1.0, "fan_in", "truncated_normal")
    convolution = layers.Conv2D(channels, kernel, stride, padding, use_bias=False, kernel_initializer=weights)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(convolution(incoming))


def _dense(units: int, gain: float = 1.0, activation: str | None = None) -> Tensor:
    weights = initializers.VarianceScaling(gain, "fan_in", "truncated_normal")
    return layers.Dense(units, activation=activation, kernel_initializer=weights)


TWINS = {
    "trivial": Twin(build=trivial, image_size=227, learning_rate=constant(TAME_RATE)),
    "resnet50": Twin(build=resnet50, image_size=224, learning_rate=resnet_warmup),
}
