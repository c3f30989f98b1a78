"""A training of a twin as anyone would write it: torch's own loop, no harness around it but the models.

    python tests/agreement/torch_by_hand.py MODEL BATCH_SIZE BATCHES WARMUP_BATCHES THREADS

prints the median of the step times and the images per second over all of them as JSON. It runs on the stack's Python.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))


def main(model_name: str, batch_size: int, batches: int, warmup: int, threads: int) -> None:
    """Train and print."""
    torch = import_module("torch")
    twin = import_module("harness.agent.workloads.torch_models").TWINS[model_name]
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(threads)
    torch.manual_seed(0)
    model = twin.model()
    normalized = {
        id(each) for layer in model.modules() if "BatchNorm" in type(layer).__name__ for each in layer.parameters()
    }
    kept = [each for each in model.parameters() if id(each) in normalized]
    decayed = [each for each in model.parameters() if id(each) not in normalized]
    optimizer = torch.optim.SGD([{"params": decayed, "weight_decay": 4e-5}, {"params": kept}], lr=0.0)
    images = torch.randn(batch_size, 3, twin.image_size, twin.image_size) * 60 + 127
    times = []
    for number in range(warmup + batches):
        started = time.perf_counter()
        labels = torch.randint(0, twin.classes - 1, (batch_size,))
        for group in optimizer.param_groups:
            group["lr"] = twin.learning_rate(number, batch_size)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()
        times.append((started, time.perf_counter()))
    timed = times[warmup:]
    whole = timed[-1][1] - timed[0][0]
    median = statistics.median(end - start for start, end in timed)
    sys.stdout.write(json.dumps({"step_seconds": median, "images_per_second": batch_size * batches / whole}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
