"""The example in CONTRIBUTING is the probe as it stands."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_example_of_a_probe_is_the_probe_as_it_stands() -> None:
    diff = re.findall(r"```diff\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    files = dict(re.findall(r"^--- /dev/null\n\+\+\+ b/(\S+)\n@@ .*\n((?:\+.*\n)+)", diff, re.MULTILINE))
    assert len(files) == 2  # the probe and its test
    for name, added in files.items():
        assert re.sub(r"^\+", "", added, flags=re.MULTILINE) == (ROOT / name).read_text(encoding="utf-8")
    entries = re.findall(r"^\+(.*)$", diff.partition("+++ b/matrix.yaml\n")[2].partition("\n--- ")[0], re.MULTILINE)
    assert entries
    matrix = (ROOT / "matrix.yaml").read_text(encoding="utf-8").splitlines()
    assert set(entries) <= set(matrix)
