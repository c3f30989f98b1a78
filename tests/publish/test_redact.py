"""Nothing identifying is published unless asked for."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from harness.analysis.document import CapabilityRecord, Document
from harness.publish.build import publish
from harness.publish.redact import redacted
from tests.publish.conftest import UUID, write_report

BOOTS = ("6c1d7f10-aaaa-4bbb-8ccc-1234567890ab", "7d2e8f21-aaaa-4bbb-8ccc-1234567890ab")
IDENTIFYING = (
    UUID,
    *BOOTS,
    "MIG-0a1b2c3d-1111-2222-3333-444455556666",
    "/home/jane/secret/run.py",
    "/home/jane doe/my project/run.py",
    r"C:\Users\Jane Doe\AppData\x.exe",
    r"\\fileserver\share\x",
    "fileserver:/export/data",
    "/srv/acme/data",
    "~/acme/venv/bin/python",
    "jane@lab7.acme.example",
    "https://jane:token@pypi.acme.example/simple",
    "192.168.17.4",
    "fe80::1ff:fe23:4567:890a",
    "aa:bb:cc:dd:ee:0f",
    "0123456789abcdef0123456789abcdef",
)
HARMLESS = (
    "native@2 differs from itself",
    "docker/torch-2.13/storage.small_files[batch_size=64]",
    "3.2 GB/s of 1/2 read/write",
    "reading /proc/self/mountinfo and /dev/vda failed",
    "0000:01:00.0 at 12:30:05",
    "overlay on /mnt/c",
    "set array_bytes of memory.bandwidth in matrix.yaml to 1040MiB",
    "python.version: 3.11.2 on native, 3.11.9 on docker",
    "overhead-matrix/driver:7a83ff21ce7d@sha256:5ea22235",
)


def planted(document: Document) -> Document:
    """The document with everything identifying in every place where text from programs or inspections stands."""
    said = [f"it failed: {text}, as told" for text in IDENTIFYING]
    run = document["run"]
    run["boot_id"], run["host"]["system.boot_id.value"] = BOOTS[0], BOOTS[0]
    run["boots"] = [{**run["boots"][0], "number": n, "boot_id": boot} for n, boot in enumerate(BOOTS, 1)]
    run["boots"][1]["differs"] = {"docker": {"system.boot_id": BOOTS[1]}}
    run["gpus"] = [{"uuid": UUID, "name": "Synthetic GPU", "serial": "1321021036987"}]
    document["warnings"] += said
    document["capabilities"] += [
        CapabilityRecord(platform="docker", what="s/t", status="failed", value=None, reason=text) for text in said
    ]
    document["platform_records"]["docker"]["reason"] = " ".join(said)
    document["comparisons"][0]["confounders"] = [text for text in said if not is_address(text)]
    document["environments"]["docker"]["stack.folder.value"] = "/srv/acme/data"
    document["stacks"]["driver"]["platforms"]["docker"]["interpreter"] = "~/acme/venv/bin/python"
    return document


def is_address(text: str) -> bool:
    """Addresses in facts are versions (9.1.0.70): inspections read no addresses."""
    return any(each in text for each in ("192.168.17.4", "fe80::", "aa:bb:cc"))


def published(document: Document, tmp_path: Path, *, identifiers: bool = False) -> str:
    folder = write_report(tmp_path / "report", document)
    site = publish([folder], tmp_path / "site", identifiers=identifiers).parent
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(site.rglob("*")) if path.is_file())


def test_nothing_identifying_is_in_any_file(documents: tuple[Document, Document], tmp_path: Path) -> None:
    everything = published(planted(documents[0]), tmp_path)
    for text in IDENTIFYING:
        assert text not in everything, text
        assert json.dumps(text)[1:-1] not in everything, text
    for word in ("acme", "jane", "Jane", "lab7", "fileserver", "1321021036987"):
        assert word not in everything, word
    assert "it failed: withheld-" in everything


def test_it_is_published_where_asked_for(documents: tuple[Document, Document], tmp_path: Path) -> None:
    everything = published(planted(documents[0]), tmp_path, identifiers=True)
    for text in IDENTIFYING:
        assert json.dumps(text)[1:-1] in everything, text
    assert "withheld" not in everything


@pytest.mark.parametrize("text", HARMLESS)
def test_what_identifies_nobody_stays(documents: tuple[Document, Document], text: str) -> None:
    documents[0]["warnings"] = [text]
    assert redacted(documents[0])["warnings"] == [text]


def numbers(value: Any) -> list[float]:  # noqa: ANN401 - any JSON
    if isinstance(value, dict | list):
        return [each for item in (value.values() if isinstance(value, dict) else value) for each in numbers(item)]
    return [value] if isinstance(value, int | float) else []


def test_a_text_without_end_takes_no_time(documents: tuple[Document, Document]) -> None:
    documents[0]["warnings"] = [
        part * (100_000 // len(part)) for part in ("A", "a.", "a:", "/", "a/", "-", "'", "a@", "`~")
    ]
    before = process_time()
    redacted(documents[0])
    assert process_time() - before < 20, "seconds: linear in the length, where quadratic takes minutes"


def test_all_else_stays(documents: tuple[Document, Document]) -> None:
    plain = copy.deepcopy(documents[0])
    boot = plain["run"]["boot_id"]
    assert json.loads(json.dumps(redacted(plain)).replace("withheld-1", boot)) == documents[0]
    assert plain == documents[0], "the document itself is not changed"
    assert numbers(redacted(planted(plain))) == numbers(plain)


def test_what_was_distinct_stays_so(documents: tuple[Document, Document]) -> None:
    run = redacted(planted(documents[0]))["run"]
    first, second = (boot["boot_id"] for boot in run["boots"])
    assert first != second
    assert run["boot_id"] == run["host"]["system.boot_id.value"] == first
    assert run["boots"][1]["differs"]["docker"]["system.boot_id"] == second


def test_a_remote_platform_s_messages_are_withheld_whole(documents: tuple[Document, Document]) -> None:
    document = documents[0]
    record = document["platform_records"]["wsl"]
    document["platform_records"]["wsl"] = {**record, "kind": "remote", "reason": "lab7 went away"}
    document["capabilities"].append(
        CapabilityRecord(platform="wsl", what="platform", status="unavailable", value=None, reason="lab7 went away")
    )
    document["warnings"] = ["wsl, driver.spawn: lab7 is slow", "`ssh lab8` must work", "no host named lab9", "lab8!"]
    found = redacted(document)
    everything = json.dumps(found)
    assert not [name for name in ("lab7", "lab8", "lab9") if name in everything]
    assert "lab7" in document["platform_records"]["wsl"]["reason"]
