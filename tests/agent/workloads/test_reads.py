from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.cells import ROOT
from tests.agent.systems import not_on_windows

# A hook can't be taken back, so the counting is done in a process of its own. A child reads as a loader's worker does.
READING = """
import json, multiprocessing, sys
from pathlib import Path
from harness.agent.workloads.reads import Opens, Reads

def read(count):
    for _ in range(count):
        Path(sys.argv[1]).read_bytes()

def work(orders, done):
    for count in iter(orders.get, 0):
        read(count)
        done.put(count)

opens = Opens()
fork = multiprocessing.get_context("fork")
orders, done = fork.Queue(), fork.Queue()
worker = fork.Process(target=work, args=(orders, done))
worker.start()
orders.put(1)
done.get()
reads = Reads(opens)
Path(sys.argv[1] + ".written").write_bytes(b"x")
read(3)
orders.put(2)
done.get()
found = {metric.name: metric.samples[0] for metric in reads.per_step(2)}
orders.put(0)
worker.join()
print(json.dumps(found))
"""


@not_on_windows("it neither forks nor tells what a process has read")
def test_opens_and_bytes_of_this_process_and_its_workers(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(bytes(1 << 20))
    done = subprocess.run(
        [sys.executable, "-c", READING, str(path)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    assert found["file_count"] == 5 / 2
    assert found["read_bytes"] == pytest.approx(5 * (1 << 20) / 2, rel=0.01)
