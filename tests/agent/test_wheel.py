from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from pathlib import Path

from harness.agent import wheel

SHA256 = "2469d668e353f495d60c9dc7ec55af3fbbf310cdbdb29b457097fb290c5557ac"


def test_it_is_the_same_everywhere(tmp_path: Path) -> None:
    """The digest was taken with Python 3.11; every other version must give it too."""
    content = wheel.write(tmp_path, modules=5, size=1000).read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256


def test_its_record_is_right(tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel.write(tmp_path, modules=5, size=1000)) as archive:
        rows = list(csv.reader(io.StringIO(archive.read(f"{wheel.INFO}/RECORD").decode())))
        assert sorted(name for name, _, _ in rows) == sorted(archive.namelist())
        for name, digest, size in rows[:-1]:
            content = archive.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            assert (digest, int(size)) == (f"sha256={expected}", len(content))


def test_its_modules_are_python_of_the_size_and_differ(tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel.write(tmp_path, modules=5, size=4000)) as archive:
        modules = [archive.read(name) for name in archive.namelist() if "module_" in name]
    assert len(set(modules)) == 5
    for source in modules:
        compile(source, "module", "exec")
        assert 0.9 * 4000 < len(source) <= 4000
