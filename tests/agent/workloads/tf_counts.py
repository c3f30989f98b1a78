"""Run by a TensorFlow stack's interpreter: what upstream's own training graph for one image consists of.

python tf_counts.py CHECKOUT DATA_NAME/MODEL…

prints {MODEL: {"sizes": [elements of each trainable variable, sorted], "macs": multiply-accumulates of the forward
pass's convolutions and matrix products}} as its last line.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any


def main(checkout: str, models: list[str]) -> None:
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(Path(checkout, "scripts", "tf_cnn_benchmarks")), str(Path(__file__).parents[3])]
    from harness.agent.workloads.tf_cnn import import_tensorflow  # noqa: PLC0415 - after the lines above

    import_tensorflow()  # what an older TensorFlow needs
    import benchmark_cnn  # noqa: PLC0415
    import tensorflow.compat.v1 as tf  # noqa: PLC0415

    tf.disable_v2_behavior()
    found = {}
    for name in models:
        data_name, model = name.split("/")
        params = benchmark_cnn.make_params(
            model=model,
            data_name=data_name,
            device="cpu",
            data_format="NHWC",
            local_parameter_device="cpu",
            batch_size=1,
        )
        bench = benchmark_cnn.BenchmarkCNN(benchmark_cnn.setup(params))
        sys.stderr.write(f"{name}\n")  # the last line before a traceback says whose it is
        with tf.Graph().as_default() as graph:
            bench._build_model()
            sizes = sorted(variable.shape.num_elements() for variable in tf.trainable_variables())
            found[model] = {"sizes": sizes, "macs": sum(map(macs, graph.get_operations()))}
    sys.stdout.write(json.dumps(found) + "\n")


def macs(operation: Any) -> int:  # noqa: ANN401 - of TensorFlow
    """Return the multiply-accumulates of an operation of the forward pass, 0 for what is neither of the two."""
    if "gradients/" in operation.name or operation.type not in ("Conv2D", "MatMul"):
        return 0
    kernel = operation.inputs[1].shape.as_list()  # height, width, incoming, outgoing; or incoming, outgoing
    outputs = math.prod(operation.outputs[0].shape.as_list())
    return int(outputs * math.prod(kernel[:-1]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
