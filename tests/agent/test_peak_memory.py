from __future__ import annotations

import subprocess
import sys

from harness.agent import peak_memory

MIB = 2**20
HOLD = "held = bytearray(64 << 20); print(flush=True); input()"


def with_and_without(program: str) -> tuple[int, int]:
    """Return the memory of all while a child runs this program until it is told to end, and that without the child."""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        during, without = peak_memory.of_tree(), peak_memory.of_tree(but=child.pid)
        child.communicate(b"\n")
    assert during is not None
    assert without is not None
    return during, without


def test_children_count_but_the_one_that_is_left_out() -> None:
    before = peak_memory.of_tree()
    assert before is not None
    during, without = with_and_without(HOLD)
    assert 64 * MIB <= during - without < 128 * MIB
    after = peak_memory.of_tree()
    assert after is not None
    assert during - after > 32 * MIB, "it has ended"


def test_what_the_left_out_one_started_is_left_out_with_it() -> None:
    """As of a virtual environment's python.exe, which is a launcher."""
    launcher = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"
    during, without = with_and_without(launcher)
    assert during - without >= 64 * MIB


def test_memory_that_was_given_back_counts() -> None:
    program = (
        "from harness.agent import peak_memory as p; before = p.of_tree(); held = bytearray(64 << 20); del held; "
        "print(p.of_tree() - before)"
    )
    grown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert int(grown) >= 60 * MIB
