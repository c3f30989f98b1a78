from __future__ import annotations

from importlib.util import find_spec

import pytest

from harness.agent.task import Unavailable
from harness.agent.workloads import keras_cnn, tf_cnn
from tests.agent.workloads.conftest import MakeContext


@pytest.mark.skipif(find_spec("tensorflow") is not None, reason="TensorFlow is installed in the tests' environment")
def test_without_tensorflow_the_stack_lacks_it(make_context: MakeContext) -> None:
    with pytest.raises(Unavailable, match="no TensorFlow"):
        keras_cnn.run(make_context("keras_cnn.trivial"))


def test_the_twins_have_names_of_tf_cnn() -> None:
    assert set(keras_cnn.TASKS) <= set(tf_cnn.IMAGENET)
