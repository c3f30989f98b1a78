from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.agent import ptx

TARGETS = ("sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_90", "sm_100", "sm_120")
INSTRUCTION = 16  # bytes, from sm_70 on


def assemblers() -> list[str]:
    """Return every ptxas of this machine, that on the PATH first: each toolkit knows other GPUs."""
    named = [shutil.which("ptxas"), *map(str, sorted(Path("/usr/local").glob("cuda*/bin/ptxas")))]
    real = {Path(path).resolve(): path for path in reversed(named) if path is not None}
    return list(real.values())


@pytest.fixture(params=[*assemblers()] or [""])
def ptxas(request: pytest.FixtureRequest) -> str:
    if not request.param:
        pytest.skip("no NVIDIA GPU toolkit's ptxas on this machine")
    return str(request.param)


def supported(ptxas: str) -> list[str]:
    said = subprocess.run([ptxas, "--help"], capture_output=True, text=True, check=True).stdout
    return [target for target in TARGETS if f"'{target}'" in said]


def compiled(ptxas: str, text: str, target: str, folder: Path) -> Path:
    source, binary = folder / "module.ptx", folder / f"{target}.cubin"
    source.write_text(text)
    done = subprocess.run([ptxas, f"-arch={target}", source, "-o", binary], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), target
    return binary


def section_sizes(binary: bytes) -> dict[str, int]:
    """Return the sizes of an ELF file's sections by name."""

    def number(start: int, size: int) -> int:
        return int.from_bytes(binary[start : start + size], "little")

    table, count, names = number(0x28, 8), number(0x3C, 2), number(0x3E, 2)
    headers = [table + 64 * index for index in range(count)]
    strings = number(headers[names] + 0x18, 8)
    found = {}
    for header in headers:
        start = strings + number(header, 4)
        found[binary[start : binary.index(b"\0", start)].decode()] = number(header + 0x20, 8)
    return found


def test_the_text_is_for_every_gpu_since_maxwell() -> None:
    assert ptx.MODULE.startswith(".version 4.3\n.target sm_50\n.address_size 64\n")
    assert re.findall(r"\.visible \.entry (\w+)\(", ptx.MODULE) == ["empty", "spin", "fma"]
    assert ptx.MODULE.isascii()


def test_no_kernel_spins_for_a_second() -> None:
    assert f"min.u64 %rd1, %rd1, {ptx.LONGEST_SPIN_NS};" in ptx.SPIN
    assert ptx.LONGEST_SPIN_NS < 1_000_000_000


def test_ptxas_compiles_it_for_all_that_it_supports(ptxas: str, tmp_path: Path) -> None:
    targets = supported(ptxas)
    assert targets
    for target in targets:
        compiled(ptxas, ptx.unseen(1), target, tmp_path)


def test_the_chain_is_not_optimized_away(ptxas: str, tmp_path: Path) -> None:
    """The kernel has an instruction for each multiply-add of a turn, and little else."""
    for target in supported(ptxas):
        sizes = section_sizes(compiled(ptxas, ptx.MODULE, target, tmp_path).read_bytes())
        assert ptx.FMA_UNROLLED <= sizes[".text.fma"] // INSTRUCTION <= 3 * ptx.FMA_UNROLLED
        assert sizes[".text.empty"] < sizes[".text.spin"] < sizes[".text.fma"]


def test_unseen_code_is_another_each_time(ptxas: str, tmp_path: Path) -> None:
    target = supported(ptxas)[0]
    first, second, again = (compiled(ptxas, ptx.unseen(n), target, tmp_path).read_bytes() for n in (1, 2, 1))
    assert first != second
    assert first == again
