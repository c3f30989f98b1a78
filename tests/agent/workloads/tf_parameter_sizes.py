"""Run by a TensorFlow stack's interpreter: the sizes of the trainable variables in upstream's own training graph.

python tf_parameter_sizes.py CHECKOUT MODEL…      prints {MODEL: [sizes, sorted]} as its last line
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(checkout: str, models: list[str]) -> None:
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(Path(checkout, "scripts", "tf_cnn_benchmarks")))
    import benchmark_cnn  # noqa: PLC0415 - after the lines above
    import tensorflow.compat.v1 as tf  # noqa: PLC0415

    tf.disable_v2_behavior()
    sizes = {}
    for model in models:
        params = benchmark_cnn.make_params(
            model=model,
            data_name="imagenet",
            device="cpu",
            data_format="NHWC",
            local_parameter_device="cpu",
            batch_size=1,
        )
        bench = benchmark_cnn.BenchmarkCNN(benchmark_cnn.setup(params))
        with tf.Graph().as_default():
            bench._build_model()
            sizes[model] = sorted(variable.shape.num_elements() for variable in tf.trainable_variables())
    sys.stdout.write(json.dumps(sizes) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
