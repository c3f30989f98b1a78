from __future__ import annotations

import subprocess
import sys

import pytest

from harness.agent import peak_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells of other processes in /proc")
MIB = 2**20
HOLD = "held = bytearray(64 << 20); print(flush=True); input()"


def test_children_count_but_those_that_were_there() -> None:
    before = peak_memory.of_tree()
    assert before is not None
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in peak_memory.children()
        during, without = peak_memory.of_tree(), peak_memory.of_tree(but={child.pid})
        child.communicate(b"\n")
    assert during is not None
    assert without is not None
    assert 64 * MIB <= during - without < 128 * MIB
    assert child.pid not in peak_memory.children()


def test_memory_that_was_given_back_counts() -> None:
    program = (
        "from harness.agent import peak_memory as p; before = p.of_tree(); held = bytearray(64 << 20); del held; "
        "print(p.of_tree() - before)"
    )
    grown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert int(grown) >= 60 * MIB
